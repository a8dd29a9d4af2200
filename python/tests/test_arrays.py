"""Arrays: any kind comes back as it was, with other values in the hole only."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import photo_of

import lacuna_inpaint as lacuna

Photo = npt.NDArray[np.uint8]
Hole = npt.NDArray[np.bool_]


def of_kind(photo: Photo, channels: int, dtype: str) -> npt.NDArray[Any]:
    """The photo with 0 (no axis) to 4 channels."""
    alpha = np.full(photo.shape[:2] + (1,), 200, np.uint8)
    alpha[0] = 0
    wide = np.concatenate([photo, alpha], axis=2)
    kinds = {0: photo[..., 0], 1: photo[..., :1], 2: wide[..., 2:], 3: photo, 4: wide}
    if dtype == "float32":
        # Values of no 8-bit or 16-bit grid.
        return (kinds[channels] / np.float32(255) * np.float32(0.987654)).astype(np.float32)
    return kinds[channels].astype(dtype) * (257 if dtype == "uint16" else 1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", range(5))
def test_the_same_kind_comes_back_with_known_bits(photo: Photo, hole: Hole, channels: int, dtype: str) -> None:
    image = of_kind(photo, channels, dtype)
    before = image.copy()
    filled = lacuna.inpaint(image, hole)
    assert type(filled) is np.ndarray
    assert (filled.dtype, filled.shape) == (image.dtype, image.shape)
    assert image.tobytes() == before.tobytes(), "the input is left alone"
    assert filled[~hole].tobytes() == image[~hole].tobytes()
    if channels in (2, 4):
        assert filled[..., -1].tobytes() == image[..., -1].tobytes()
    colours = slice(0, {0: None, 1: 1, 2: 1, 3: 3, 4: 3}[channels])
    inside, held = (values.reshape(hole.shape + (-1,))[hole][:, colours] for values in (filled, image))
    white = 1 if dtype == "float32" else np.iinfo(dtype).max
    assert (inside != held).mean() > 0.5
    assert 0.2 * white < inside.mean() < 0.8 * white


def test_depths_agree(photo: Photo, hole: Hole) -> None:
    fill = lacuna.Inpainter()
    eight = fill(photo, hole)[hole].astype(float) / 255
    sixteen = fill(photo.astype(np.uint16) * 257, hole)[hole] / 65535
    floats = fill(photo / np.float32(255), hole)[hole]
    assert np.abs(eight - sixteen).max() <= 0.5 / 255 + 1e-6
    assert np.abs(sixteen - floats).max() <= 0.5 / 65535 + 1e-6


def test_views_and_byte_orders(photo: Photo, hole: Hole) -> None:
    expected = lacuna.inpaint(photo, hole)
    wide = np.repeat(photo, 2, axis=1)[:, ::2]
    backwards = photo[::-1].copy()[::-1]
    read_only = photo.copy()
    read_only.flags.writeable = False
    for view in (wide, backwards, np.asfortranarray(photo), read_only):
        assert np.array_equal(lacuna.inpaint(view, np.asfortranarray(hole)), expected)
    deep = photo.astype(np.uint16) * 257
    swapped = lacuna.inpaint(deep.astype(">u2"), hole)
    assert swapped.dtype == np.dtype(">u2") and np.array_equal(swapped, lacuna.inpaint(deep, hole))


def test_layout_and_order(photo: Photo, hole: Hole) -> None:
    expected = lacuna.inpaint(photo, hole)
    first = lacuna.inpaint(np.moveaxis(photo, 2, 0).copy(), hole[None], layout="CHW")
    assert first.flags.c_contiguous and np.array_equal(np.moveaxis(first, 0, 2), expected)
    assert np.array_equal(lacuna.inpaint(photo[..., ::-1], hole, order="BGR")[..., ::-1], expected)
    rgba = of_kind(photo, 4, "uint8")
    bgra = lacuna.inpaint(rgba[..., [2, 1, 0, 3]], hole, order="BGR")
    assert np.array_equal(bgra[..., [2, 1, 0, 3]], lacuna.inpaint(rgba, hole))


def test_masks_of_any_numbers(photo: Photo, hole: Hole) -> None:
    expected = lacuna.inpaint(photo, hole)
    colour = np.zeros(hole.shape + (3,), np.uint8)
    colour[hole, 2] = 1
    for mask in (hole * 255, hole.astype(np.float64) * 1e-9, -hole.astype(int), hole[..., None], colour):
        assert np.array_equal(lacuna.inpaint(photo, mask), expected)
    assert np.array_equal(lacuna.inpaint(photo, ~hole & hole), photo), "an empty mask changes nothing"


def test_what_the_hole_holds_is_not_seen(photo: Photo, hole: Hole) -> None:
    image = photo / np.float32(255)
    spoiled = image.copy()
    spoiled[hole] = np.nan
    assert np.array_equal(lacuna.inpaint(spoiled, hole), lacuna.inpaint(image, hole))


def test_seeds_and_samples(photo: Photo, hole: Hole) -> None:
    noise = photo ^ np.random.default_rng(1).integers(0, 64, photo.shape, np.uint8)
    three = lacuna.inpaint(noise, hole, method="patchmatch", seed=4, samples=3)
    alone = [lacuna.inpaint(noise, hole, method="patchmatch", seed=seed) for seed in (4, 5, 6)]
    assert [result.tobytes() for result in three] == [result.tobytes() for result in alone]
    assert len({result.tobytes() for result in three}) == 3
    threads = [lacuna.inpaint(noise, hole, threads=threads) for threads in (1, 3)]
    assert threads[0].tobytes() == threads[1].tobytes()
    assert lacuna.Inpainter(seed=(1 << 64) - 1)(noise, hole, samples=2)[1].shape == noise.shape


def test_growth_and_what_is_avoided(photo: Photo, hole: Hole) -> None:
    changed = (lacuna.inpaint(photo, hole, expand=3) != photo).any(axis=2)
    rows, columns = np.nonzero(changed & ~hole)
    assert len(rows) > 0 and rows.min() >= 27 and columns.min() >= 37 and rows.max() <= 52
    soft = (lacuna.inpaint(photo, hole, feather=4) != photo).any(axis=2)
    assert (soft & ~hole).any()
    red = photo.copy()
    red[:, :36] = (255, 0, 0)
    left = np.zeros_like(hole)
    left[:, :36] = True
    filled = lacuna.inpaint(red, hole, avoid=left, method="patchmatch")[hole]
    assert not (filled == (255, 0, 0)).all(axis=1).any()


def test_every_method_and_strategy(photo: Photo, hole: Hole) -> None:
    fills = [
        lacuna.inpaint(photo, hole, method="guided"),
        lacuna.inpaint(photo, hole, method="patchmatch"),
        lacuna.inpaint(photo, hole, method="network"),
        lacuna.inpaint(photo, hole, method="network", refine=3),
    ]
    assert len({fill.tobytes() for fill in fills}) == len(fills)
    # Large enough for a smaller copy to have a hole, too.
    large, wide = photo_of(160, 160), np.kron(hole, np.ones((2, 2), bool))[:, 16:176]
    wide[40:120, 40:120] = True
    plain = lacuna.inpaint(large, wide, method="network", refine=3)
    assert not np.array_equal(lacuna.inpaint(large, wide, method="network", refine=3, refine_side=64), plain)
    for strategy in ("full", "crop"):
        lacuna.Inpainter(strategy=strategy)(photo, hole)
    small = lacuna.inpaint(photo, hole, strategy="resize", long_side=48)
    assert np.array_equal(small[~hole], photo[~hole])


def test_what_cannot_be_filled_is_named_with_both_values(photo: Photo, hole: Hole) -> None:
    image = photo / np.float32(255)
    bright, missing = image.copy(), image.copy()
    bright[5, 7, 1], missing[2, 3] = 200.0, np.nan
    for wrong, mask, options, text in [
        (photo.astype(np.float64), hole, {}, "image: the dtype is float64, expected uint8, uint16, float32"),
        (photo[None], hole, {}, "image: the shape is (1, 80, 96, 3), expected two or three dimensions"),
        (np.moveaxis(photo, 2, 0), hole, {}, "image: 96 channels in the shape (3, 80, 96) with layout HWC"),
        (bright, hole, {}, "image: 1 known values outside [0, 1], first 200.0 at row 5, column 7"),
        (missing, hole, {}, "image: 3 known values outside [0, 1], first nan at row 2, column 3"),
        (photo, hole[:, :90], {}, "the mask is 90 x 80 pixels, the image 96 x 80"),
        (photo, hole.T, {}, "the mask is 80 x 96 pixels, the image 96 x 80; the mask must be upright"),
        (photo, hole, {"avoid": hole[:9]}, "the mask is 96 x 9 pixels, the image 96 x 80"),
        (photo, ~(hole & ~hole), {}, "the mask covers the whole image of 96 x 80 pixels"),
        (photo, hole.astype(str), {}, "mask: the dtype is <U5, expected bool or numbers"),
        (photo, np.stack([hole] * 4, axis=2), {}, "mask: 4 channels in the shape (80, 96, 4)"),
        (photo[:0], hole[:0], {}, "image: the image has no pixels (96 x 0)"),
    ]:
        with pytest.raises(lacuna.PictureError) as error:
            lacuna.Inpainter()(wrong, mask, **options)
        assert text in str(error.value)
    with pytest.raises(TypeError, match="image must be an array or a PIL image, not list"):
        lacuna.Inpainter()([[1]], hole)  # type: ignore[call-overload]


class Tensor:
    """Another library's array."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> npt.NDArray[Any]:
        return self.array


class Shared(Tensor):
    """One that shares memory."""

    def __dlpack__(self, **options: Any) -> object:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


class OnGpu(Shared):
    """One whose memory is elsewhere."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> npt.NDArray[Any]:
        raise TypeError("can't convert a cuda:0 tensor")

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **options: Any) -> object:
        raise BufferError("on device cuda:0")


def test_arrays_of_other_libraries(photo: Photo, hole: Hole) -> None:
    expected = lacuna.inpaint(photo, hole)
    assert np.array_equal(lacuna.inpaint(Tensor(photo), Tensor(hole)), expected)
    assert np.array_equal(lacuna.inpaint(Shared(photo), Shared(hole.astype(np.uint8))), expected)
    with pytest.raises(lacuna.PictureError, match="image: this OnGpu is no array on the processor: .*cuda:0"):
        lacuna.inpaint(OnGpu(photo), hole)
