"""Runs one process and measures it from outside: time, memory, and the CPU use of other programs."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

CALM_SHARE = 0.05  # of the processors, that others may take from a run
CALM_SECONDS = 2.0  # for how long the machine must be calm before a run starts


@dataclasses.dataclass(frozen=True)
class Run:
    """The result of one process."""

    p50_s: float
    min_s: float
    p95_s: float
    peak_bytes: int  # the largest resident set, as the system counts it
    first_s: float  # from the start of the process to its line of results
    whole_s: float  # to its end
    others: float  # share of all processors that other processes took; 0 where the system does not tell
    told: dict[str, Any]  # all that the process told


def watch(command: list[str | pathlib.Path], settings: dict[str, str], log: pathlib.Path) -> Run:
    """Runs a program that prints one JSON object a line; the last one counts."""
    told, first = None, 0.0
    with log.open("w+") as errors:
        begin, busy = time.perf_counter(), busy_seconds()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=settings, text=True)
        for line in process.stdout:
            if line.startswith("{"):
                told, first = json.loads(line), time.perf_counter() - begin
        _, status, usage = os.wait4(process.pid, 0)
        whole, busy = time.perf_counter() - begin, busy_seconds() - busy
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or told is None:
            errors.seek(0)
            words = " ".join(str(word) for word in command)
            sys.exit(f"{words}\nended with {process.returncode}:\n{errors.read()}")
    others = max(0.0, busy - usage.ru_utime - usage.ru_stime) / whole / os.cpu_count()
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    p50 = told["p50_s"]
    return Run(p50, told.get("min_s", p50), told["p95_s"], peak, first, whole, others, told)


def watch_patiently(
    command: list[str | pathlib.Path], settings: dict[str, str], log: pathlib.Path, patience: float
) -> Run:
    """The same, started when the machine is calm and repeated when disturbed, for `patience` seconds.

    Gives the least disturbed run.
    """
    deadline = time.monotonic() + patience
    runs: list[Run] = []
    while True:
        wait_until_calm(deadline)
        runs.append(watch(command, settings, log))
        if runs[-1].others <= CALM_SHARE or time.monotonic() >= deadline:
            return min(runs, key=lambda run: run.others)


def wait_until_calm(deadline: float) -> None:
    """Returns when nobody computes, or at the deadline."""
    while time.monotonic() < deadline:
        busy = busy_seconds()
        time.sleep(CALM_SECONDS)
        if (busy_seconds() - busy) / CALM_SECONDS / os.cpu_count() <= CALM_SHARE:
            return


def busy_seconds() -> float:
    """Processor time that this machine has spent, what its host took from it included."""
    try:
        times = [int(word) for word in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except OSError:
        return 0.0
    return (sum(times) - times[3] - times[4]) / os.sysconf("SC_CLK_TCK")  # less idle, less waiting for disks
