#!/usr/bin/env python3
"""Reads a run's event files with the real tensorboard package and prints what it finds.

    python3 -m venv VENV && VENV/bin/pip install tensorboard
    VENV/bin/python tools/check_events.py runs/pixel

Fails if there are no scalars, if scalars and metrics.jsonl disagree, or if a picture is no PNG.
"""

import json
import pathlib
import sys

from tensorboard.backend.event_processing import event_accumulator


def main():
    folder = pathlib.Path(sys.argv[1])
    events = event_accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    assert tags["scalars"], "no scalars"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for tag in tags["scalars"]:
        kind, name = tag.split("/")
        written = {line["step"]: line[name] for line in lines if line["kind"] == kind and name in line}
        read = {event.step: event.value for event in events.Scalars(tag)}
        assert written.keys() == read.keys(), f"{tag}: steps differ"
        assert all(abs(written[step] - read[step]) <= 1e-6 + 1e-5 * abs(written[step]) for step in read), tag
        print(f"{tag}: {len(read)} values, the last is {list(read.values())[-1]:.6g}")
    for tag in tags["images"]:
        for picture in events.Images(tag):
            assert picture.encoded_image_string.startswith(b"\x89PNG"), tag
            print(f"{tag}: {picture.width} x {picture.height} at step {picture.step}")


if __name__ == "__main__":
    main()
