"""What type checkers see: `mypy --strict` checks this file, nothing runs it."""

from __future__ import annotations


import numpy as np
import numpy.typing as npt
import PIL.Image
from typing_extensions import assert_type

import lacuna_inpaint as lacuna
from lacuna_inpaint.compat import SimpleLama


def returned_kinds(photo: npt.NDArray[np.uint8], image: PIL.Image.Image, mask: npt.NDArray[np.bool_]) -> None:
    fill = lacuna.Inpainter(method="guided", expand="auto")
    assert_type(lacuna.inpaint(photo, mask, seed=3), npt.NDArray[np.uint8])
    assert_type(lacuna.inpaint(image, mask), PIL.Image.Image)
    assert_type(fill(image, image), PIL.Image.Image)
    assert_type(fill(photo, mask, samples=3), list[npt.NDArray[np.uint8]])
    assert_type(lacuna.inpaint_bytes(b"", b"", format="png", threads=2), bytes)
    assert_type(SimpleLama(threads=1)(image, mask), PIL.Image.Image)
    lacuna.inpaint(photo, mask, method="magic")  # type: ignore[call-overload]
    lacuna.Inpainter(expand="wide")  # type: ignore[arg-type]
