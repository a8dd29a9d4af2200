"""The interfaces of other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

import lacuna_inpaint as lacuna
from lacuna_inpaint import compat

Photo = npt.NDArray[np.uint8]
Hole = npt.NDArray[np.bool_]


def test_simple_lama(photo: Photo, hole: Hole, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LAMA_MODEL", raising=False)
    lama = compat.SimpleLama(device="cpu")
    mask = PIL.Image.fromarray(hole.astype(np.uint8) * 255)
    expected = lacuna.inpaint(photo, hole)
    for image in (PIL.Image.fromarray(photo), photo, PIL.Image.fromarray(photo).convert("RGBA")):
        filled = lama(image, mask)
        assert filled.mode == "RGB" and filled.size == (96, 80) and np.array_equal(np.asarray(filled), expected)
    assert np.array_equal(np.asarray(lama(photo, hole)), expected)
    with pytest.warns(UserWarning, match="on the processor, not on cuda:0"):
        compat.SimpleLama(device="cuda:0")
    monkeypatch.setenv("LAMA_MODEL", str(tmp_path / "lama.pt"))
    assert compat.SimpleLama().inpainter.model == str(tmp_path / "lama.pt")
    with pytest.raises(FileNotFoundError):
        compat.SimpleLama()(photo, hole)


def test_opencv(photo: Photo, hole: Hole) -> None:
    mask = hole.astype(np.uint8) * 255
    filled = compat.inpaint(photo, mask, 3, compat.INPAINT_TELEA)
    assert np.array_equal(filled, lacuna.inpaint(photo, hole, order="BGR"))
    grey = photo[..., 0]
    by_name = compat.inpaint(src=grey, inpaintMask=mask, inpaintRadius=3.5, flags=compat.INPAINT_NS)
    assert np.array_equal(by_name, lacuna.inpaint(grey, hole))
    with pytest.raises(lacuna.Error, match=r"flags is 7, expected INPAINT_NS \(0\) or INPAINT_TELEA \(1\)"):
        compat.inpaint(photo, mask, 3, 7)
    with pytest.raises(lacuna.Error, match="inpaintRadius is -1"):
        compat.inpaint(photo, mask, -1, 1)
