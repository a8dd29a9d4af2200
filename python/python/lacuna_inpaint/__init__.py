"""Removes objects from photos: fills the pixels that a mask marks, so that it does not show.

>>> import lacuna_inpaint as lacuna
>>> clean = lacuna.inpaint(image, mask)  # NumPy, PIL, DLPack; the same kind comes back
>>> data = lacuna.inpaint_bytes(photo, mask)  # file in, file out
>>> done = lacuna.inpaint_file("photo.jpg", "mask.png", "clean.jpg")

Everything computes on the processor, with a network that is built in. ``lacuna_inpaint.compat`` has the interfaces of
simple-lama-inpainting and OpenCV.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, overload

from ._native import __version__
from .errors import CheckpointError, Error, MemoryBudget, PictureError, Stopped, TooLarge
from .images import Image, Layout, Order, SupportsArray, SupportsDLPack
from .inpainter import AllSettings, FileLike, FileOptions, FileSettings, Forecast, Inpainter, Outcome, Settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .images import Array

__all__ = [
    "AllSettings",
    "CheckpointError",
    "Error",
    "FileSettings",
    "Forecast",
    "Inpainter",
    "MemoryBudget",
    "Outcome",
    "PictureError",
    "Settings",
    "Stopped",
    "TooLarge",
    "__version__",
    "inpaint",
    "inpaint_bytes",
    "inpaint_file",
]


@overload
def inpaint(  # type: ignore[overload-overlap]
    image: Image,
    mask: object,
    *,
    avoid: object = None,
    samples: None = None,
    layout: Layout = "HWC",
    order: Order = "RGB",
    **settings: Unpack[Settings],
) -> Image: ...
@overload
def inpaint(  # type: ignore[overload-overlap]
    image: Image,
    mask: object,
    *,
    avoid: object = None,
    samples: int,
    layout: Layout = "HWC",
    order: Order = "RGB",
    **settings: Unpack[Settings],
) -> list[Image]: ...
@overload
def inpaint(
    image: SupportsDLPack | SupportsArray,
    mask: object,
    *,
    avoid: object = None,
    samples: None = None,
    layout: Layout = "HWC",
    order: Order = "RGB",
    **settings: Unpack[Settings],
) -> Array: ...
@overload
def inpaint(
    image: SupportsDLPack | SupportsArray,
    mask: object,
    *,
    avoid: object = None,
    samples: int,
    layout: Layout = "HWC",
    order: Order = "RGB",
    **settings: Unpack[Settings],
) -> list[Array]: ...
def inpaint(
    image: Any,
    mask: object,
    *,
    avoid: object = None,
    samples: int | None = None,
    layout: Layout = "HWC",
    order: Order = "RGB",
    **settings: Unpack[Settings],
) -> Any:
    """Fills the pixels of an image where a mask is not zero: ``Inpainter(**settings)(image, mask, ...)``."""
    fill: Any = Inpainter(**settings)
    return fill(image, mask, avoid=avoid, samples=samples, layout=layout, order=order)


def inpaint_bytes(image: bytes, mask: bytes | None, *, avoid: bytes | None = None, **settings: Unpack[AllSettings]) -> bytes:
    """Fills the hole of an image file, and returns the bytes of the filled file: ``Inpainter.fill_bytes``."""
    fill, options = _split(settings)
    return fill.fill_bytes(image, mask, avoid=avoid, **options)


def inpaint_file(
    image: FileLike,
    mask: FileLike | None,
    output: str | os.PathLike[str],
    *,
    avoid: FileLike | None = None,
    overwrite: bool = False,
    resume: bool = False,
    **settings: Unpack[AllSettings],
) -> Outcome:
    """Fills the hole of an image file, and writes another file: ``Inpainter.fill_file``."""
    fill, options = _split(settings)
    return fill.fill_file(image, mask, output, avoid=avoid, overwrite=overwrite, resume=resume, **options)


def _split(settings: AllSettings) -> tuple[Inpainter, FileSettings]:
    """The settings of fills, and those of files."""
    of_files = FileOptions.__dataclass_fields__
    given: dict[str, Any] = dict(settings)
    options: Any = {name: value for name, value in given.items() if name in of_files}
    return Inpainter(**{name: value for name, value in given.items() if name not in of_files}), options
