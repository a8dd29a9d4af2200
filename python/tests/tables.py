"""Batches for tests: photos with masks, tables of them, and their outcomes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from conftest import encoded, photo_of


def make_photos(folder: Path, count: int, side: int, broken: int = 0) -> list[tuple[str, str, str]]:
    """Rows of photo, mask and output; one of `broken` photos is broken."""
    mask = np.zeros((side, side), np.uint8)
    mask[side // 3 : side // 2, side // 4 : side // 2] = 255
    for name in ("photos", "masks"):
        (folder / name).mkdir(parents=True)
    data = encoded(photo_of(side, side))
    rows = []
    for index in range(count):
        paths = [folder / part / f"{index:05}.png" for part in ("photos", "masks", "clean")]
        paths[0].write_bytes(data[:100] if broken and index % broken == 0 else data)
        paths[1].write_bytes(encoded(mask))
        rows.append((str(paths[0]), str(paths[1]), str(paths[2])))
    return rows


def write_table(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    if path.suffix == ".parquet":
        import pyarrow
        import pyarrow.parquet

        columns = dict(zip(("image", "mask", "output"), zip(*rows, strict=True), strict=True))
        pyarrow.parquet.write_table(pyarrow.table({name: list(values) for name, values in columns.items()}), path)
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("image", "mask", "output"), *rows])
    return path


def outcomes(folder: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet

    return [row for file in sorted(folder.glob("*.parquet")) for row in pyarrow.parquet.read_table(file).to_pylist()]
