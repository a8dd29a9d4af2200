"""The interfaces of other libraries, so that a script changes one import.

>>> from lacuna_inpaint.compat import SimpleLama  # instead of simple_lama_inpainting
>>> from lacuna_inpaint import compat as cv2  # for cv2.inpaint, INPAINT_NS and INPAINT_TELEA
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import Error
from .images import is_pil
from .inpainter import Inpainter, Settings

if TYPE_CHECKING:
    import PIL.Image
    from typing_extensions import Unpack

    from .images import Array

__all__ = ["INPAINT_NS", "INPAINT_TELEA", "SimpleLama", "inpaint"]

# OpenCV's numbers.
INPAINT_NS = 0
INPAINT_TELEA = 1

# The variable in which simple-lama-inpainting looks for a weights file.
MODEL_VARIABLE = "LAMA_MODEL"


class SimpleLama:
    """``simple_lama_inpainting.SimpleLama``: ``SimpleLama()(image, mask)`` returns a PIL image, RGB.

    Without ``model`` the weights are those that the environment variable ``LAMA_MODEL`` names, else Lacuna's own. ``model=
    "big-lama"`` is LaMa's network, after ``lacuna model fetch big-lama``. The result is as large as the image.
    """

    def __init__(self, device: object = None, **settings: Unpack[Settings]) -> None:
        if device is not None and not str(device).startswith("cpu"):
            warnings.warn(f"Lacuna computes on the processor, not on {device}", stacklevel=2)
        settings.setdefault("model", os.environ.get(MODEL_VARIABLE) or None)
        self.inpainter = Inpainter(**settings)

    def __call__(self, image: PIL.Image.Image | Array, mask: PIL.Image.Image | Array) -> PIL.Image.Image:
        from PIL import Image as pillow

        photo = image if is_pil(image) else pillow.fromarray(np.asarray(image))
        return self.inpainter(photo.convert("RGB"), mask)


def inpaint(src: Array, inpaintMask: Array, inpaintRadius: float, flags: int) -> Array:
    """``cv2.inpaint``: ``src`` is grey or BGR, pixels of ``inpaintMask`` that are not zero are filled.

    ``inpaintRadius`` and ``flags`` choose between OpenCV's methods and have no influence: the fill is that of
    ``lacuna_inpaint.inpaint``.
    """
    if flags not in (INPAINT_NS, INPAINT_TELEA):
        raise Error(f"flags is {flags!r}, expected INPAINT_NS ({INPAINT_NS}) or INPAINT_TELEA ({INPAINT_TELEA})")
    if not inpaintRadius >= 0:
        raise Error(f"inpaintRadius is {inpaintRadius!r}, expected a radius from 0")
    fill: Any = Inpainter()
    filled: Array = fill(src, inpaintMask, order="BGR")
    return filled
