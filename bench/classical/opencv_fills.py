#!/usr/bin/env python3
"""Fill a set of `lacuna masks --images` with OpenCV's two methods, for `lacuna eval --predictions`.

usage: opencv_fills.py SET OUT        needs: opencv-python-headless, numpy

Writes OUT/telea/NAME_mask000.png and OUT/navier-stokes/NAME_mask000.png, named after the masks, and prints seconds a picture.
The radius is 3 pixels, that of OpenCV's own examples.
"""
import sys
import time
from pathlib import Path

import cv2
import numpy as np

RADIUS = 3
METHODS = {"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}


def main():
    masks, out = Path(sys.argv[1]), Path(sys.argv[2])
    seconds = {name: [] for name in METHODS}
    for path in sorted(masks.rglob("*_mask*.png")):
        stem = path.stem[: path.stem.rfind("_mask")]
        photo = cv2.imread(str(path.with_name(stem + ".png")))
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        for name, flag in METHODS.items():
            start = time.perf_counter()
            filled = cv2.inpaint(photo, mask, RADIUS, flag)
            seconds[name].append(time.perf_counter() - start)
            # OpenCV may touch known pixels; they are the photo's.
            filled = np.where(mask[..., None] > 0, filled, photo)
            target = out / name / path.relative_to(masks)
            target.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(target), filled)
    for name, times in seconds.items():
        print(f"{name}: {len(times)} pictures, {np.mean(times):.4f} s each")


if __name__ == "__main__":
    main()
