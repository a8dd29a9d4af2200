#!/usr/bin/env python3
"""The figures and the picture of docs/video.md.

    tools/make_video.py LACUNA FOLDER      (numpy, pillow; ffmpeg)

Draws a clip of a static camera: a photo with noise and light that changes, a balloon that flies past and a logo that stays. It
is encoded, filled by examples/video.sh in both ways, and measured by tools/flicker.py. LACUNA is the program; FOLDER gets the clip and all
results, docs/ the picture.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

REPOSITORY = Path(__file__).resolve().parents[1]
SIDE, FRAMES, RATE = 512, 48, 24
# What the picture shows: a frame, and a window of it in which differences are enlarged.
SHOWN, GAIN = 20, 8


def balloon(draw, number, fill, grown=0):
    x, y = -40 + 13 * number, 150 + 60 * np.sin(number / 9)
    draw.ellipse((x - 38 - grown, y - 46 - grown, x + 38 + grown, y + 46 + grown), fill=fill)
    draw.polygon([(x - 9 - grown, y + 44), (x + 9 + grown, y + 44), (x, y + 70 + grown)], fill=fill)


def logo(draw, fill, grown=0):
    font = PIL.ImageFont.load_default(34)
    draw.text((372, 452), "LIVE 7", font=font, fill=fill, stroke_width=grown, stroke_fill=fill)


def clip(folder):
    rng = np.random.default_rng(1)
    photo = np.asarray(PIL.Image.open(REPOSITORY / "examples/savanna.jpg").convert("RGB")).astype(float)
    for name in ("in", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(FRAMES):
        light = 1 + 0.02 * np.sin(number / 5)
        frame = PIL.Image.fromarray((photo * light).clip(0, 255).astype(np.uint8))
        draw = PIL.ImageDraw.Draw(frame)
        balloon(draw, number, (200, 40, 50))
        logo(draw, "white")
        noisy = np.asarray(frame) + rng.normal(0, 4, (SIDE, SIDE, 3))
        PIL.Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"in/{number:03}.png")
        mask = PIL.Image.new("L", (SIDE, SIDE))
        draw = PIL.ImageDraw.Draw(mask)
        balloon(draw, number, 255, grown=4)
        logo(draw, 255, grown=4)
        mask.save(folder / f"masks/{number:03}.png")
    codec = "-c:v libx264 -crf 18 -pix_fmt yuv420p".split()
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-framerate", str(RATE), "-i", folder / "in/%03d.png", *codec, folder / "clip.mp4"], check=True)


def frames(folder, video):
    out = folder / f"frames-{video.stem}"
    out.mkdir(exist_ok=True)
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-i", video, out / "%03d.png"], check=True)
    return out


def main():
    program, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    clip(folder)
    shown = {"clip": frames(folder, folder / "clip.mp4")}
    for name, options in {"each": [], "static": ["--static"]}.items():
        video = folder / f"{name}.mkv"
        script = [REPOSITORY / "examples/video.sh", "--lossless", *options, folder / "clip.mp4", folder / "masks", video]
        subprocess.run(script, env={**os.environ, "LACUNA": str(program)}, check=True)
        shown[name] = frames(folder, video)
        print(name, end=": ", flush=True)
        subprocess.run([sys.executable, REPOSITORY / "tools/flicker.py", shown[name], folder / "masks"], check=True)
    sheet = PIL.Image.new("RGB", (3 * (SIDE // 2) + 16, SIDE + 8), "white")
    for column, out in enumerate(shown.values()):
        one, other = (PIL.Image.open(out / f"{SHOWN + i:03}.png").convert("RGB") for i in (1, 2))
        change = np.abs(np.asarray(one).astype(int) - np.asarray(other)) * GAIN
        for row, picture in enumerate((one, PIL.Image.fromarray(change.clip(0, 255).astype(np.uint8)))):
            sheet.paste(picture.resize((SIDE // 2, SIDE // 2), PIL.Image.Resampling.BOX), (column * (SIDE // 2 + 8), row * (SIDE // 2 + 8)))
    sheet.save(REPOSITORY / "docs/video.jpg", quality=85, optimize=True)


if __name__ == "__main__":
    main()
