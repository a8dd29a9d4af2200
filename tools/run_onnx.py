#!/usr/bin/env python3
"""Runs an ONNX model that `lacuna model convert` wrote, in ONNX Runtime or OpenCV.

    tools/run_onnx.py MODEL.onnx INPUTS.safetensors OUTPUT.safetensors [--engine onnxruntime|opencv]
    tools/run_onnx.py MODEL.onnx PHOTO.png MASK.png OUTPUT.png                  # a model with --pipeline

INPUTS holds `image` [1,3,H,W] and `mask` [1,1,H,W]; OUTPUT gets `predicted`. Needs numpy, and onnxruntime or opencv-python;
for pictures Pillow.
"""

import argparse
import json
import struct

import numpy as np


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F32", f"{name} is {entry['dtype']}"
        start, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[start:end], "<f4").reshape(entry["shape"])
    return tensors


def write_safetensors(path, name, values):
    values = np.ascontiguousarray(values, "<f4")
    header = {name: {"dtype": "F32", "shape": list(values.shape), "data_offsets": [0, values.nbytes]}}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + values.tobytes())


def run(engine, model, inputs):
    if engine == "opencv":
        import cv2

        network = cv2.dnn.readNetFromONNX(model)
        for name, values in inputs.items():
            network.setInput(values, name)
        return network.forward()
    import onnxruntime

    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("output")
    parser.add_argument("--engine", choices=["onnxruntime", "opencv"], default="onnxruntime")
    arguments = parser.parse_args()
    if len(arguments.inputs) == 1:
        inputs = read_safetensors(arguments.inputs[0])
        inputs = {name: inputs[name] for name in ("image", "mask")}
        write_safetensors(arguments.output, "predicted", run(arguments.engine, arguments.model, inputs))
    else:
        from PIL import Image

        photo, mask = (Image.open(path).convert(mode) for path, mode in zip(arguments.inputs, ("RGB", "L")))
        inputs = {"image": np.asarray(photo), "mask": np.asarray(mask)}
        Image.fromarray(run(arguments.engine, arguments.model, inputs)).save(arguments.output)


if __name__ == "__main__":
    main()
