"""Images and masks of several kinds as arrays, and back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeGuard, TypeVar

import numpy as np

from .errors import Error, PictureError

if TYPE_CHECKING:
    import numpy.typing as npt
    import PIL.Image

    Array = npt.NDArray[Any]
    Hole = npt.NDArray[np.bool_]

Layout = Literal["HWC", "CHW"]
Order = Literal["RGB", "BGR"]

DTYPES = ("uint8", "uint16", "float32")
# Pillow's modes of 1 to 4 channels of these types.
MODES = ("L", "LA", "RGB", "RGBA", "I;16", "F")
MOST_CHANNELS = 4


class SupportsArray(Protocol):
    """An array of another library, on the processor: ``torch.Tensor``, ``jax.Array`` ..."""

    def __array__(self, dtype: Any = None) -> Array: ...


class SupportsDLPack(Protocol):
    """An array of another library that shares its memory."""

    def __dlpack__(self) -> object: ...


# An image that comes back as the same kind.
Image = TypeVar("Image", bound="Array | PIL.Image.Image")


@dataclass(frozen=True)
class Samples:
    """An image as Lacuna takes it, and the way back to its own kind."""

    values: Array  # [height, width, channels], contiguous, in the machine's byte order
    restore: Callable[[Array], Any]


def read_image(image: object, layout: Layout, order: Order) -> Samples:
    """The samples of an image."""
    for name, value, known in (("layout", layout, ("HWC", "CHW")), ("order", order, ("RGB", "BGR"))):
        if value not in known:
            raise Error(f"{name} is {value!r}, expected one of {', '.join(known)}")
    if is_pil(image):
        if (layout, order) != ("HWC", "RGB"):
            raise Error(f"layout {layout} and order {order} are for arrays, but the image is a PIL image")
        return _of_pil(image)
    return _of_array(_as_array(image, "image"), layout, order)


def read_mask(mask: object, name: str, layout: Layout) -> Hole:
    """The pixels of a mask that are not zero: ``[height, width]``."""
    if is_pil(mask):
        return np.ascontiguousarray(_hole_of_pil(mask))
    array = _as_array(mask, name)
    if array.dtype.kind not in "buif":
        raise PictureError(f"{name}: the dtype is {array.dtype}, expected bool or numbers")
    hole = array != 0
    if hole.ndim == 3:
        channels = 0 if layout == "CHW" else 2
        if hole.shape[channels] not in (1, 3):
            raise PictureError(
                f"{name}: {hole.shape[channels]} channels in the shape {hole.shape} with layout {layout}, expected 1 or 3"
            )
        hole = hole.any(axis=channels)
    if hole.ndim != 2:
        raise PictureError(f"{name}: the shape is {array.shape}, expected two or three dimensions")
    return np.ascontiguousarray(hole)


def check_floats(image: Samples, hole: Hole) -> None:
    """Refuses floats that are no colours. In the hole there may be anything, such as NaN."""
    values = image.values
    if values.dtype != np.float32 or values.shape[:2] != hole.shape:
        return
    # NaN compares as false.
    wrong = ~((values >= 0) & (values <= 1)) & ~hole[..., None]
    count = int(wrong.sum())
    if count > 0:
        row, column, channel = (int(place[0]) for place in np.nonzero(wrong))
        first = values[row, column, channel]
        raise PictureError(
            f"image: {count} known values outside [0, 1], first {first} at row {row}, column {column}: "
            "floats are colours from 0 to 1"
        )


def is_pil(image: object) -> TypeGuard[PIL.Image.Image]:
    """Whether this is an image of Pillow, without importing Pillow."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def _as_array(image: object, name: str) -> Array:
    if isinstance(image, np.ndarray):
        return image
    try:
        if hasattr(image, "__dlpack__"):
            try:
                return np.from_dlpack(image)
            except (BufferError, RuntimeError, TypeError):
                # Some types travel by the other way only.
                if not hasattr(image, "__array__"):
                    raise
        if hasattr(image, "__array__") or hasattr(image, "__array_interface__"):
            return np.asarray(image)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise PictureError(f"{name}: this {type(image).__name__} is no array on the processor: {error}") from error
    raise TypeError(f"{name} must be an array or a PIL image, not {type(image).__name__}")


def _of_array(array: Array, layout: Layout, order: Order) -> Samples:
    shape, dtype = array.shape, array.dtype
    if dtype.name not in DTYPES:
        raise PictureError(f"image: the dtype is {dtype}, expected {', '.join(DTYPES)}")
    if array.ndim not in (2, 3):
        raise PictureError(f"image: the shape is {shape}, expected two or three dimensions")
    is_first = array.ndim == 3 and layout == "CHW"
    planes = array[..., None] if array.ndim == 2 else np.moveaxis(array, 0, 2) if is_first else array
    channels = planes.shape[2]
    if not 1 <= channels <= MOST_CHANNELS:
        raise PictureError(f"image: {channels} channels in the shape {shape} with layout {layout}, expected 1 to {MOST_CHANNELS}")
    swapped = [2, 1, 0, 3][:channels] if order == "BGR" and channels >= 3 else list(range(channels))

    def restore(filled: Array) -> Array:
        filled = filled[..., swapped]
        filled = np.moveaxis(filled, 2, 0) if is_first else filled
        return np.ascontiguousarray(filled.reshape(shape), dtype=dtype)

    values = np.ascontiguousarray(planes[..., swapped], dtype=dtype.newbyteorder("="))
    return _without_alpha(Samples(values, restore))


def _without_alpha(image: Samples) -> Samples:
    """Grey floats without their alpha, which there is no other kind of image for."""
    values = image.values
    if values.dtype != np.float32 or values.shape[2] != 2:
        return image
    alpha = values[..., 1:]
    grey = np.ascontiguousarray(values[..., :1])
    return Samples(grey, lambda filled: image.restore(np.concatenate([filled, alpha], axis=2)))


def _of_pil(image: PIL.Image.Image) -> Samples:
    from PIL import Image as pillow

    plain, info = image, dict(image.info)
    if image.mode == "P":
        # New colours have no place in a palette.
        plain = image.convert("RGBA" if "transparency" in info else "RGB")
        info.pop("transparency", None)
    if plain.mode not in MODES:
        raise PictureError(f"image: the mode is {image.mode}, expected {', '.join(MODES)} or P: convert it first")
    array = _of_array(np.asarray(plain), "HWC", "RGB")

    def restore(filled: Array) -> PIL.Image.Image:
        result = pillow.fromarray(array.restore(filled))
        result.info = info
        return result

    return Samples(array.values, restore)


def _hole_of_pil(mask: PIL.Image.Image) -> Hole:
    if mask.mode == "P":
        mask = mask.convert("RGBA" if "transparency" in mask.info else "RGB")
    if mask.mode in ("LA", "RGBA"):
        # As the program reads mask files: alpha counts if it is not opaque everywhere.
        alpha = mask.getchannel("A")
        if alpha.getextrema() != (255, 255):
            return _hole_of_pil(alpha)
    if mask.mode in ("RGB", "LA", "RGBA"):
        mask = mask.convert("L")
    hole: Hole = np.asarray(mask) != 0
    if hole.ndim != 2:
        raise PictureError(f"mask: the mode is {mask.mode}, expected 1, L, LA, RGB, RGBA, P, I, I;16 or F")
    return hole
