#!/usr/bin/env python3
"""Compares Lacuna's CPU engine with PyTorch eager and ONNX Runtime on this machine.

    cargo build --release -p lacuna-cli
    cargo build --release --examples
    python3 bench/engine/compare.py --work WORK

Every contestant runs in a fresh process, in turns, for several rounds, with the same threads and the same
weights. Prints Markdown tables, and writes all numbers to WORK/results.json. README.md says what is measured
and how. Needs Python 3.10 and nothing else: the peers go into WORK/venv with pip.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
from typing import Any

from watch import Run, watch_patiently

FOLDER = pathlib.Path(__file__).resolve().parent
PEER_PACKAGES = ("torch", "onnxruntime", "onnx", "onnxscript", "numpy", "safetensors")
PEERS = ("torch", "torch-channels-last", "ort")
OURS = "lacuna"
NAMES = {
    OURS: "Lacuna",
    "torch": "PyTorch eager, NCHW",
    "torch-channels-last": "PyTorch eager, channels_last",
    "ort": "ONNX Runtime",
}
# What a machine's owner set for other programs must not change how these run.
FOREIGN_SETTINGS = ("OPENBLAS_", "OMP_", "MKL_", "KMP_", "ORT_", "RAYON_", "LACUNA_", "MALLOC_", "LD_PRELOAD")

BIG_LAMA = {"family": "fourier", "channels_in": 4, "width": 64, "blocks": 18, "control": False}
NETWORKS = {
    "big-lama": BIG_LAMA,
    "lama-fourier": BIG_LAMA | {"blocks": 9},
    "thesis": {"family": "fourier", "channels_in": 3, "width": 8, "blocks": 9, "control": True},
    "lama-regular": {"family": "regular", "channels_in": 4, "width": 64, "blocks": 9, "control": False},
    "thesis-4": BIG_LAMA | {"width": 8, "blocks": 9},
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of work: what is computed, and how often."""

    network: str
    size: int  # pixels a side
    passes: int  # timed, in each process
    warm_up: int = 1
    rounds: int | None = None  # as the command line says
    starts: bool = False  # whether the start of the process is what counts
    batch: int | None = None  # of a training step; None for a prediction
    agree: bool = True  # whether predictions are compared first


ROWS = {
    "big-lama-512": Row("big-lama", 512, passes=3),
    "lama-fourier-1024": Row("lama-fourier", 1024, passes=2),
    "thesis-512": Row("thesis", 512, passes=20, warm_up=2),
    "big-lama-512-start": Row("big-lama", 512, passes=1, warm_up=0, starts=True, agree=False),
    "big-lama-2048": Row("big-lama", 2048, passes=1, warm_up=0, rounds=1, agree=False),
    "train-8": Row("thesis-4", 256, passes=10, batch=4, agree=False),
    "train-64": Row("big-lama", 256, passes=3, batch=1, agree=False),
    "lama-regular-512": Row("lama-regular", 512, passes=3),
}
DEFAULT_ROWS = [name for name in ROWS if name != "lama-regular-512"]


class Bench:
    """The folders and settings of one comparison."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.work: pathlib.Path = arguments.work.resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.target: pathlib.Path = arguments.target_dir.resolve()
        self.threads: int = arguments.threads
        self.patience: float = arguments.patience
        self.python = environment(arguments.venv or self.work / "venv")
        self.settings = {
            name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_SETTINGS)
        }

    def program(self, name: str) -> pathlib.Path:
        """One of our programs."""
        path = self.target / name
        if not path.is_file():
            crate = "--examples" if name.startswith("examples/") else "-p lacuna-cli"
            sys.exit(f"{path} is missing: cargo build --release {crate}, or --peers-only")
        return path

    def prepare(self, task: str, *words: str | pathlib.Path) -> str:
        """Runs prepare.py among the peers."""
        command = [self.python, FOLDER / "prepare.py", task, *words]
        done = subprocess.run(command, env=self.settings, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"prepare.py {task} failed:\n{done.stderr}")
        return done.stdout

    def made(self, name: str, task: str, *words: str | pathlib.Path) -> pathlib.Path:
        """A file of the work folder, made if missing."""
        path = self.work / name
        if not path.exists():
            say(f"making {name}")
            # The ending stays at the end: writers look at it.
            unfinished = path.with_name(f"unfinished-{name}")
            self.prepare(task, *words, unfinished)
            unfinished.replace(path)
        return path

    def model(self, row: Row) -> pathlib.Path:
        return self.made(f"{row.network}.safetensors", "weights", json.dumps(NETWORKS[row.network]))

    def onnx(self, row: Row) -> pathlib.Path:
        return self.made(f"{row.network}-{row.size}.onnx", "onnx", self.model(row), str(row.size))

    def inputs(self, row: Row) -> pathlib.Path:
        return self.made(f"inputs-{row.size}.safetensors", "inputs", str(row.size))

    def command(self, contestant: str, row: Row) -> list[str | pathlib.Path]:
        """The command line of one process."""
        repeats = ["--passes", str(row.passes), "--warm-up", str(row.warm_up)]
        threads = ["--threads", str(self.threads)]
        peer = [self.python, FOLDER / "peer.py"]
        network = NETWORKS[row.network]
        if row.batch is not None:
            batch = ["--batch", str(row.batch), "--side", str(row.size)]
            if contestant != OURS:
                config = ["--config", json.dumps(network)]
                return [*peer, f"train-{contestant}", *config, *batch, *threads, *repeats]
            shape = ["--width", str(network["width"]), "--blocks", str(network["blocks"])]
            shape += ["--channels-in", str(network["channels_in"]), "--steps", str(row.passes)]
            return [self.program("examples/train_step"), *shape, *batch, "--json"]
        if contestant == OURS:
            size = ["--size", str(row.size), "--json"]
            return [self.program("lacuna"), "bench", "--model", self.model(row), *size, *threads, *repeats]
        model = self.onnx(row) if contestant == "ort" else self.model(row)
        return [*peer, contestant, "--model", model, "--inputs", self.inputs(row), *threads, *repeats]

    def run(self, contestant: str, row: Row) -> Run:
        """One process."""
        command = self.command(contestant, row)
        settings = self.settings
        if contestant == OURS:
            settings = settings | {"RAYON_NUM_THREADS": str(self.threads)}
        return watch_patiently(command, settings, self.work / "stderr.log", self.patience)

    def agreement(self, contestants: list[str], row: Row) -> dict[str, float]:
        """The largest difference of each contestant's prediction from PyTorch's."""
        outputs = []
        for contestant in contestants:
            output = self.work / f"predicted-{contestant}.safetensors"
            if contestant == OURS:
                command = [self.program("examples/engine_predict"), self.model(row), self.inputs(row), output]
            else:
                once = dataclasses.replace(row, passes=1, warm_up=0)
                command = [*self.command(contestant, once), "--output", output]
            subprocess.run(command, env=self.settings, check=True, stdout=subprocess.DEVNULL)
            outputs.append(output)
        found = json.loads(self.prepare("differences", *outputs))
        return dict(zip(contestants[1:], found["differences"]))


def environment(folder: pathlib.Path) -> pathlib.Path:
    """The Python of a virtual environment with the peers; made if missing."""
    python = folder.resolve() / "bin" / "python"
    if not python.exists():
        say(f"installing {', '.join(PEER_PACKAGES)} into {folder}")
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, *PEER_PACKAGES], check=False).returncode:
            sys.exit(f"pip failed; remove {folder} before the next try")
    return python


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def measure(bench: Bench, name: str, row: Row, contestants: list[str], rounds: int) -> dict[str, list[Run]]:
    """All rounds of one row, the contestants in turns."""
    runs: dict[str, list[Run]] = {contestant: [] for contestant in contestants}
    for contestant in contestants:
        bench.command(contestant, row)  # makes the files that it needs, so that no turn waits for them
    for number in range(rounds):
        for contestant in contestants:
            run = bench.run(contestant, row)
            runs[contestant].append(run)
            say(
                f"{name} {number + 1}/{rounds} {contestant}: {run.p50_s:.3f} s, "
                f"{mebibytes(run.peak_bytes)} MiB, results after {run.first_s:.2f} s, "
                f"others took {run.others:.0%} of the machine"
            )
    return runs


def mebibytes(count: float) -> str:
    return f"{count / 2**20:.0f}"


def table(name: str, row: Row, runs: dict[str, list[Run]]) -> str:
    """One Markdown table. Ratios are ours over theirs, of medians: below 1 where Lacuna needs less."""

    def middle(contestant: str, field: str) -> float:
        return statistics.median(getattr(run, field) for run in runs[contestant])

    field = "first_s" if row.starts else "p50_s"
    what = "start to first pixel" if row.starts else "a step" if row.batch is not None else "a pass"
    shape = NETWORKS[row.network]
    control = ", control" if shape["control"] else ""
    batch = f", batch {row.batch}" if row.batch else ""
    rounds = len(next(iter(runs.values())))
    lines = [
        f"### {name}\n",
        f"{shape['family']}, width {shape['width']}, {shape['blocks']} blocks, {shape['channels_in']} "
        + f"inputs{control}; {row.size} x {row.size}{batch}; {rounds} rounds of {row.passes}\n",
        f"| | {what}, median s | least s | peak MiB | time, Lacuna / this | memory, Lacuna / this |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for contestant, turns in runs.items():
        least = min(run.first_s if row.starts else run.min_s for run in turns)
        memory = middle(contestant, "peak_bytes")
        cells = [NAMES[contestant], f"{middle(contestant, field):.3f}", f"{least:.3f}", mebibytes(memory)]
        if OURS in runs and contestant != OURS:
            for part in (field, "peak_bytes"):
                cells.append(f"{middle(OURS, part) / middle(contestant, part):.2f}")
        else:
            cells += ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    best = min((peer for peer in runs if peer.startswith("torch")), key=lambda peer: middle(peer, field))
    lines += ["", f"PyTorch's best is {NAMES[best]}."]
    if OURS in runs:
        peer = min((peer for peer in runs if peer != OURS), key=lambda peer: middle(peer, field))
        ratio = middle(OURS, field) / middle(peer, field)
        lines[-1] += f" Against the fastest peer, {NAMES[peer]}: {ratio:.2f} of its time."
    disturbed = max(run.others for turns in runs.values() for run in turns)
    lines.append(f"Other processes took at most {disturbed:.0%} of the machine during a run.")
    return "\n".join(lines)


def versions(python: pathlib.Path) -> dict[str, str]:
    """Of the peers that are measured."""
    done = subprocess.run([python, "-m", "pip", "list", "--format=json"], capture_output=True, check=True)
    listed = {entry["name"]: entry["version"] for entry in json.loads(done.stdout)}
    return {name: listed.get(name, "unknown") for name in PEER_PACKAGES}


def processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for all that is made")
    parser.add_argument("--venv", type=pathlib.Path, help="environment with the peers (WORK/venv)")
    parser.add_argument("--target-dir", type=pathlib.Path, default=pathlib.Path("target/release"))
    rows = f"of {', '.join(ROWS)}; all but the last if left out"
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=DEFAULT_ROWS, metavar="ROW", help=rows)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    patience = "seconds for each process, to wait for a calm machine and to repeat what others disturbed"
    parser.add_argument("--patience", type=float, default=0.0, help=patience)
    parser.add_argument("--peers-only", action="store_true", help="without Lacuna's programs")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    bench = Bench(arguments)
    machine = {"processor": processor(), "threads": bench.threads, "system": platform.platform()}
    results: dict[str, Any] = {"machine": machine, "versions": versions(bench.python), "rows": {}}
    print(", ".join(f"{name} {version}" for name, version in (machine | results["versions"]).items()))
    for name in arguments.rows:
        row = ROWS[name]
        peers = [peer for peer in PEERS if row.batch is None or peer != "ort"]
        contestants = peers if arguments.peers_only else [OURS, *peers]
        found: dict[str, Any] = {"row": dataclasses.asdict(row)}
        if row.agree:
            found["differences"] = bench.agreement([*peers, *contestants[: -len(peers)]], row)
        runs = measure(bench, name, row, contestants, row.rounds or arguments.rounds)
        found["runs"] = {name: [dataclasses.asdict(run) for run in turns] for name, turns in runs.items()}
        results["rows"][name] = found
        (bench.work / "results.json").write_text(json.dumps(results, indent=1))
        print(f"\n{table(name, row, runs)}", flush=True)
        if row.agree:
            others = ", ".join(f"{NAMES[other]} {value:.1e}" for other, value in found["differences"].items())
            print(f"Largest difference of `predicted` from {NAMES[peers[0]]}: {others}.", flush=True)


if __name__ == "__main__":
    main()
