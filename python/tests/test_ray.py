"""`examples/ray_batch.py` with a real Ray: broken photos, killed processes, few processors, every kind of input."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY
from tables import make_photos, outcomes, write_table

pytest.importorskip("ray", reason="NOT TESTED (ray): ray[data] is not installed")
pytest.importorskip("pyarrow")

EXAMPLE = REPOSITORY / "examples" / "ray_batch.py"
# Seconds after which a batch hangs.
HANGS = 400


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the example; what still runs at the end of the test is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **variables: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(EXAMPLE), *map(str, arguments), "--outcomes", str(tmp_path / "outcomes")]
        environment = {**os.environ, **variables}
        log = (tmp_path / f"log-{len(started)}").open("w")
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def ends(process: subprocess.Popen[str], tmp_path: Path, code: int = 0) -> str:
    returned = process.wait(timeout=HANGS)
    log = max(tmp_path.glob("log-*"), key=lambda path: path.stat().st_mtime).read_text()
    assert returned == code, log
    return log


def wait_for_outputs(folder: Path, count: int) -> None:
    end = time.monotonic() + HANGS
    while len(list(folder.glob("*.png"))) < count:
        assert time.monotonic() < end, "no outputs"
        time.sleep(0.02)


def actors_of(driver: int) -> list[int]:
    """The processes that fill for this driver."""
    import psutil

    family = psutil.Process(driver).children(recursive=True)
    return [process.pid for process in family if "MapWorker" in " ".join(process.cmdline())]


def test_two_thousand_photos_of_which_one_in_fifty_is_broken(start: Start, tmp_path: Path) -> None:
    rows = make_photos(tmp_path, 2000, 32, broken=50)
    ends(start(write_table(tmp_path / "list.csv", rows)), tmp_path)
    found = outcomes(tmp_path / "outcomes")
    assert Counter(row["status"] for row in found) == {"filled": 1960, "failed": 40}
    assert {row["output"] for row in found} == {output for _, _, output in rows} and len(found) == 2000
    for row in found:
        if row["status"] == "failed":
            assert row["error"].startswith("PictureError: ") and not Path(row["output"]).exists()
        else:
            assert hashlib.sha256(Path(row["output"]).read_bytes()).hexdigest() == row["sha256"]


def test_a_killed_actor_is_replaced(start: Start, tmp_path: Path) -> None:
    make_photos(tmp_path, 120, 160)
    driver = start(tmp_path / "photos", tmp_path / "masks", "--output", tmp_path / "clean")
    wait_for_outputs(tmp_path / "clean", 5)
    actors = actors_of(driver.pid)
    assert actors
    os.kill(actors[0], signal.SIGKILL)
    ends(driver, tmp_path)
    found = outcomes(tmp_path / "outcomes")
    assert len(found) == 120 == len({row["output"] for row in found}) == len(list((tmp_path / "clean").glob("*.png")))
    # A row that was killed between writing and reporting is finished when it is tried again.
    assert {row["status"] for row in found} <= {"filled", "finished"}


def test_a_killed_driver_is_run_again_and_fills_nothing_twice(start: Start, tmp_path: Path) -> None:
    rows = make_photos(tmp_path, 200, 160)
    table = write_table(tmp_path / "list.parquet", rows)
    driver = start(table, "--cpus", 1)
    clean = tmp_path / "clean"
    wait_for_outputs(clean, 40)
    driver.kill()
    driver.wait()
    stamps = {path: path.stat().st_mtime_ns for path in clean.glob("*.png")}
    assert 40 <= len(stamps) < 200
    ends(start(table, "--cpus", 1), tmp_path)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    found = outcomes(tmp_path / "outcomes")
    assert len(found) == 200 == len({row["output"] for row in found}) == len(list(clean.glob("*.png")))
    # Once more: nothing is left to do.
    ends(start(table, "--cpus", 1), tmp_path)
    assert len(outcomes(tmp_path / "outcomes")) == 200


def test_shards_are_tar_files(start: Start, tmp_path: Path) -> None:
    make_photos(tmp_path, 12, 64)
    for shard in range(2):
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as tar:
            for index in range(shard * 6, shard * 6 + 6):
                for folder, suffix in (("photos", "png"), ("masks", "mask.png")):
                    data = (tmp_path / folder / f"{index:05}.png").read_bytes()
                    entry = tarfile.TarInfo(f"{index:05}.{suffix}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
    ends(start(tmp_path / "0.tar", tmp_path / "1.tar", "--output", tmp_path / "clean"), tmp_path)
    found = outcomes(tmp_path / "outcomes")
    assert sorted(row["__key__"] for row in found) == [f"{index:05}" for index in range(12)]
    assert {row["status"] for row in found} == {"filled"}
    assert len(list((tmp_path / "clean").glob("*.png"))) == 12


@pytest.mark.skipif((os.cpu_count() or 1) >= 4, reason="this machine has enough processors")
def test_too_few_processors_are_an_error_and_no_wait_for_ever(start: Start, tmp_path: Path) -> None:
    table = write_table(tmp_path / "list.csv", make_photos(tmp_path, 3, 32))
    log = ends(start(table, RAY_ADDRESS="local"), tmp_path, code=2)
    assert f"Ray has {os.cpu_count()} CPUs, 4 are needed" in log
