"""Processes, threads and signals."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import encoded, photo_of

import lacuna_inpaint as lacuna

Photo = npt.NDArray[np.uint8]
Hole = npt.NDArray[np.bool_]

# Seconds after which a process hangs. A fill here takes a tenth of one.
HANGS = 120


def in_process(context: str, work: Any, *arguments: Any) -> None:
    """Runs work in another process, which must end well."""
    process: Any = multiprocessing.get_context(context).Process(target=work, args=arguments)  # type: ignore[attr-defined]
    process.start()
    process.join(HANGS)
    hangs = process.is_alive()
    process.kill()
    assert not hangs, f"the {context} child hangs"
    assert process.exitcode == 0


def fill_all(fill: lacuna.Inpainter, photo: Photo, hole: Hole, expected: Photo) -> None:
    """Fills in every way."""
    assert np.array_equal(fill(photo, hole), expected)
    for format in ("PNG", "JPEG", "WebP", "TIFF"):
        fill.fill_bytes(encoded(photo, format), encoded(hole.astype(np.uint8)))


def fork_again(fill: lacuna.Inpainter, photo: Photo, hole: Hole, expected: Photo) -> None:
    fill_all(fill, photo, hole, expected)
    in_process("fork", fill_all, fill, photo, hole, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_children_fill(photo: Photo, hole: Hole) -> None:
    fill = lacuna.Inpainter(threads=2)
    expected = fill(photo, hole)
    fill_all(fill, photo, hole, expected)
    in_process("fork", fork_again, fill, photo, hole, expected)
    # While another thread of the parent fills.
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: [fill(photo, hole) for _ in range(6)])
        for _ in range(3):
            in_process("fork", fill_all, fill, photo, hole, expected)
        assert all(np.array_equal(filled, expected) for filled in running.result())


def test_spawned_children_fill(photo: Photo, hole: Hole) -> None:
    fill = lacuna.Inpainter(seed=5, expand=2, timeout=100)
    assert len(pickle.dumps(fill)) < 1000, "weights do not travel"
    in_process("spawn", fill_all, fill, photo, hole, fill(photo, hole))


def test_threads_fill_at_the_same_time(photo: Photo, hole: Hole) -> None:
    fills = [lacuna.Inpainter(seed=seed, method=method) for seed in (1, 2) for method in ("guided", "patchmatch", "network")]
    expected = [fill(photo, hole) for fill in fills]
    with ThreadPoolExecutor(6) as pool:
        filled = list(pool.map(lambda fill: fill(photo, hole), fills * 3))
    assert all(np.array_equal(one, other) for one, other in zip(filled, expected * 3, strict=True))


def test_other_threads_of_python_run_meanwhile() -> None:
    photo, mask = photo_of(400, 400), np.zeros((400, 400), bool)
    mask[100:300, 100:300] = True
    seen: list[float] = []
    ended = threading.Event()

    def observe() -> None:
        while not ended.is_set():
            seen.append(time.monotonic())
            time.sleep(0.001)

    observer = threading.Thread(target=observe)
    lacuna.inpaint(photo[:99], ~(photo[:99, :, 0] > 99))
    observer.start()
    start = time.monotonic()
    lacuna.inpaint(photo, mask)
    end = time.monotonic()
    ended.set()
    observer.join()
    assert sum(start < moment < end for moment in seen) >= 5


# A fill of minutes, on two threads: two hundred passes.
LONG = """
import time, threading, numpy, lacuna_inpaint as lacuna
photo, mask = numpy.zeros((768, 768, 3), numpy.uint8), numpy.zeros((768, 768))
photo[::3], mask[200:600, 200:600] = 200, 1
fill = lacuna.Inpainter(method="network", refine=200, threads=2)
"""


def test_ctrl_c_stops_a_fill() -> None:
    script = (
        LONG
        + """
print("ready", flush=True)
try:
    fill(photo, mask)
except KeyboardInterrupt:
    # Afterwards all works as before.
    lacuna.inpaint(photo[:64, :64], photo[:64, :64, 0] > 100)
    print("stopped", flush=True)
"""
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "ready\n"
        time.sleep(1)
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=HANGS)[0] == "stopped\n"
        assert child.returncode == 0
    finally:
        child.kill()


def test_a_timeout_stops_a_fill(photo: Photo, hole: Hole) -> None:
    slow = lacuna.Inpainter(method="network", refine=200, timeout=0.3)
    large = photo_of(512, 512)
    mask = np.zeros((512, 512), bool)
    mask[100:400, 100:400] = True
    before = large.copy()
    with pytest.raises(lacuna.Stopped, match="the fill was stopped: it takes longer than the timeout of 300ms"):
        slow(large, mask)
    assert np.array_equal(large, before)
    assert np.array_equal(lacuna.inpaint(photo, hole, timeout=60), lacuna.inpaint(photo, hole))


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="this system does not list threads")
@pytest.mark.parametrize(("settings", "expected"), [("threads=1", 1), ("threads=3", 3), ("", 1)])
def test_threads_are_as_many_as_said_or_as_the_process_may_use(settings: str, expected: int) -> None:
    """Without a number this process may use one processor. A pool for the whole machine would add more."""
    script = f"""
import os, sys, numpy
sys.path.insert(0, {os.path.dirname(__file__)!r})
from conftest import encoded
import lacuna_inpaint as lacuna
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
before = len(os.listdir("/proc/self/task"))
photo = numpy.random.default_rng(1).integers(0, 255, (64, 64, 3), numpy.uint8)
mask = numpy.zeros((64, 64), numpy.uint8)
mask[20:30, 20:30] = 255
fill = lacuna.Inpainter({settings})
fill(photo, mask)
for format in ("PNG", "JPEG", "WebP", "TIFF"):
    fill.fill_bytes(encoded(photo, format), encoded(mask))
print(len(os.listdir("/proc/self/task")) - before)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=HANGS, check=False)
    assert result.stdout == f"{expected}\n", result.stderr
