#!/usr/bin/env python3
"""Compares the convolutions of a training step with PyTorch's, layer by layer; README.md says how.

    cargo build --release -p lacuna-cpu --example conv_speed
    VENV/bin/python bench/training/layers.py --sides 64 128 --batches 1 16

For every layer of VGG16 (plain and wide), of a discriminator of width 64, and of a generator: forward, input gradient (dX)
and weight gradient (dW). The programs take turns, layer by layer; a cell is the least time of all rounds. Prints a
Markdown table with times of Lacuna and ratios to PyTorch's; layers of equal shape are listed once.
"""

import argparse
import os
import pathlib
import subprocess
import time

import torch
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
LEAST_SECONDS, LEAST_RUNS = 0.06, 5


def vgg(batch, side, wide):
    """(name, batch, channels_in, channels_out, side, kernel, stride, padding, dilation)"""
    channels = 3
    for stage, (width, count) in enumerate(STAGES):
        dilation = 2 ** (stage - 2) if wide and stage > 2 else 1
        if stage and dilation == 1:
            side //= 2
        for _ in range(count):
            yield f"VGG16 {'wide' if dilation > 1 else ''}", batch, channels, width, side, 3, 1, "zero1", dilation
            channels = width


def discriminator(batch, side, width=64):
    channels = 3
    for layer in range(4):
        stride = 2 if layer < 3 else 1
        out = width * 2**layer
        yield "discriminator", batch, channels, out, side, 4, stride, "zero2", 1
        channels, side = out, (side + 4 - 4) // stride + 1
    yield "discriminator", batch, channels, 1, side, 4, 1, "zero2", 1


def generator(batch, side, width):
    name = f"generator {width}"
    yield name, batch, 4, width, side, 7, 1, "reflect3", 1
    for level in range(3):
        yield name, batch, width << level, width << (level + 1), side >> level, 3, 2, "reflect1", 1
    side, channels = side // 8, 8 * width
    local, whole = channels // 4, channels - channels // 4
    for channels_in, channels_out in (local, local), (local, whole), (whole, local):
        yield name, batch, channels_in, channels_out, side, 3, 1, "reflect1", 1
    yield name, batch, whole, whole // 2, side, 1, 1, "none0", 1
    yield name, batch, whole, whole, max(side * (side // 2 + 1), 1) ** 0.5, 1, 1, "none0", 1
    yield name, batch, whole // 2, whole, side, 1, 1, "none0", 1
    yield name, batch, width, 3, side * 8, 7, 1, "reflect3", 1


def layers(sides, batches, widths):
    seen = set()
    for batch in batches:
        for side in sides:
            groups = [vgg(batch, side, False), vgg(batch, side, True), discriminator(batch, side)]
            for layer in (layer for group in groups + [generator(batch, side, width) for width in widths] for layer in group):
                name, *shape = layer
                shape[3] = int(shape[3] + 0.5)
                # A map smaller than its phases or its reflected border has no such layer.
                if shape[3] % shape[7] or shape[3] // shape[7] < 2 or tuple(shape) in seen:
                    continue
                seen.add(tuple(shape))
                yield name, *shape


def ours(program, layer, threads):
    _, batch, channels_in, channels_out, side, kernel, stride, padding, dilation = layer
    words = [batch * dilation**2, channels_in, channels_out, side // dilation, kernel, stride, padding]
    command = [program, ",".join(map(str, words))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"RAYON_NUM_THREADS": str(threads)})
    return [float(word) for word in done.stdout.splitlines()[1].split()[1:4]]


def least(work):
    times, begin = [], time.perf_counter()
    while len(times) < LEAST_RUNS or time.perf_counter() - begin < LEAST_SECONDS:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def peers(layer):
    _, batch, channels_in, channels_out, side, kernel, stride, padding, dilation = layer
    by = int(padding[-1]) * dilation
    best = [float("inf")] * 3
    for format in torch.contiguous_format, torch.channels_last:
        x = torch.randn(batch, channels_in, side, side).to(memory_format=format).requires_grad_(True)
        weight = torch.randn(channels_out, channels_in, kernel, kernel).to(memory_format=format).requires_grad_(True)

        def forward(x, weight):
            if padding.startswith("reflect"):
                x = F.pad(x, [by] * 4, mode="reflect")
            return F.conv2d(x, weight, stride=stride, padding=0 if padding.startswith("reflect") else by, dilation=dilation)

        with torch.no_grad():
            times = [least(lambda: forward(x, weight))]
        for inputs in (x,), (weight,):
            y = forward(x if inputs[0] is x else x.detach(), weight if inputs[0] is weight else weight.detach())
            dy = torch.randn_like(y)
            times.append(least(lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)))
        best = [min(pair) for pair in zip(best, times)]
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", default=ROOT / "target/release/examples/conv_speed")
    parser.add_argument("--sides", nargs="+", type=int, default=[64])
    parser.add_argument("--batches", nargs="+", type=int, default=[16])
    parser.add_argument("--widths", nargs="+", type=int, default=[16])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("| layer | batch x channels, side, kernel / stride | forward | dX | dW |\n|" + " --- |" * 5)
    for layer in layers(arguments.sides, arguments.batches, arguments.widths):
        us, them = [float("inf")] * 3, [float("inf")] * 3
        for _ in range(arguments.rounds):
            us = [min(pair) for pair in zip(us, ours(arguments.ours, layer, arguments.threads))]
            them = [min(pair) for pair in zip(them, peers(layer))]
        name, batch, channels_in, channels_out, side, kernel, stride, _, dilation = layer
        shape = f"{batch} x {channels_in} → {channels_out}, {side}, {kernel}/{stride}" + (f", dilated {dilation}" if dilation > 1 else "")
        cells = [f"{our:.2f} ms, {our / their:.2f}" for our, their in zip(us, them)]
        print(f"| {name} | {shape} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
