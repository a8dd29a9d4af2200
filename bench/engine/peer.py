"""Runs PyTorch or ONNX Runtime in a process of its own, so that its memory and start are measured separately. compare.py calls it.

Prints one JSON object as soon as the last pass is done. Imports stand in the functions: they are part of a
peer's start, and a peer must not pay for another's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

LEARNING_RATE = 1e-3  # the default of torch.optim.Adam


def torch_eager(arguments: argparse.Namespace) -> Callable[[], Any]:
    """A pass of PyTorch eager."""
    import torch
    from safetensors.torch import load_file, save_file

    from networks import load

    torch.set_num_threads(arguments.threads)
    layout = torch.channels_last if arguments.peer == "torch-channels-last" else torch.contiguous_format
    network = load(arguments.model).to(memory_format=layout)
    inputs = load_file(arguments.inputs)
    image, mask = (inputs[name].to(memory_format=layout) for name in ("image", "mask"))

    def predict() -> None:
        with torch.inference_mode():
            predicted = network(image, mask).contiguous()
        if arguments.output:
            save_file({"predicted": predicted}, arguments.output)

    return predict


def onnx_runtime(arguments: argparse.Namespace) -> Callable[[], Any]:
    """A pass of ONNX Runtime on the CPU."""
    import onnxruntime
    from safetensors.numpy import load_file, save_file

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    inputs = load_file(arguments.inputs)

    def predict() -> None:
        (predicted,) = session.run(["predicted"], inputs)
        if arguments.output:
            save_file({"predicted": predicted}, arguments.output)

    return predict


def torch_training(arguments: argparse.Namespace) -> Callable[[], Any]:
    """A training step of PyTorch eager: forward, L1 to a fixed target, backward, Adam on all parameters."""
    import torch

    from networks import Network, NetworkConfig

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    last = arguments.peer == "train-torch-channels-last"
    layout = torch.channels_last if last else torch.contiguous_format
    network = Network(NetworkConfig(**json.loads(arguments.config))).to(memory_format=layout).train()
    adam = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    batch, side = arguments.batch, arguments.side
    image, target = (torch.rand((batch, 3, side, side)).to(memory_format=layout) for _ in range(2))
    mask = (torch.rand((batch, 1, side, side)) < 0.25).float().to(memory_format=layout)

    def step() -> None:
        adam.zero_grad(set_to_none=True)
        torch.nn.functional.l1_loss(network(image, mask), target).backward()
        adam.step()

    return step


PEERS = {
    "torch": torch_eager,
    "torch-channels-last": torch_eager,
    "ort": onnx_runtime,
    "train-torch": torch_training,
    "train-torch-channels-last": torch_training,
}


def percentile(values: list[float], share: float) -> float:
    """By linear interpolation."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--passes", type=int, required=True)
    parser.add_argument("--warm-up", type=int, required=True)
    parser.add_argument("--model", help="Lacuna's file for PyTorch, .onnx for ONNX Runtime")
    parser.add_argument("--inputs", help="image and mask, safetensors")
    parser.add_argument("--output", help="write the prediction there; for comparing, not for timing")
    parser.add_argument("--config", help="of a network to train, as JSON")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--side", type=int)
    arguments = parser.parse_args()
    once = PEERS[arguments.peer](arguments)
    for _ in range(arguments.warm_up):
        once()
    times, processor_times = [], []
    for _ in range(arguments.passes):
        begin, processor_begin = time.perf_counter(), time.process_time()
        once()
        times.append(time.perf_counter() - begin)
        processor_times.append(time.process_time() - processor_begin)
    summary = {"p50_s": percentile(times, 0.5), "p95_s": percentile(times, 0.95), "min_s": min(times)}
    print(json.dumps(summary | {"times_s": times, "processor_times_s": processor_times}), flush=True)


if __name__ == "__main__":
    main()
