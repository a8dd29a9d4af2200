#!/usr/bin/env python3
"""LPIPS (VGG) and FID features, Lacuna beside torchmetrics and pytorch-fid, alternating.

usage: compare.py --python VENV_PYTHON --set SET --fills FILLS [--count 32] [--rounds 3]

SET is made by `lacuna masks --images`, FILLS by `lacuna eval` (its folder fills/NAME). LACUNA_METRIC_WEIGHTS names the weights.
Build first: cargo build --release -p lacuna-eval --examples
"""
import argparse
import os
import re
import statistics
import subprocess

parser = argparse.ArgumentParser()
parser.add_argument("--python", required=True)
parser.add_argument("--set", required=True)
parser.add_argument("--fills", required=True)
parser.add_argument("--count", default="32")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--ours", default="target/release/examples/metric_speed")
arguments = parser.parse_args()

sides = {
    "lacuna": [arguments.ours, os.environ["LACUNA_METRIC_WEIGHTS"], arguments.set, arguments.fills, arguments.count],
    "peers": [arguments.python, "bench/metrics/peer.py", arguments.set, arguments.fills, arguments.count],
}
seconds = {}
for _ in range(arguments.rounds):
    for side, command in sides.items():
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"{side}: {text.strip()}".replace("\n", "; "))
        for what, value in re.findall(r"(\w+) ([\d.]+) s", text):
            seconds.setdefault((what, side), []).append(float(value))
for what in ("lpips", "features"):
    ours, peers = (statistics.median(seconds[what, side]) for side in sides)
    print(f"{what}: lacuna {int(arguments.count) / ours:.2f} pictures/s, peer {int(arguments.count) / peers:.2f}, time ratio {ours / peers:.2f}")
