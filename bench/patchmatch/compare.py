#!/usr/bin/env python3
"""Compares Lacuna's PatchMatch with OpenCV's fills by LPIPS v0.1 (lower is better).

    pip install torch torchvision lpips opencv-python-headless numpy pillow
    cargo build --release -p lacuna --example patchmatch_fill
    python bench/patchmatch/compare.py PHOTOS WEIGHTS target/release/examples/patchmatch_fill WORK

PHOTOS   folder of photos; the first --count files by name are used
WEIGHTS  folder with lpips_alex_v0.1.safetensors and lpips_vgg_v0.1.safetensors, whose names of tensors are
         features.N.weight, features.N.bias and linN.weight
WORK     folder for the pictures, masks and fills; made if missing

Each photo gets one seeded hole that covers 5 to 30 % of it: a box for even photos, strokes for odd ones. All
methods see the photo with a black hole. LPIPS is taken over the whole picture, with the known pixels of the
photo. Intervals: 95 %, bootstrap over photos.

Expected on the first 100 photos of the open256 set (256 x 256), 4 minutes on 2 cores:

    LPIPS          Alex     VGG
    PatchMatch     0.0811   0.0951
    Telea          0.1226   0.1407
    Navier-Stokes  0.1219   0.1372
"""

import argparse
import json
import pathlib
import struct
import subprocess

import cv2
import lpips
import numpy as np
import torch
from PIL import Image

SMALLEST_SHARE, LARGEST_SHARE = 0.05, 0.30
STROKE_WIDTHS = (8, 25)  # pixels, for a side of 256
BOOTSTRAP_ROUNDS = 10_000
OPENCV_RADIUS = 5  # pixels; --radius changes it


def box_hole(random, width, height, share):
    """A box of the given share of the picture and an aspect ratio of at most 2."""
    ratio = np.exp(random.uniform(-np.log(2), np.log(2)) / 2)
    box_width = min(width, max(1, round(np.sqrt(share * width * height) * ratio)))
    box_height = min(height, max(1, round(share * width * height / box_width)))
    left = random.integers(0, width - box_width + 1)
    top = random.integers(0, height - box_height + 1)
    hole = np.zeros((height, width), np.uint8)
    hole[top : top + box_height, left : left + box_width] = 255
    return hole


def stroke_hole(random, width, height, share):
    """Random brush strokes until the share is reached."""
    hole = np.zeros((height, width), np.uint8)
    side = min(width, height)
    while np.count_nonzero(hole) < share * width * height:
        point = random.uniform((0, 0), (width, height))
        angle = random.uniform(0, 2 * np.pi)
        thickness = max(1, round(random.uniform(*STROKE_WIDTHS) * side / 256))
        for _ in range(random.integers(2, 7)):
            angle += random.normal(0, 0.8)
            end = point + random.uniform(0.08, 0.3) * side * np.array((np.cos(angle), np.sin(angle)))
            ends = [tuple(int(value) for value in np.round(place)) for place in (point, end)]
            cv2.line(hole, *ends, 255, thickness)
            point = end
    return hole


def make_holes(photos, count, folder, seed):
    """Writes photos/, masked/ and masks/ as PNG; returns the names."""
    names = sorted(path.name for path in photos.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    for part in ("photos", "masked", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    stems = []
    for number, name in enumerate(names[:count]):
        photo = np.asarray(Image.open(photos / name).convert("RGB"))
        random = np.random.default_rng((seed, number))
        share = random.uniform(SMALLEST_SHARE, LARGEST_SHARE)
        draw = stroke_hole if number % 2 else box_hole
        hole = draw(random, photo.shape[1], photo.shape[0], share)
        stem = pathlib.Path(name).stem + ".png"
        masked = np.where(hole[..., None] > 0, 0, photo).astype(np.uint8)
        for part, picture in (("photos", photo), ("masked", masked), ("masks", hole)):
            Image.fromarray(picture).save(folder / part / stem)
        stems.append(stem)
    return stems


def fill_opencv(folder, names, method, output, radius):
    """Fills with cv2.inpaint."""
    output.mkdir(exist_ok=True)
    for name in names:
        masked = cv2.imread(str(folder / "masked" / name))
        hole = cv2.imread(str(folder / "masks" / name), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(output / name), cv2.inpaint(masked, hole, radius, method))


def read_safetensors(path):
    """All tensors of a file of 32-bit floats."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = np.frombuffer(body[begin:end], np.float32).reshape(entry["shape"])
            tensors[name] = torch.from_numpy(values.copy())
    return tensors


def load_metric(network, weights):
    """LPIPS v0.1 with the backbone of the given folder."""
    metric = lpips.LPIPS(net=network, pnet_rand=True, verbose=False).eval()
    tensors = read_safetensors(weights / f"lpips_{network}_v0.1.safetensors")
    state = metric.net.state_dict()
    # The package splits the backbone into slices but keeps torchvision's numbers inside them.
    backbone = {name: tensors["features." + name.split(".", 1)[1]] for name in state}
    metric.net.load_state_dict(backbone)
    for number in range(5):
        assert torch.allclose(metric.lins[number].model[1].weight, tensors[f"lin{number}.weight"], atol=1e-6)
    return metric


def as_tensor(path):
    picture = np.asarray(Image.open(path).convert("RGB"), np.float32)
    return torch.from_numpy(picture / 127.5 - 1).permute(2, 0, 1)[None]


@torch.no_grad()
def distances(metric, folder, outputs, names):
    """`[methods, photos]`; the photo's features are computed once for all methods."""
    table = np.zeros((len(outputs), len(names)))
    for number, name in enumerate(names):
        photo = as_tensor(folder / "photos" / name)
        fills = torch.cat([as_tensor(output / name) for output in outputs])
        table[:, number] = metric(fills, photo.expand_as(fills)).flatten().numpy()
    return table


def interval(values):
    """The 95 % bootstrap interval of the mean."""
    random = np.random.default_rng(0)
    picks = random.integers(0, len(values), (BOOTSTRAP_ROUNDS, len(values)))
    return np.percentile(values[picks].mean(1), (2.5, 97.5))


def report(network, methods, table, names):
    """One Markdown table."""
    print(f"\nLPIPS {network}, {len(names)} photos\n")
    print("| method | mean | 95 % | boxes | strokes | PatchMatch less this | 95 % | PatchMatch better |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for method, row in zip(methods, table):
        low, high = interval(row)
        line = f"| {method} | {row.mean():.4f} | {low:.4f} to {high:.4f} | {row[::2].mean():.4f} | {row[1::2].mean():.4f} "
        if method != methods[0]:
            difference = table[0] - row
            low, high = interval(difference)
            better = np.mean(difference < 0) * 100
            line += f"| {difference.mean():+.4f} | {low:+.4f} to {high:+.4f} | {better:.0f} % "
        else:
            line += "| | | "
        print(line + "|")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=pathlib.Path)
    parser.add_argument("weights", type=pathlib.Path)
    parser.add_argument("fill", type=pathlib.Path, help="the example program patchmatch_fill")
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the holes")
    parser.add_argument("--radius", type=float, default=OPENCV_RADIUS, help="of the OpenCV fills, pixels")
    parser.add_argument("--networks", nargs="+", default=["alex", "vgg"], choices=["alex", "vgg"])
    arguments = parser.parse_args()
    folder = arguments.work
    names = make_holes(arguments.photos, arguments.count, folder, arguments.seed)
    methods = {
        "PatchMatch": folder / "patchmatch",
        "Telea": folder / "telea",
        "Navier-Stokes": folder / "navier-stokes",
    }
    subprocess.run(
        [arguments.fill, folder / "masked", folder / "masks", methods["PatchMatch"]], check=True, stdout=subprocess.DEVNULL
    )
    fill_opencv(folder, names, cv2.INPAINT_TELEA, methods["Telea"], arguments.radius)
    fill_opencv(folder, names, cv2.INPAINT_NS, methods["Navier-Stokes"], arguments.radius)
    for network in arguments.networks:
        metric = load_metric(network, arguments.weights)
        table = distances(metric, folder, list(methods.values()), names)
        report(network, list(methods), table, names)


if __name__ == "__main__":
    main()
