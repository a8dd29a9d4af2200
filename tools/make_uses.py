#!/usr/bin/env python3
"""The pictures of docs/uses.md: makes damaged pictures, runs the commands that the document names, and shows both side by side.

    tools/make_uses.py LACUNA FOLDER      (numpy, pillow, tifffile, imagecodecs)

LACUNA is the program. FOLDER gets the inputs and results, docs/ the pictures.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import tifffile

REPOSITORY = Path(__file__).resolve().parents[1]
PHOTO = REPOSITORY / "examples/savanna.jpg"


def font(size):
    return PIL.ImageFont.load_default(size)


def film(folder):
    """A scan of 16 bits with grain, dust and scratches, and its infrared channel, in which only these are dark."""
    rng = np.random.default_rng(1)
    truth = np.asarray(PIL.Image.open(PHOTO)).astype(float) * 257
    truth += rng.normal(0, 1400, truth.shape[:2])[..., None]
    damage = PIL.Image.new("L", (512, 512))
    draw = PIL.ImageDraw.Draw(damage)
    for x, y, size in zip(rng.uniform(0, 512, 150), rng.uniform(0, 512, 150), rng.exponential(1.6, 150) + 0.6):
        draw.ellipse((x - size, y - size, x + size, y + size), fill=255)
    for _ in range(6):
        x, y, lean = rng.uniform(0, 512), rng.uniform(0, 200), rng.uniform(-40, 40)
        draw.line((x, y, x + lean, y + rng.uniform(150, 330)), fill=255, width=int(rng.integers(1, 3)))
    damaged = np.asarray(damage)[..., None] > 0
    scan = np.where(damaged, 60000, truth).clip(0, 65535).astype(np.uint16)
    infrared = np.where(damaged[..., 0], 9000, 52000) + rng.normal(0, 900, (512, 512))
    tifffile.imwrite(folder / "scan.tif", scan, photometric="rgb")
    tifffile.imwrite(folder / "infrared.tif", infrared.astype(np.uint16))
    return ["scan.tif", "infrared.tif", "--invert", "--threshold", "120", "--expand", "1", "-o", "clean.tif"]


def panel(folder):
    """A drawn panel with a screentone and a caption on it."""
    y, x = np.mgrid[:480, :512]
    shade = 0.25 + 0.4 * x / 512
    angle = np.pi / 4
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    dots = (np.cos(2 * np.pi * u / 8) + np.cos(2 * np.pi * v / 8)) / 4 + 0.5 < shade
    page = PIL.Image.fromarray(np.where(dots, 20, 245).astype(np.uint8))
    draw = PIL.ImageDraw.Draw(page)
    draw.rectangle((0, 0, 511, 479), outline=0, width=6)
    draw.ellipse((300, 220, 470, 470), fill=250, outline=0, width=5)
    mask = PIL.Image.new("L", page.size)
    PIL.ImageDraw.Draw(mask).text((40, 70), "CRASH!", font=font(96), fill=255, stroke_width=7, stroke_fill=255)
    draw.text((40, 70), "CRASH!", font=font(96), fill=255, stroke_width=7, stroke_fill=0)
    page.save(folder / "page.png")
    mask.save(folder / "lettering.png")
    return ["page.png", "lettering.png", "--method", "patchmatch", "--expand", "4", "-o", "clean.png"]


def watermark(folder):
    """A photo with a mark in its corner, and the mark's own small mask."""
    photo = PIL.Image.open(PHOTO).convert("RGBA")
    mark = PIL.Image.new("RGBA", (190, 60))
    draw = PIL.ImageDraw.Draw(mark)
    draw.text((8, 4), "Example", font=font(44), fill=(255, 255, 255, 190), stroke_width=1, stroke_fill=(0, 0, 0, 120))
    photo.alpha_composite(mark, (512 - 190, 512 - 60))
    photo.convert("RGB").save(folder / "photo.jpg", quality=92)
    mark.getchannel("A").point(lambda value: 255 if value else 0).save(folder / "watermark.png")
    return ["photo.jpg", "watermark.png", "--anchor", "bottom-right", "--expand", "2", "-o", "clean.jpg"]


def subtitle(folder):
    """A frame with two lines of subtitles; their pixels are found by their colour, in the band where they stand."""
    frame = PIL.Image.open(PHOTO).convert("RGB")
    draw = PIL.ImageDraw.Draw(frame)
    text = "The rains are late this year,\nand the herds have gone north."
    draw.multiline_text((256, 440), text, font=font(27), fill="white", anchor="mm", align="center", stroke_width=2, stroke_fill="black")
    frame.save(folder / "frame.png")
    pixels = np.asarray(frame).astype(int)
    marked = (pixels.min(axis=2) > 250) & (np.arange(512)[:, None] > 395)
    PIL.Image.fromarray((marked * 255).astype(np.uint8)).save(folder / "letters.png")
    return ["frame.png", "letters.png", "--expand", "5", "-o", "clean.png"]


def document(folder):
    """A page with a stamp over empty paper and over text."""
    rng = np.random.default_rng(2)
    paper = (232 + rng.normal(0, 4, (512, 512, 1)) + np.linspace(-10, 8, 512)[None, :, None] + [4, 2, -10]).clip(0, 255)
    page = PIL.Image.fromarray(paper.astype(np.uint8))
    draw = PIL.ImageDraw.Draw(page)
    for line in range(7):
        draw.text((48, 40 + 30 * line), "Received with thanks for the year and entered", font=font(19), fill=(52, 50, 60))
    stamp = PIL.Image.new("L", page.size)
    marks = PIL.ImageDraw.Draw(stamp)
    for left, top in [(70, 330), (270, 150)]:
        marks.ellipse((left, top, left + 150, top + 110), outline=255, width=7)
        marks.text((left + 75, top + 55), "PAID", font=font(44), fill=255, anchor="mm")
    page.paste((170, 40, 60), mask=stamp)
    page.save(folder / "page.png")
    stamp.save(folder / "stamp.png")
    return ["page.png", "stamp.png", "--expand", "2", "-o", "clean.png"]


USES = {"film": film, "panel": panel, "watermark": watermark, "subtitle": subtitle, "document": document}


def shown(path):
    """A picture of any depth at 8 bits."""
    if path.suffix == ".tif":
        return PIL.Image.fromarray((tifffile.imread(path) // 257).astype(np.uint8)).convert("RGB")
    return PIL.Image.open(path).convert("RGB")


def main():
    program, target = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    for name, make in USES.items():
        folder = target / name
        folder.mkdir(parents=True, exist_ok=True)
        arguments = make(folder)
        subprocess.run([program, "inpaint", *arguments, "--overwrite"], cwd=folder, check=True)
        before, after = shown(folder / arguments[0]), shown(folder / arguments[-1])
        sheet = PIL.Image.new("RGB", (2 * before.width + 8, before.height), "white")
        sheet.paste(before, (0, 0))
        sheet.paste(after, (before.width + 8, 0))
        # Two colours are smaller, and look better, without loss.
        if name == "panel":
            sheet.convert("L").quantize(4).save(REPOSITORY / f"docs/uses-{name}.png", optimize=True)
        else:
            sheet.save(REPOSITORY / f"docs/uses-{name}.jpg", quality=75, optimize=True)


if __name__ == "__main__":
    main()
