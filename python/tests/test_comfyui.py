"""The node for ComfyUI, with stand-ins for ComfyUI's modules and for tensors."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import lacuna_inpaint
from conftest import REPOSITORY


class Tensor:
    """What the node uses of a tensor, over NumPy."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def ndim(self) -> int:
        return self.array.ndim

    def __getitem__(self, index: int | None) -> Tensor:
        return Tensor(self.array[index])

    def __setitem__(self, index: int, value: Tensor) -> None:
        self.array[index] = value.array

    def __ge__(self, least: float) -> Tensor:
        return Tensor(self.array >= least)

    def clone(self) -> Tensor:
        return Tensor(self.array.copy())

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> npt.NDArray[Any]:
        return self.array

    def new_tensor(self, array: npt.NDArray[Any]) -> Tensor:
        return Tensor(array.astype(self.array.dtype))


class Interrupted(Exception):
    """ComfyUI's cancel."""


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The node's module, and what happened to ComfyUI's parts."""
    seen = SimpleNamespace(done=0, total=0, interrupt_after=None)

    class ProgressBar:
        def __init__(self, total: int) -> None:
            seen.total = total

        def update(self, count: int) -> None:
            seen.done += count

    def check() -> None:
        if seen.interrupt_after is not None and seen.done >= seen.interrupt_after:
            raise Interrupted

    def field(name: str = "", **options: Any) -> tuple[str, dict[str, Any]]:
        return name, options

    kind = SimpleNamespace(Input=field, Output=field)
    io = SimpleNamespace(
        ComfyNode=object, Image=kind, Mask=kind, Combo=kind, Int=kind,
        Schema=lambda **parts: SimpleNamespace(**parts), NodeOutput=lambda *values: values,
    )
    modules = {
        "comfy": {},
        "comfy.model_management": {"throw_exception_if_processing_interrupted": check},
        "comfy.utils": {"ProgressBar": ProgressBar},
        "comfy_api": {},
        "comfy_api.latest": {"ComfyExtension": object, "io": io},
    }
    for name, contents in modules.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("comfy_lacuna", REPOSITORY / "integrations/comfyui/__init__.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    seen.node = asyncio.run(asyncio.run(module.comfy_entrypoint()).get_node_list())[0]
    return seen


def ask(comfy: SimpleNamespace, image: Tensor, mask: Tensor, **settings: Any) -> npt.NDArray[np.float32]:
    schema = comfy.node.define_schema()
    defaults = {name: options["default"] for name, options in schema.inputs if "default" in options}
    (result,) = comfy.node.execute(image, mask, **{**defaults, **settings})
    array: npt.NDArray[np.float32] = result.array
    return array


def test_a_batch_is_filled_at_its_own_size(
    comfy: SimpleNamespace, photo: npt.NDArray[np.uint8], hole: npt.NDArray[np.bool_]
) -> None:
    image = np.stack([photo, photo[::-1]]).astype(np.float32) / 255
    masks = np.stack([hole, hole[::-1]]).astype(np.float32) * 0.75
    filled = ask(comfy, Tensor(image), Tensor(masks), seed=4)
    assert filled.shape == image.shape and filled.dtype == np.float32
    for before, after, mask in zip(image, filled, masks, strict=True):
        assert (before[mask < 0.5] == after[mask < 0.5]).all()
        assert (before[mask >= 0.5] != after[mask >= 0.5]).any()
    assert (filled[0] == lacuna_inpaint.inpaint(image[0], hole, seed=4)).all()
    assert (comfy.done, comfy.total) == (2, 2)
    one_mask = ask(comfy, Tensor(image), Tensor(hole.astype(np.float32)), method="patchmatch")
    assert (one_mask[1][~hole] == image[1][~hole]).all()


def test_what_does_not_fit_is_named_and_cancel_is_heard(comfy: SimpleNamespace) -> None:
    image = Tensor(np.zeros((2, 40, 48, 3), np.float32))
    with pytest.raises(ValueError, match="the mask has 40 x 48 pixels, the image 48 x 40"):
        ask(comfy, image, Tensor(np.zeros((1, 48, 40), np.float32)))
    with pytest.raises(ValueError, match="there are 3 masks for 2 images"):
        ask(comfy, image, Tensor(np.zeros((3, 40, 48), np.float32)))
    comfy.interrupt_after = 1
    mask = np.zeros((1, 40, 48), np.float32)
    mask[:, 10:20, 10:20] = 1
    with pytest.raises(Interrupted):
        ask(comfy, image, Tensor(mask))
    assert comfy.done == 1
