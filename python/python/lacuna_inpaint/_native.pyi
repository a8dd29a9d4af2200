import os
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from .inpainter import FileOptions, Files, Format, Inpainter

__all__ = [
    "__version__",
    "check",
    "fill",
    "fill_bytes",
    "forecast",
    "key",
    "output_format",
    "read",
    "sha256",
    "write",
]

__version__: str

class _Summary(TypedDict):
    is_copy: bool
    method: str
    strategy: str | None
    hole_fraction: float
    notes: list[str]

def check(settings: Inpainter) -> None: ...
def fill(
    settings: Inpainter,
    image: npt.NDArray[Any],
    mask: npt.NDArray[np.bool_],
    avoid: npt.NDArray[np.bool_] | None,
    seeds: list[int],
) -> tuple[list[npt.NDArray[Any]], list[str]]: ...
def fill_bytes(settings: Inpainter, options: FileOptions, files: Files) -> tuple[bytes, _Summary]: ...
def forecast(settings: Inpainter, options: FileOptions, files: Files) -> tuple[int, float]: ...
def key(settings: Inpainter, options: FileOptions, files: Files) -> str: ...
def output_format(path: str | os.PathLike[str], options: FileOptions) -> Format | None: ...
def read(path: str | os.PathLike[str], options: FileOptions) -> bytes: ...
def sha256(path: str | os.PathLike[str]) -> str | None: ...
def write(path: str | os.PathLike[str], data: bytes) -> None: ...
