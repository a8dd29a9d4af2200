"""``Inpainter``: settings, and the fills with them."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import operator
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict, overload

from . import _native, places
from .errors import Error
from .images import Image, Layout, Order, SupportsArray, SupportsDLPack, check_floats, read_image, read_mask

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .images import Array

Method = Literal["guided", "patchmatch", "network"]
Strategy = Literal["auto", "full", "crop", "resize"]
Format = Literal["png", "jpeg", "webp", "tiff", "bmp"]
Anchor = Literal["top-left", "top", "top-right", "left", "center", "right", "bottom-left", "bottom", "bottom-right"]
AnchorScale = Literal["none", "fit", "width", "height"]
# A file: its path, its URL, or its bytes.
FileLike = bytes | str | os.PathLike[str]

# Added to the name of an output: what it was made from.
RECORD = ".lacuna.json"
SEEDS = 1 << 64

log = logging.getLogger("lacuna_inpaint")


class Settings(TypedDict, total=False):
    """The settings of an ``Inpainter``, for functions that take them as keywords."""

    method: Method | None
    model: str | os.PathLike[str] | None
    refine: int | None
    refine_side: int | None
    seed: int
    expand: int | Literal["auto"]
    feather: int
    strategy: Strategy
    long_side: int | None
    max_memory: int | None
    threads: int | None
    timeout: float | None


class FileSettings(TypedDict, total=False):
    """How files are read and written.

    * ``format``: of the result; by default that of the output's name, else the image's.
    * ``quality``: JPEG quality, 1 to 100; by default the image's own tables.
    * ``threshold``: values of the mask above it are hole, 0 to 254; by default 0, and 127 for lossy files.
    * ``invert``: the mask marks what to keep.
    * ``fit_mask``: a mask of the same shape is scaled to the image's size, and turned if its sides are swapped.
    * ``anchor``: where a mask is placed in images of any size; ``anchor_scale``: its size there.
    * ``max_side``, ``max_pixels``, ``max_bytes``: limits of an image, checked before it is decoded.
    """

    format: Format | None
    quality: int | None
    threshold: int | None
    invert: bool
    fit_mask: bool
    anchor: Anchor | None
    anchor_scale: AnchorScale | None
    max_side: int | None
    max_pixels: int | None
    max_bytes: int | None


class AllSettings(Settings, FileSettings, total=False):
    """Settings of fills and of files."""


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """``FileSettings`` with their defaults."""

    format: Format | None = None
    quality: int | None = None
    threshold: int | None = None
    invert: bool = False
    fit_mask: bool = False
    anchor: Anchor | None = None
    anchor_scale: AnchorScale | None = None
    max_side: int | None = None
    max_pixels: int | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        _check_whole(self, "quality", 1, 100)
        _check_whole(self, "threshold", 0, 254)
        _check_whole(self, "max_side", 1, (1 << 32) - 1)
        _check_whole(self, "max_pixels", 1, (1 << 64) - 1)
        _check_whole(self, "max_bytes", 1, (1 << 64) - 1)


@dataclass(frozen=True)
class NamedBytes:
    """The bytes of a file, with a name for messages."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Files:
    """The files of a fill; without a mask the image's transparent pixels are filled."""

    image: NamedBytes
    mask: NamedBytes | None
    avoid: NamedBytes | None

    @classmethod
    def read(cls, image: FileLike, mask: FileLike | None, avoid: FileLike | None, options: FileOptions) -> Files:
        """Reads files within the limits."""

        def read(name: str, file: FileLike) -> NamedBytes:
            if isinstance(file, bytes):
                return NamedBytes(name, file)
            return NamedBytes(os.fspath(file), places.read(file, options))

        return cls(
            read("image", image),
            None if mask is None else read("mask", mask),
            None if avoid is None else read("avoid", avoid),
        )


@dataclass(frozen=True)
class Forecast:
    """What a fill is expected to take."""

    bytes: int
    """Peak memory, weights included; what Python holds is not counted."""
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What became of a file."""

    output: str
    status: Literal["filled", "copied", "finished"]
    """``copied``: the mask was empty; ``finished``: an earlier call made the same output."""
    key: str
    """A hash of everything that decides the output's bytes: files, settings, weights and version."""
    sha256: str
    """Of the output."""
    method: str | None
    strategy: str | None
    """How the image was cut into frames; none if nothing was filled."""
    hole_fraction: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Inpainter:
    """Settings, and the fills with them.

    An inpainter is small and can be pickled. Weights are loaded at the first fill of a process with these settings, and kept.
    Fills release the interpreter's lock; Ctrl+C cancels them. The same seed gives the same result on any number of threads.

    * ``method``: ``guided`` (PatchMatch guided by a network, the default), ``patchmatch``, or ``network`` (the default with
      ``model``).
    * ``model``: a weights file, or the name of an installed model such as ``big-lama``; by default the network that is built
      in.
    * ``refine``: the network is refined for each image in at most this many passes, 1 to 200 (15 are usual); ``refine_side``:
      from a smaller copy upwards, whose shorter side is about that long.
    * ``seed``: of all randomness.
    * ``expand``: pixels by which the hole grows, or ``"auto"``: to the soft edge of what it holds.
    * ``feather``: width of the soft edge in pixels; the hole grows by at least as much.
    * ``strategy``: how large images are handled: ``auto``, ``full``, ``crop`` or ``resize`` (to ``long_side`` pixels).
    * ``max_memory``: bytes that fills may take, weights included. The best strategy that fits is chosen; if none fits, the
      fill is refused. Python's own memory and your arrays are not counted.
    * ``threads``: computing threads, which all fills of a process with these settings share; by default as many as the process
      may use processors.
    * ``timeout``: seconds after which a fill is cancelled.
    """

    method: Method | None = None
    model: str | os.PathLike[str] | None = None
    refine: int | None = None
    refine_side: int | None = None
    seed: int = 0
    expand: int | Literal["auto"] = 0
    feather: int = 0
    strategy: Strategy = "auto"
    long_side: int | None = None
    max_memory: int | None = None
    threads: int | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.model is not None:
            object.__setattr__(self, "model", os.fspath(self.model))
        _check_whole(self, "refine", 1, 200)
        _check_whole(self, "refine_side", 16, 65535)
        _check_whole(self, "seed", 0, SEEDS - 1)
        if self.expand != "auto":
            _check_whole(self, "expand", 0, 65535)
        _check_whole(self, "feather", 0, 65535)
        _check_whole(self, "long_side", 16, 65535)
        _check_whole(self, "max_memory", 0, (1 << 64) - 1)
        _check_whole(self, "threads", 1, 65535)
        if self.timeout is not None and not 0 <= self.timeout <= 1e9:
            raise Error(f"timeout is {self.timeout!r}, expected seconds from 0 to 1e9")
        if self.refine_side is not None and self.refine is None:
            raise Error(f"refine_side {self.refine_side} needs refine, but refine is None")
        _native.check(self)

    @property
    def _expand(self) -> str:
        return str(self.expand)

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        image: Image,
        mask: object,
        *,
        avoid: object = None,
        samples: None = None,
        layout: Layout = "HWC",
        order: Order = "RGB",
    ) -> Image: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        image: Image,
        mask: object,
        *,
        avoid: object = None,
        samples: int,
        layout: Layout = "HWC",
        order: Order = "RGB",
    ) -> list[Image]: ...
    @overload
    def __call__(
        self,
        image: SupportsDLPack | SupportsArray,
        mask: object,
        *,
        avoid: object = None,
        samples: None = None,
        layout: Layout = "HWC",
        order: Order = "RGB",
    ) -> Array: ...
    @overload
    def __call__(
        self,
        image: SupportsDLPack | SupportsArray,
        mask: object,
        *,
        avoid: object = None,
        samples: int,
        layout: Layout = "HWC",
        order: Order = "RGB",
    ) -> list[Array]: ...
    def __call__(
        self,
        image: object,
        mask: object,
        *,
        avoid: object = None,
        samples: int | None = None,
        layout: Layout = "HWC",
        order: Order = "RGB",
    ) -> Any:
        """Fills the pixels of ``image`` where ``mask`` is not zero. All other values come back as they were.

        ``image``: an array of ``uint8``, ``uint16`` or ``float32`` (from 0 to 1), ``[height, width]`` or ``[height, width, 1
        to 4]``, or a PIL image. The result is new, and of the same kind; a palette becomes RGB. Arrays of other libraries
        (DLPack, ``__array__``) come back as NumPy's.

        ``mask``: an array of any numbers or a PIL image, as large as the image. ``avoid``: a mask of what must not be copied
        into the hole. ``samples``: so many results, with ``seed``, ``seed + 1``, ..., as a list.

        ``layout="CHW"``: channels come first, in image and masks. ``order="BGR"``: blue comes first.
        """
        read = read_image(image, layout, order)
        hole = read_mask(mask, "mask", layout)
        check_floats(read, hole)
        avoided = None if avoid is None else read_mask(avoid, "avoid", layout)
        seeds = [self.seed] if samples is None else self._seeds(samples)
        filled, notes = _native.fill(self, read.values, hole, avoided, seeds)
        _log(notes)
        results = [read.restore(values.reshape(read.values.shape)) for values in filled]
        return results[0] if samples is None else results

    def fill_bytes(
        self,
        image: bytes,
        mask: bytes | None,
        *,
        avoid: bytes | None = None,
        **options: Unpack[FileSettings],
    ) -> bytes:
        """Fills the hole of an image file, and returns the bytes of the filled file.

        These are the bytes that the program ``lacuna inpaint`` writes: size, depth, alpha, colour profile, EXIF, orientation
        and the tables of JPEG files are kept. Without a mask the image's transparent pixels are filled.
        """
        filled = FileOptions(**options)
        data, summary = _native.fill_bytes(self, filled, Files.read(image, mask, avoid, filled))
        _log(summary["notes"])
        return data

    def fill_file(
        self,
        image: FileLike,
        mask: FileLike | None,
        output: str | os.PathLike[str],
        *,
        avoid: FileLike | None = None,
        overwrite: bool = False,
        resume: bool = False,
        **options: Unpack[FileSettings],
    ) -> Outcome:
        """Fills the hole of an image file, and writes ``output``: completely or not at all.

        Files are paths, URLs that ``fsspec`` opens (such as ``s3://bucket/photo.jpg``), or bytes. An existing output raises
        ``FileExistsError`` unless ``overwrite`` is true. With ``resume`` a record (``OUTPUT.lacuna.json``) is written beside it.
        An output that was made from the same files with the same settings and has not changed since is then not made again;
        one with a record of other inputs is replaced.
        """
        chosen = FileOptions(**options)
        chosen = replace(chosen, format=_native.output_format(output, chosen))
        output = os.fspath(output)
        recorded = _recorded(output + RECORD) if resume else None
        if recorded is None and not overwrite and places.exists(output):
            text = "the output exists, and neither overwrite nor a record beside it allows to replace it"
            raise FileExistsError(errno.EEXIST, text, output)
        files = Files.read(image, mask, avoid, chosen)
        key = _native.key(self, chosen, files)
        if recorded is not None and recorded["key"] == key and recorded["sha256"] == places.sha256(output):
            return Outcome(output, "finished", key, recorded["sha256"], None, None, None)
        data, summary = _native.fill_bytes(self, chosen, files)
        _log(summary["notes"])
        digest = hashlib.sha256(data).hexdigest()
        if resume:
            # First the record: from here on the output is known to be ours, whole or missing.
            places.write(output + RECORD, json.dumps({"key": key, "sha256": digest}).encode())
        places.write(output, data)
        return Outcome(
            output=output,
            status="copied" if summary["is_copy"] else "filled",
            key=key,
            sha256=digest,
            method=summary["method"],
            strategy=summary["strategy"],
            hole_fraction=summary["hole_fraction"],
            notes=tuple(summary["notes"]),
        )

    def key(
        self,
        image: FileLike,
        mask: FileLike | None,
        *,
        avoid: FileLike | None = None,
        **options: Unpack[FileSettings],
    ) -> str:
        """A hash of everything that decides the bytes of a filled file: files, settings, weights and version."""
        chosen = FileOptions(**options)
        return _native.key(self, chosen, Files.read(image, mask, avoid, chosen))

    def forecast(
        self,
        image: FileLike,
        mask: FileLike | None,
        *,
        avoid: FileLike | None = None,
        **options: Unpack[FileSettings],
    ) -> Forecast:
        """The memory and time that the fill of a file is expected to take. Reads the files, and fills nothing."""
        chosen = FileOptions(**options)
        memory, seconds = _native.forecast(self, chosen, Files.read(image, mask, avoid, chosen))
        return Forecast(memory, seconds)

    def _seeds(self, samples: int) -> list[int]:
        method = self.method or ("guided" if self.model is None else "network")
        if not isinstance(samples, int) or samples < 1:
            raise Error(f"samples is {samples!r}, expected a whole number from 1")
        if method == "network" and samples > 1:
            raise Error(f"method network has one result for all seeds, but samples is {samples}")
        return [(self.seed + index) % SEEDS for index in range(samples)]


def _check_whole(settings: object, name: str, least: int, most: int) -> None:
    """Checks a whole number, which may be None; numbers of NumPy become Python's."""
    value = getattr(settings, name)
    if value is None:
        return
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if not least <= number <= most:
        raise Error(f"{name} is {value!r}, expected a whole number from {least} to {most}")
    object.__setattr__(settings, name, number)


def _recorded(record: str) -> dict[str, str] | None:
    """The record of an output; none if there is none, or if it is no record."""
    data = places.read_if_there(record)
    try:
        held = json.loads(data or b"")
        return {name: str(held[name]) for name in ("key", "sha256")}
    except (ValueError, KeyError, TypeError):
        return None


def _log(notes: list[str]) -> None:
    for note in notes:
        log.info(note)
