#!/usr/bin/env python3
"""Packs photos, masks and VGG16 into one small folder, for train.py on a machine that has none of them.

    python tools/gpu/pack.py --photos photos/train --masks masks/ --vgg weights/lpips_vgg_v0.1.safetensors --out pack

Photos are cut into squares and stored as WebP: small ones (shorter side below 200 pixels) whole at 150 pixels, large
ones in crops of at most 288 pixels, both scaled down and at their own scale. 250 photos are held out. Masks are the PNG
files of `lacuna masks`, 256 pixels a side. Only the layers of VGG16 up to conv4_3 are packed, in 8 bits with a scale for
each kernel. Needs: numpy, pillow, safetensors.
"""

import argparse
import io
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import load_file, save_file

SMALL, LARGE, BOUNDARY, HELD_OUT = 150, 288, 200, 250
ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


def webp(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=quality, method=5)
    return buffer.getvalue()


def opened(path):
    return ImageOps.exif_transpose(Image.open(path)).convert("RGB")


def starts(length, side, step):
    """Evenly spread starts of windows of `side`, at most about `step` apart."""
    if length <= side:
        return [0]
    count = int(np.ceil((length - side) / step - 1e-6)) + 1
    return [round((length - side) * i / (count - 1)) for i in range(count)]


def windows(image, side, step):
    width, height = image.size
    side = min(side, width, height)
    return [image.crop((x, y, x + side, y + side)) for y in starts(height, side, step) for x in starts(width, side, step)]


def small_crops(path):
    image = ImageOps.fit(opened(path), (SMALL, SMALL), Image.LANCZOS)
    return [webp(image, 53)]


def large_crops(path):
    image = opened(path)
    shorter = min(image.size)
    crops = windows(image, LARGE, 230 if shorter < 400 else 280)
    if shorter >= 400:
        scaled = image.resize([round(side * LARGE / shorter) for side in image.size], Image.LANCZOS)
        crops += windows(scaled, LARGE, 220)
    return [webp(crop, 49) for crop in crops]


def held_out_crop(path):
    image = opened(path)
    side = min(192, *image.size)
    return [webp(ImageOps.fit(image, (side, side), Image.LANCZOS), 70)]


def write_photos(out, crops_of, paths):
    with ThreadPoolExecutor() as pool:
        files = [file for files in pool.map(crops_of, paths) for file in files]
    np.savez(out, bytes=np.frombuffer(b"".join(files), np.uint8), ends=np.cumsum([len(file) for file in files]))
    print(f"{out}: {len(files)} crops of {len(paths)} photos, {sum(map(len, files)) / 1e6:.1f} MB", flush=True)


def write_masks(out, folders):
    paths = sorted(path for folder in folders for path in Path(folder).rglob("*.png") if "mask" in path.name)
    holes = [np.asarray(Image.open(path).convert("L")) > 127 for path in paths]
    np.savez_compressed(out, bits=np.stack([np.packbits(hole) for hole in holes]))
    print(f"{out}: {len(paths)} masks, mean hole {np.mean([hole.mean() for hole in holes]):.3f}")


def write_vgg(out, path):
    packed = {}
    for key, value in load_file(path).items():
        if not key.startswith("features.") or int(key.split(".")[1]) > 21:
            continue
        value = value.astype(np.float32)
        if key.endswith("weight"):
            scale = np.abs(value).reshape(len(value), -1).max(1) / 127
            packed[key + ".scale"] = scale
            value = np.round(value / scale[:, None, None, None]).astype(np.int8)
        packed[key] = value
    save_file(packed, out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--masks", nargs="+", required=True)
    parser.add_argument("--vgg", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)

    paths = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in ENDINGS)
    small, large = [], []
    for path in paths:
        (small if min(Image.open(path).size) < BOUNDARY else large).append(path)
    shuffled = random.Random(5)
    shuffled.shuffle(small)
    shuffled.shuffle(large)
    of_small = min(HELD_OUT // 2, len(small) // 10)
    of_large = min(HELD_OUT - of_small, len(large) // 10)
    held_out = small[:of_small] + large[:of_large]
    (arguments.out / "held.txt").write_text("\n".join(map(str, held_out)))
    write_photos(arguments.out / "held.npz", held_out_crop, held_out)
    write_photos(arguments.out / "small.npz", small_crops, small[of_small:])
    write_photos(arguments.out / "large.npz", large_crops, large[of_large:])
    write_masks(arguments.out / "masks.npz", arguments.masks)
    write_vgg(arguments.out / "vgg8.safetensors", arguments.vgg)


if __name__ == "__main__":
    main()
