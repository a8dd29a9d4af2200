#!/usr/bin/env python3
"""LPIPS (VGG) and FID features by torchmetrics and pytorch-fid, to compare with `lacuna eval`.

usage: peer.py SET FILLS COUNT        needs: torch, torchmetrics, pytorch-fid, lpips, pillow, safetensors
       LACUNA_METRIC_WEIGHTS is the folder of Lacuna's weights: both sides run the same numbers.

Prints seconds for each: reading pictures is not counted.
"""
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pytorch_fid import inception
from safetensors.torch import load_file
from torchmetrics.functional.image.lpips import _LPIPS

WEIGHTS = Path(os.environ["LACUNA_METRIC_WEIGHTS"])


def picture(path):
    values = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
    return torch.from_numpy(values).permute(2, 0, 1)


def lpips():
    # Without a download: torchvision's network with random numbers, then the published ones.
    import torchvision

    original = torchvision.models.vgg16
    torchvision.models.vgg16 = lambda *_, **__: original()
    network = _LPIPS(pretrained=True, net="vgg", pnet_rand=True).eval()
    torchvision.models.vgg16 = original
    tensors = load_file(WEIGHTS / "lpips_vgg_v0.1.safetensors")
    convolutions = [module for module in network.net.modules() if isinstance(module, torch.nn.Conv2d)]
    names = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("features")})
    for index, module in zip(names, convolutions):
        module.weight.data = tensors[f"features.{index}.weight"]
        module.bias.data = tensors[f"features.{index}.bias"]
    return network


def fid():
    network = inception.fid_inception_v3.__wrapped__() if hasattr(inception.fid_inception_v3, "__wrapped__") else None
    if network is None:
        saved = inception.load_state_dict_from_url
        inception.load_state_dict_from_url = lambda *_, **__: inception_state()
        network = inception.InceptionV3([3]).eval()
        inception.load_state_dict_from_url = saved
    return network


def inception_state():
    state = dict(load_file(WEIGHTS / "fid_inception_v3_2015-12-05_pool3.safetensors"))
    for name in [name for name in state if name.endswith("bn.bias")]:
        state[name[:-4] + "weight"] = torch.ones_like(state[name])
        state[name[:-4] + "num_batches_tracked"] = torch.tensor(0)
    state["fc.weight"], state["fc.bias"] = torch.zeros(1008, 2048), torch.zeros(1008)
    return state


def main():
    masks, fills, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    paths = sorted(masks.rglob("*_mask*.png"))[:count]
    pairs = [(picture(p.with_name(p.stem[: p.stem.rfind("_mask")] + ".png")), picture(fills / p.relative_to(masks))) for p in paths]
    torch.set_grad_enabled(False)
    network = lpips()
    start = time.perf_counter()
    distances = []
    for at in range(0, len(pairs), 8):
        truth, fill = (torch.stack(batch) for batch in zip(*pairs[at : at + 8]))
        distances += network(2 * fill - 1, 2 * truth - 1).flatten().tolist()
    print(f"lpips {time.perf_counter() - start:.3f} s, mean {np.mean(distances):.6f}")
    network = fid()
    start = time.perf_counter()
    total = 0.0
    for at in range(0, len(pairs), 8):
        total += network(torch.stack([fill for _, fill in pairs[at : at + 8]]))[0].sum().item()
    print(f"features {time.perf_counter() - start:.3f} s, sum {total:.3f}")


if __name__ == "__main__":
    main()
