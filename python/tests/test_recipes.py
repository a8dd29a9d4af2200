"""The recipes of docs/scale.md for Spark, Dask and Daft, as they stand there."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import REPOSITORY
from tables import make_photos, outcomes, write_table

# A program of the document begins with its name.
PROGRAM = re.compile(r"^```python\n(# (\w+\.py)\n.*?)^```$", re.MULTILINE | re.DOTALL)
# Seconds after which a batch hangs.
HANGS = 300


@pytest.mark.parametrize(("engine", "name"), [("pyspark", "spark.py"), ("dask", "bag.py"), ("daft", "frame.py")])
def test_each_photo_has_an_outcome(tmp_path: Path, engine: str, name: str) -> None:
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"NOT TESTED ({engine}): it is not installed")
    programs = {name: text for text, name in PROGRAM.findall((REPOSITORY / "docs" / "scale.md").read_text())}
    for file in ("fill_row.py", name):
        (tmp_path / file).write_text(programs[file])
    rows = make_photos(tmp_path, 40, 48, broken=20)
    write_table(tmp_path / "list.csv", rows)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYSPARK_PYTHON": sys.executable}
    run = subprocess.run([sys.executable, name], cwd=tmp_path, env=environment, timeout=HANGS, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    found = outcomes(tmp_path / "outcomes")
    assert Counter(row["status"] for row in found) == {"filled": 38, "failed": 2}
    assert {row["output"] for row in found} == {output for _, _, output in rows}
    assert len(list((tmp_path / "clean").glob("*.png"))) == 38
