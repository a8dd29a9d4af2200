"""Images of Pillow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

import lacuna_inpaint as lacuna

Photo = npt.NDArray[np.uint8]
Hole = npt.NDArray[np.bool_]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_modes_and_info_are_kept(photo: Photo, hole: Hole, mode: str) -> None:
    image = PIL.Image.fromarray(photo).convert(mode)
    image.info = {"dpi": (300, 300), "icc_profile": b"profile"}
    filled = lacuna.inpaint(image, PIL.Image.fromarray(hole))
    assert (type(filled), filled.mode, filled.size, filled.info) == (PIL.Image.Image, mode, image.size, image.info)
    assert np.array_equal(np.asarray(filled), lacuna.inpaint(np.asarray(image), hole))


def test_sixteen_bits_and_floats(photo: Photo, hole: Hole) -> None:
    for values in (photo[..., 0].astype(np.uint16) * 257, photo[..., 0] / np.float32(255)):
        filled = lacuna.inpaint(PIL.Image.fromarray(values), hole)
        assert np.asarray(filled).dtype == values.dtype
        assert np.array_equal(np.asarray(filled), lacuna.inpaint(values, hole))


def test_palettes_become_rgb(photo: Photo, hole: Hole) -> None:
    image = PIL.Image.fromarray(photo).quantize(16)
    filled = lacuna.inpaint(image, hole)
    known = np.asarray(image.convert("RGB"))
    assert filled.mode == "RGB" and np.array_equal(np.asarray(filled)[~hole], known[~hole])
    image.info["transparency"] = 3
    filled = lacuna.inpaint(image, hole)
    assert filled.mode == "RGBA" and "transparency" not in filled.info


def test_masks_are_read_as_the_program_reads_them(photo: Photo, hole: Hole) -> None:
    expected = lacuna.inpaint(photo, hole)
    grey = PIL.Image.fromarray(hole.astype(np.uint8) * 255)
    clear = PIL.Image.merge("LA", (PIL.Image.new("L", grey.size, 255), grey))
    opaque = PIL.Image.merge("LA", (grey, PIL.Image.new("L", grey.size, 255)))
    for mask in (
        grey,
        grey.convert("1"),
        grey.convert("RGB"),
        grey.convert("P"),
        clear,
        opaque,
        opaque.convert("RGBA"),
    ):
        assert np.array_equal(lacuna.inpaint(photo, mask), expected), mask.mode


def test_other_modes_are_refused(photo: Photo, hole: Hole) -> None:
    image = PIL.Image.fromarray(photo)
    with pytest.raises(lacuna.PictureError, match="image: the mode is CMYK, expected L, LA, RGB, RGBA, I;16, F or P"):
        lacuna.inpaint(image.convert("CMYK"), hole)
    with pytest.raises(lacuna.PictureError, match="mask: the mode is CMYK, expected 1, L"):
        lacuna.inpaint(image, image.convert("CMYK"))
    with pytest.raises(lacuna.Error, match="layout CHW and order RGB are for arrays"):
        lacuna.inpaint(image, hole, layout="CHW")
