"""Generates the inputs of all programs, inside the peers' Python environment. compare.py calls it.

prepare.py weights CONFIG-JSON OUT.safetensors          seeded weights in Lacuna's format
prepare.py inputs SIZE OUT.safetensors                  a random image and mask
prepare.py onnx MODEL.safetensors SIZE OUT.onnx         the network for one size of picture
prepare.py differences A.safetensors B.safetensors ...  largest |A - other| of `predicted`, as JSON
"""

from __future__ import annotations

import dataclasses
import json
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from networks import FourierBlock, Network, NetworkConfig, RegularBlock, load, use_matrix_transforms

SEED = 0
CALIBRATION_SIZE = 256  # pixels a side
BLOCK_DAMPING = 0.2  # of the second norm in each block, so that the sum stays sane over many blocks
OUT_GAIN = 1.0


def weights(config: NetworkConfig, path: str) -> None:
    """Random weights whose running statistics fit them: one training pass with momentum 1 sets these."""
    torch.manual_seed(SEED)
    network = Network(config)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                bound = module.weight[0].numel() ** -0.5
                if isinstance(module, nn.ConvTranspose2d):
                    bound = (module.weight[:, 0].numel() / module.stride[0] ** 2) ** -0.5
                module.weight.uniform_(-bound, bound)
                if module.bias is not None:
                    module.bias.uniform_(-0.1, 0.1)
            elif isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
                module.weight.uniform_(0.9, 1.1)
                module.bias.uniform_(-0.1, 0.1)
        for module in network.modules():
            if isinstance(module, FourierBlock | RegularBlock):
                for norm in module.second.modules():
                    # Only the norms at the block's end; those inside of the spectral transform stay.
                    if isinstance(norm, nn.BatchNorm2d) and norm in module.second.children():
                        norm.weight *= BLOCK_DAMPING
                        norm.bias *= BLOCK_DAMPING
        network.decoder.out.weight *= OUT_GAIN
        network.train()(*random_inputs(CALIBRATION_SIZE))
    state = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    metadata = {
        "lacuna.format": "1",
        "lacuna.network": json.dumps(dataclasses.asdict(config)),
        "lacuna.provenance": f"random weights of bench/engine, seed {SEED}",
    }
    save_file({name: value.contiguous() for name, value in state.items()}, path, metadata)


def random_inputs(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture of soft shapes with noise, and a hole of random boxes."""
    generator = torch.Generator().manual_seed(SEED)
    coarse = torch.rand((1, 3, 16, 16), generator=generator)
    image = F.interpolate(coarse, (size, size), mode="bilinear")
    image = (image + 0.1 * torch.randn((1, 3, size, size), generator=generator)).clamp(0, 1)
    cells = (torch.rand((1, 1, 8, 8), generator=generator) < 0.25).float()
    return image, F.interpolate(cells, (size, size), mode="nearest")


def export(model: str, size: int, path: str) -> None:
    """An ONNX file for one size, with Fourier transforms as matrix products."""
    network = load(model)
    use_matrix_transforms(network, size // 8, size // 8)
    torch.onnx.export(
        network,
        random_inputs(size),
        path,
        input_names=["image", "mask"],
        output_names=["predicted"],
        opset_version=18,
        external_data=False,
        dynamo=True,
        verbose=False,
    )


def differences(paths: list[str]) -> None:
    """Prints the largest difference of each prediction from the first one."""
    first, *others = (load_file(path)["predicted"] for path in paths)
    largest = [float((first - other).abs().max()) for other in others]
    print(json.dumps({"low": float(first.min()), "high": float(first.max()), "differences": largest}))


def main() -> None:
    match sys.argv[1:]:
        case ["weights", config, path]:
            weights(NetworkConfig(**json.loads(config)), path)
        case ["inputs", size, path]:
            image, mask = random_inputs(int(size))
            save_file({"image": image, "mask": mask}, path)
        case ["onnx", model, size, path]:
            with torch.inference_mode():
                export(model, int(size), path)
        case ["differences", *paths]:
            differences(paths)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
