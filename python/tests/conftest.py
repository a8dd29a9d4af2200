"""A small photo with texture, its hole, and the program to compare with."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

WIDTH, HEIGHT = 96, 80
REPOSITORY = Path(__file__).parents[2]


def photo_of(width: int, height: int) -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 5 + y / 9), np.sin(x / 7 - y / 4), np.cos(x / 3) * np.sin(y / 6)]
    return np.stack([127.5 + 100 * wave for wave in waves], axis=2).astype(np.uint8)


@pytest.fixture
def photo() -> npt.NDArray[np.uint8]:
    """[80, 96, 3]."""
    return photo_of(WIDTH, HEIGHT)


@pytest.fixture
def hole() -> npt.NDArray[np.bool_]:
    """[80, 96]."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[30:50, 40:64] = True
    return mask


def encoded(array: npt.NDArray[np.generic], format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(array).save(file, format, **options)
    return file.getvalue()


def decoded(data: bytes) -> npt.NDArray[np.generic]:
    return np.asarray(PIL.Image.open(io.BytesIO(data)))


@pytest.fixture(scope="session")
def program() -> str:
    """The program ``lacuna`` of the same sources."""
    built = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"), "release", "lacuna")
    path = Path(os.environ.get("LACUNA_PROGRAM", built))
    if not path.is_file():
        pytest.skip(f"NOT TESTED (program): {path} is missing")
    return str(path)
