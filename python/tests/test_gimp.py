"""The parts of the plug-in for GIMP that need no GIMP."""

from __future__ import annotations

import importlib.util
import io
import sys
from types import ModuleType

import numpy as np
import PIL.Image
import pytest

from conftest import REPOSITORY


@pytest.fixture
def plug_in() -> ModuleType:
    path = REPOSITORY / "integrations/gimp/lacuna/lacuna.py"
    spec = importlib.util.spec_from_file_location("gimp_lacuna", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_program_is_found_or_the_error_says_how_to_name_it(plug_in: ModuleType) -> None:
    find = {"lacuna": "/bin/lacuna", "other": "/opt/other"}.get
    assert plug_in.program({}, find) == "/bin/lacuna"
    assert plug_in.program({"LACUNA": "other"}, find) == "/opt/other"
    with pytest.raises(plug_in.Failed, match="The program missing was not found.*LACUNA"):
        plug_in.program({"LACUNA": "missing"}, find)


def test_a_mask_is_a_png_file(plug_in: ModuleType) -> None:
    values = (np.arange(35) * 7).astype(np.uint8)
    image = PIL.Image.open(io.BytesIO(plug_in.grey_png(7, 5, values.tobytes())))
    assert image.mode == "L" and (np.asarray(image) == values.reshape(5, 7)).all()


def test_the_programs_message_is_the_error(plug_in: ModuleType) -> None:
    assert plug_in.command("p", "a", "m", "r", 4)[1:5] == ["inpaint", "a", "m", "-o"]
    plug_in.run([sys.executable, "-c", ""])
    with pytest.raises(plug_in.Failed, match="^the last line$"):
        plug_in.run([sys.executable, "-c", "import sys; sys.exit('first\\nthe last line')"])
    with pytest.raises(plug_in.Failed, match="ended with code 3"):
        plug_in.run([sys.executable, "-c", "import sys; sys.exit(3)"])
