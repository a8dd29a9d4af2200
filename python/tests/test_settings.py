"""Settings are checked where they enter; errors have classes of their own."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import REPOSITORY

import lacuna_inpaint as lacuna
from lacuna_inpaint.inpainter import FileOptions

FLAG = re.compile(r"--[a-z]")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"method": "magic"}, 'unknown method "magic": expected one of guided, patchmatch, network'),
        ({"strategy": "whole"}, 'unknown strategy "whole": expected one of auto, full, crop, resize'),
        ({"seed": -1}, "seed is -1, expected a whole number from 0 to 18446744073709551615"),
        ({"expand": "wide"}, "expand is 'wide', expected a whole number from 0 to 65535"),
        ({"feather": 1.5}, "feather is 1.5, expected a whole number"),
        ({"threads": 0}, "threads is 0, expected a whole number from 1"),
        ({"max_memory": "2G"}, "max_memory is '2G', expected a whole number"),
        ({"refine": 201}, "refine is 201, expected a whole number from 1 to 200"),
        ({"refine_side": 64}, "refine_side 64 needs refine, but refine is None"),
        ({"long_side": 64}, "long_side 64 needs strategy resize, but strategy is auto"),
        ({"timeout": -1}, "timeout is -1, expected seconds from 0"),
        ({"method": "patchmatch", "model": "x.pt"}, "method patchmatch uses no model, but model x.pt was given"),
        ({"method": "patchmatch", "refine": 9}, "method patchmatch uses no network to refine, but refine 9"),
    ],
)
def test_wrong_settings_are_named_with_both_values(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(lacuna.Error) as error:
        lacuna.Inpainter(**settings)
    assert text in str(error.value) and not FLAG.search(str(error.value))


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        lacuna.inpaint(np.zeros((9, 9), np.uint8), np.zeros((9, 9)), colour=1)  # type: ignore[call-overload]
    with pytest.raises(lacuna.Error, match="samples is 0, expected a whole number from 1"):
        lacuna.inpaint(np.zeros((9, 9), np.uint8), np.zeros((9, 9)), samples=0)
    with pytest.raises(lacuna.Error, match="method network has one result for all seeds, but samples is 2"):
        lacuna.inpaint(np.zeros((9, 9), np.uint8), np.zeros((9, 9)), samples=2, method="network")


def test_classes_of_errors() -> None:
    for error in (lacuna.PictureError, lacuna.TooLarge, lacuna.MemoryBudget, lacuna.CheckpointError, lacuna.Stopped):
        assert issubclass(error, lacuna.Error) and issubclass(error, ValueError)
        assert str(pickle.loads(pickle.dumps(error("text")))) == "text"
    assert issubclass(lacuna.MemoryBudget, MemoryError)


def test_models_are_files_or_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: npt.NDArray[np.uint8], hole: npt.NDArray[np.bool_]
) -> None:
    monkeypatch.setenv("LACUNA_MODELS", str(tmp_path))
    with pytest.raises(lacuna.CheckpointError) as error:
        lacuna.inpaint(photo, hole, model="big-lama")
    assert f"installed in {tmp_path}: none" in str(error.value) and not FLAG.search(str(error.value))
    with pytest.raises(FileNotFoundError, match="absent.pt"):
        lacuna.inpaint(photo, hole, model=tmp_path / "absent.pt")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    with pytest.raises(lacuna.CheckpointError, match="broken.safetensors: "):
        lacuna.inpaint(photo, hole, model=broken)
    # The network that is built in, as a file: the same weights, the same fill.
    weights = REPOSITORY / "crates" / "lacuna" / "network" / "default.safetensors"
    expected = lacuna.inpaint(photo, hole)
    broken.write_bytes(weights.read_bytes())
    assert np.array_equal(lacuna.inpaint(photo, hole, model="broken", method="guided"), expected)
    assert np.array_equal(lacuna.inpaint(photo, hole, model=broken), lacuna.inpaint(photo, hole, method="network"))
    with pytest.raises(lacuna.MemoryBudget, match="broken.safetensors: .* MiB of memory are needed, 20.0 MiB are"):
        lacuna.inpaint(photo, hole, model=broken, max_memory=20 << 20, threads=1)
    # Other weights under the same name are other weights.
    other = bytearray(weights.read_bytes())
    other[-4096:] = bytes(4096)
    broken.write_bytes(other)
    os.utime(broken, ns=(1, 1))
    assert not np.array_equal(lacuna.inpaint(photo, hole, model=broken), lacuna.inpaint(photo, hole, method="network"))


def test_an_inpainter_is_a_value(photo: npt.NDArray[np.uint8], hole: npt.NDArray[np.bool_]) -> None:
    fill = lacuna.Inpainter(seed=np.int64(3), model=Path("a/b.pt"))
    assert fill == lacuna.Inpainter(seed=3, model="a/b.pt") and hash(fill) == hash(pickle.loads(pickle.dumps(fill)))
    assert "seed=3" in repr(fill)
    with pytest.raises(AttributeError):
        fill.seed = 4  # type: ignore[misc]


def test_functions_and_classes_have_the_same_settings() -> None:
    assert set(lacuna.Settings.__annotations__) == set(lacuna.Inpainter.__dataclass_fields__)
    assert set(lacuna.FileSettings.__annotations__) == set(FileOptions.__dataclass_fields__)
