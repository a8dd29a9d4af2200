"""Files: the program's bytes, whole or not at all, and not made twice."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import decoded, encoded

import lacuna_inpaint as lacuna

Photo = npt.NDArray[np.uint8]
Hole = npt.NDArray[np.bool_]


def flags(options: dict[str, Any]) -> list[str]:
    """The program's options for these settings."""
    given = [(f"--{name.replace('_', '-')}", value) for name, value in options.items()]
    return [text for flag, value in given for text in ([flag] if value is True else [flag, str(value)])]


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"expand": "auto", "feather": 2}),
        ("WebP", {"method": "patchmatch", "seed": 7}),
        ("TIFF", {"method": "network", "strategy": "crop"}),
        ("JPEG", {"quality": 60, "threshold": 200, "invert": True}),
        ("PNG", {"format": "bmp", "max_memory": 1 << 30}),
    ],
)
def test_the_bytes_are_the_programs(
    program: str, photo: Photo, hole: Hole, tmp_path: Path, format: str, options: dict[str, Any]
) -> None:
    mask = ~hole if options.get("invert") else hole
    image, mask_file = encoded(photo, format, quality=88), encoded(mask.astype(np.uint8) * 255)
    photo_path, mask_path, output = tmp_path / f"photo.{format.lower()}", tmp_path / "mask.png", tmp_path / "output"
    photo_path.write_bytes(image)
    mask_path.write_bytes(mask_file)
    command = [program, "inpaint", photo_path, mask_path, "-o", output, *flags(options)]
    subprocess.run(command, check=True, capture_output=True)
    assert lacuna.inpaint_bytes(image, mask_file, **options) == output.read_bytes()


def test_transparent_pixels_and_fitted_masks(photo: Photo, hole: Hole) -> None:
    rgba = np.dstack([photo, np.where(hole, 0, 255).astype(np.uint8)])
    filled = decoded(lacuna.inpaint_bytes(encoded(rgba), None))
    assert np.array_equal(filled[~hole], photo[~hole])
    half = encoded(hole[::2, ::2].astype(np.uint8) * 255)
    with pytest.raises(lacuna.PictureError, match="the mask is 48 x 40 pixels, the image 96 x 80"):
        lacuna.inpaint_bytes(encoded(photo), half)
    assert (decoded(lacuna.inpaint_bytes(encoded(photo), half, fit_mask=True)) != photo).any()
    corner = lacuna.inpaint_bytes(encoded(photo), encoded(np.full((9, 9), 255, np.uint8)), anchor="bottom-right")
    changed = (decoded(corner) != photo).any(axis=2)
    assert changed[-9:, -9:].mean() > 0.5 and not changed[:-9].any()


def test_a_file_is_written_with_its_hashes(photo: Photo, hole: Hole, tmp_path: Path) -> None:
    image, mask, output = encoded(photo), encoded(hole.astype(np.uint8)), tmp_path / "new" / "clean.png"
    (tmp_path / "photo.png").write_bytes(image)
    done = lacuna.inpaint_file(tmp_path / "photo.png", mask, output)
    data = output.read_bytes()
    assert data == lacuna.inpaint_bytes(image, mask)
    assert (done.output, done.status, done.sha256) == (str(output), "filled", hashlib.sha256(data).hexdigest())
    assert done.key == lacuna.Inpainter().key(image, mask, format="png") and done.strategy == "full"
    assert done.method is not None and done.method.startswith("patchmatch guided by fourier-w32-b9 (cpu")
    assert done.hole_fraction == pytest.approx(hole.mean())
    assert [file.name for file in output.parent.iterdir()] == ["clean.png"]
    with pytest.raises(FileExistsError, match="neither overwrite nor a record.*clean.png"):
        lacuna.inpaint_file(image, mask, output)
    assert lacuna.inpaint_file(image, mask, output, overwrite=True, seed=3).key != done.key
    copied = lacuna.inpaint_file(image, encoded(np.zeros_like(photo)), tmp_path / "same.png")
    assert copied.status == "copied" and (tmp_path / "same.png").read_bytes() == image


def test_what_is_finished_is_not_made_again(photo: Photo, hole: Hole, tmp_path: Path) -> None:
    image, mask, output = encoded(photo), encoded(hole.astype(np.uint8)), tmp_path / "clean.png"
    record = tmp_path / "clean.png.lacuna.json"

    def fill(**options: Any) -> lacuna.Outcome:
        return lacuna.inpaint_file(image, mask, output, resume=True, **options)

    first = fill()
    assert first.status == "filled"
    assert json.loads(record.read_bytes()) == {"key": first.key, "sha256": first.sha256}
    stamp = output.stat().st_mtime_ns
    again = fill(threads=1)
    assert (again.status, again.key, again.sha256) == ("finished", first.key, first.sha256)
    assert output.stat().st_mtime_ns == stamp
    assert fill(expand=1).status == "filled", "other settings"
    output.write_bytes(b"touched")
    assert fill(expand=1).status == "filled", "a changed output"
    output.unlink()
    assert fill(expand=1).status == "filled", "killed before the output was written"
    record.write_bytes(b'{"key"')
    with pytest.raises(FileExistsError):
        fill(expand=1)


def test_urls_that_fsspec_opens(photo: Photo, hole: Hole, tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="NOT TESTED (fsspec): it is not installed")
    image, mask = encoded(photo), encoded(hole.astype(np.uint8))
    for folder in ("memory://photos", f"local://{tmp_path}/new"):
        for name, data in (("a.png", image), ("mask.png", mask)):
            with fsspec.open(f"{folder}/{name}", "wb", auto_mkdir=True) as file:
                file.write(data)
        files = (f"{folder}/a.png", f"{folder}/mask.png", f"{folder}/deep/clean.png")
        done = lacuna.inpaint_file(*files, resume=True)
        with fsspec.open(files[2], "rb") as file:
            assert file.read() == lacuna.inpaint_bytes(image, mask)
        assert (done.status, done.output) == ("filled", files[2])
        assert lacuna.inpaint_file(*files, resume=True).status == "finished"
        with pytest.raises(FileExistsError):
            lacuna.inpaint_file(*files)
        with pytest.raises(lacuna.TooLarge, match=f"{folder}/a.png: the file has {len(image)} bytes: at most 99"):
            lacuna.inpaint_file(*files, overwrite=True, max_bytes=99)
        with pytest.raises(FileNotFoundError):
            lacuna.inpaint_file(f"{folder}/nothing.png", *files[1:], overwrite=True)
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(left) == ["a.png", "clean.png", "clean.png.lacuna.json", "mask.png"]


def test_a_failure_leaves_nothing(photo: Photo, hole: Hole, tmp_path: Path) -> None:
    image, mask, output = encoded(photo), encoded(hole.astype(np.uint8)), tmp_path / "clean.png"
    for error, text, arguments, options in [
        (lacuna.PictureError, "image: ", (image[:200], mask), {}),
        (lacuna.PictureError, "mask: ", (image, b"nothing"), {}),
        (lacuna.TooLarge, "96 x 80 pixels: the longest allowed side is 90", (image, mask), {"max_side": 90}),
        (lacuna.TooLarge, "7680 pixels: at most 7000 are allowed", (image, mask), {"max_pixels": 7000}),
        (lacuna.MemoryBudget, "of memory are needed, 1.0 MiB are allowed", (image, mask), {"max_memory": 1 << 20}),
        (lacuna.PictureError, "but the output is a PNG file", (image, mask), {"quality": 3}),
        (lacuna.Error, "is a name for PNG, but format JPEG was given", (image, mask), {"format": "jpeg"}),
        (lacuna.Error, 'unknown format "gif"', (image, mask), {"format": "gif"}),
        (lacuna.Error, "fit_mask and anchor top exclude", (image, mask), {"fit_mask": True, "anchor": "top"}),
        (lacuna.Error, "anchor_scale fit needs an anchor", (image, mask), {"anchor_scale": "fit"}),
        (FileNotFoundError, "nowhere.png", (tmp_path / "nowhere.png", mask), {}),
        (lacuna.PictureError, f"{tmp_path}: this is a folder", (tmp_path, mask), {}),
    ]:
        with pytest.raises(error) as raised:
            lacuna.inpaint_file(*arguments, output, resume=True, **options)
        assert text in str(raised.value)
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(lacuna.PictureError, match="cannot write .gif files"):
        lacuna.inpaint_file(image, mask, tmp_path / "clean.gif")
    with pytest.raises(lacuna.TooLarge, match=f"the file has {len(image)} bytes: at most 100 are allowed"):
        (tmp_path / "photo").write_bytes(image)
        lacuna.inpaint_file(tmp_path / "photo", mask, output, max_bytes=100)


def test_forecasts_grow_with_the_photo(photo: Photo, hole: Hole) -> None:
    fill = lacuna.Inpainter()
    small = fill.forecast(encoded(photo), encoded(hole.astype(np.uint8)))
    large = [np.kron(array, np.ones((6, 6) + (1,) * (array.ndim - 2), np.uint8)) for array in (photo, hole.astype(np.uint8))]
    other = fill.forecast(encoded(large[0]), encoded(large[1]))
    assert 10 << 20 < small.bytes < other.bytes < 1 << 30
    assert 0 < small.seconds < other.seconds


def test_keys_differ_by_everything_that_decides_the_bytes(photo: Photo, hole: Hole) -> None:
    image, mask = encoded(photo), encoded(hole.astype(np.uint8))
    key = lacuna.Inpainter().key(image, mask)
    assert lacuna.Inpainter(threads=1, timeout=9).key(image, mask, max_side=9999) == key
    others = [
        lacuna.Inpainter().key(image + b"x", mask),
        lacuna.Inpainter().key(image, mask + b"x"),
        lacuna.Inpainter().key(image, None),
        lacuna.Inpainter().key(image, mask, avoid=mask),
        lacuna.Inpainter(seed=1).key(image, mask),
        lacuna.Inpainter(expand=1).key(image, mask),
        lacuna.Inpainter(feather=1).key(image, mask),
        lacuna.Inpainter(method="network").key(image, mask),
        lacuna.Inpainter(method="network", refine=2).key(image, mask),
        lacuna.Inpainter(method="patchmatch").key(image, mask),
        lacuna.Inpainter(strategy="crop").key(image, mask),
        lacuna.Inpainter(max_memory=1 << 30).key(image, mask),
        lacuna.Inpainter().key(image, mask, threshold=9),
        lacuna.Inpainter().key(image, mask, fit_mask=True),
        lacuna.Inpainter().key(image, mask, quality=9),
    ]
    assert len({key, *others}) == 1 + len(others)
