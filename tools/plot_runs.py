#!/usr/bin/env python3
"""Draws the loss curves and validation scores of consecutive runs, from their metrics.jsonl.

    python3 -m venv VENV && VENV/bin/pip install matplotlib
    VENV/bin/python tools/plot_runs.py -o curves.png runs/default-1-autoencoder runs/default-2-control …
"""

import argparse
import json
import pathlib

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402

NOT_LOSSES = {"kind", "step", "learning_rate", "gradient_norm", "loader_wait", "seconds_per_step"}
JUDGEMENTS = ("l1", "lpips", "ssim")
WINDOW = 20


def records(folder):
    with open(folder / "metrics.jsonl") as file:
        return [json.loads(line) for line in file]


def smooth(values):
    """Means over the last WINDOW logged steps."""
    parts = [values[max(0, end - WINDOW) : end] for end in range(1, len(values) + 1)]
    return [sum(part) / len(part) for part in parts]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=pathlib.Path)
    parser.add_argument("-o", "--output", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    figure, (losses, judged) = pyplot.subplots(2, 1, figsize=(10, 7), sharex=True, constrained_layout=True)
    colours, start, ends = {}, 0, []
    for run in arguments.runs:
        found = records(run)
        rows = [row for row in found if row["kind"] == "train"]
        for axes, kind, names in (
            (losses, "train", sorted({name for row in rows for name in row} - NOT_LOSSES)),
            (judged, "validation", JUDGEMENTS),
        ):
            for name in names:
                points = [(row["step"], row[name]) for row in found if row["kind"] == kind and name in row]
                if not points:
                    continue
                values = [value for _, value in points]
                new = (kind, name) not in colours
                colour = colours.setdefault((kind, name), f"C{len(colours)}")
                axes.plot(
                    [start + step for step, _ in points],
                    smooth(values) if kind == "train" else values,
                    color=colour,
                    marker="o" if kind == "validation" else None,
                    markersize=3,
                    label=name if new else None,
                )
        start += max(row["step"] for row in rows)
        ends.append((start, run.name))
    for axes in (losses, judged):
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
        axes.legend(loc="best")
        for end, _ in ends[:-1]:
            axes.axvline(end, color="grey", linewidth=0.8, linestyle="--")
    before = 0
    for end, name in ends:
        losses.text((before + end) / 2, 1.01, name, ha="center", transform=losses.get_xaxis_transform())
        before = end
    losses.set_ylabel(f"training loss (mean of {WINDOW} logged steps)")
    judged.set_ylabel("validation")
    judged.set_xlabel("step")
    figure.savefig(arguments.output, dpi=90)


if __name__ == "__main__":
    main()
