#!/usr/bin/env python3
"""Compares whole training steps with PyTorch eager on this machine; README.md says how.

    cargo build --release --examples -p lacuna-train
    python3 bench/training/compare.py --python VENV/bin/python --rows autoencoder latent-control --rounds 3

Contestants run in fresh processes, in turns. Prints a Markdown table.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OURS, PEERS = "Lacuna", {"PyTorch, NCHW": [], "PyTorch, channels_last": ["--channels-last"]}


def run(command, threads):
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="a Python with torch and numpy")
    parser.add_argument("--ours", default=ROOT / "target/release/examples/step_speed")
    parser.add_argument("--rows", nargs="+", default=["autoencoder", "latent-control"])
    parser.add_argument("--vgg16", help="VGG16's weights, for rows with a perceptual loss")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--width", type=int, default=8, help="of the generator")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    print("| step | " + " | ".join([OURS, *PEERS]) + " | ratio to the better | peak memory |\n|" + " --- |" * (4 + len(PEERS)))
    for row in arguments.rows:
        sizes = {"batch": arguments.batch, "side": arguments.side, "width": arguments.width}
        changes = [f"run.batch={sizes['batch']}", f"data.side={sizes['side']}", f"network.width={sizes['width']}"]
        if arguments.vgg16 and row.startswith("full"):
            changes.append(f'loss.vgg16.weights="{arguments.vgg16}"')
        ours = [arguments.ours, ROOT / f"configs/{row}.toml", "--steps", str(arguments.steps)]
        ours += [word for change in changes for word in ("--set", change)]
        commands = {OURS: ours}
        for name, words in PEERS.items():
            peer = [arguments.python, ROOT / "bench/training/peer.py", row, "--steps", str(arguments.steps)]
            peer += ["--threads", str(arguments.threads), *words]
            commands[name] = peer + [word for key, value in sizes.items() for word in (f"--{key}", str(value))]
        found = {name: [] for name in commands}
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                found[name].append(run(list(map(str, command)), arguments.threads))
        seconds = {name: statistics.median(one["p50_s"] for one in runs) for name, runs in found.items()}
        least = {name: min(one["p50_s"] for one in runs) for name, runs in found.items()}
        peaks = {name: max(one["peak_bytes"] for one in runs) for name, runs in found.items()}
        better = min(PEERS, key=seconds.get)
        cells = [f"{seconds[name]:.3f} s (least {least[name]:.3f})" for name in commands]
        memory = f"{peaks[OURS] >> 20} / {peaks[better] >> 20} MiB"
        print(f"| {row} | " + " | ".join(cells) + f" | {seconds[OURS] / seconds[better]:.2f} | {memory} |", flush=True)


if __name__ == "__main__":
    main()
