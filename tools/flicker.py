"""How much filled parts of a video flicker, compared with what is around them.

    python tools/flicker.py FILLED MASKS

FILLED and MASKS are folders with a picture for each frame, in the order of their names; MASKS may be one picture for all frames.
Prints the mean absolute difference of consecutive frames (of 255) in the hole and in a ring around it, and their ratio: 1 means that
the fill changes from frame to frame as much as its surroundings do, 0 that it stands still. The hole of a pair of frames is what both
masks cover; the ring is what neither covers, up to 24 pixels away.

Needs numpy and pillow.
"""

import re
import sys
from pathlib import Path

import numpy
from PIL import Image

RING = 24


def in_order(folder):
    parts = lambda path: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]
    return sorted((path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg", ".tif")), key=parts)


def hole_of(path):
    return numpy.asarray(Image.open(path).convert("L")) > 0


def ring_of(hole):
    grown = hole
    for axis in (0, 1):
        # How many pixels of the hole are up to RING away along this axis, by sums from the border on.
        padding = [(RING + 1, RING) if axis == other else (0, 0) for other in (0, 1)]
        sums = numpy.cumsum(numpy.pad(grown.astype(int), padding), axis=axis)
        last = numpy.arange(hole.shape[axis]) + 2 * RING + 1
        grown = sums.take(last, axis) > sums.take(last - (2 * RING + 1), axis)
    return grown & ~hole


def main(filled, masks):
    frames = in_order(filled)
    masks = in_order(masks) if masks.is_dir() else [masks] * len(frames)
    if len(frames) < 2 or len(frames) != len(masks):
        sys.exit(f"{filled} has {len(frames)} frames, and there are {len(masks)} masks: expected as many, at least 2")
    sums = numpy.zeros(2)
    counts = numpy.zeros(2)
    before = None
    for frame, mask in zip(frames, masks):
        picture = numpy.asarray(Image.open(frame).convert("RGB")).astype(numpy.int16)
        hole = hole_of(mask)
        if before is not None:
            change = numpy.abs(picture - before[0]).mean(axis=2)
            for part, area in enumerate((hole & before[1], ring_of(hole | before[1]))):
                sums[part] += change[area].sum()
                counts[part] += area.sum()
        before = picture, hole
    if not counts.all():
        sys.exit("no hole is in two consecutive frames, or nothing is around it")
    inside, around = sums / counts
    print(f"in the hole {inside:.3f}, around it {around:.3f}, ratio {inside / around:.2f} ({len(frames)} frames)")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
