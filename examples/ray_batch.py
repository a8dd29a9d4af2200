"""Fills photos on one machine or many with Ray Data: pip install ./python "ray[data]" fsspec (docs/scale.md).

  python examples/ray_batch.py list.csv --outcomes outcomes                  # columns image, mask, output: full paths or URLs
  python examples/ray_batch.py photos masks --output clean --outcomes outcomes         # folders, masks of the same names
  python examples/ray_batch.py shards/*.tar --output s3://b/clean --outcomes outcomes  # webdataset: KEY.jpg, KEY.mask.png

Run it again after it was killed: what is finished is not done again."""
import argparse, csv, os, posixpath, time
import fsspec
import ray
from ray.data.checkpoint import CheckpointConfig
import lacuna_inpaint as lacuna

OVERHEAD = 3  # CPUs for the tasks that read, skip what is finished, and write: without them they would wait for ever
PYTHON = 128 << 20  # bytes of Python and Ray in each process, beside the fill's


class Fill:
    """A process with the weights. It never raises: good and bad photos give rows of one schema."""
    def __init__(self, args):
        self.args, self.fill = args, lacuna.Inpainter(threads=args.threads, timeout=args.timeout)
    def files(self, row):
        if "image" in row:
            return row["image"], row["mask"], row["output"]
        kind = next(name for name in ("jpg", "jpeg", "png", "webp", "tif", "tiff") if row.get(name))
        return row[kind], row["mask.png"], posixpath.join(self.args.output, f"{row['__key__']}.{kind}")
    def __call__(self, row):
        start, outcome = time.monotonic(), {"status": "failed", "error": "", "sha256": ""}
        try:
            done = self.fill.fill_file(*self.files(row), resume=True)
            outcome |= {"status": done.status, "sha256": done.sha256}
        except Exception as error:
            outcome["error"] = f"{type(error).__name__}: {error}"
        return {self.args.id: row[self.args.id], "seconds": time.monotonic() - start, **outcome}
    def forecast(self, row):
        try:
            return self.fill.forecast(*self.files(row)[:2]).bytes
        except Exception:
            return 0  # a broken photo: its outcome will say so


def listed(photos, masks, output, table):
    """Writes a table of the photos in a folder, each with the mask of the same name. Returns its path."""
    images, found = ({posixpath.splitext(path)[0]: path for path in fsspec.get_mapper(folder)} for folder in (photos, masks))
    rows = [[posixpath.join(*pair) for pair in ((photos, image), (masks, found[stem]), (output, image))]
            for stem, image in images.items() if stem in found]
    with fsspec.open(table, "w", newline="", auto_mkdir=True) as file:
        csv.writer(file).writerows([("image", "mask", "output"), *rows])
    return table


place = lambda path: path if "://" in path else os.path.abspath(path)
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("input", nargs="+", type=place, help="table (.csv, .parquet), shards (.tar), or folders of photos and masks")
parser.add_argument("--output", type=place, help="folder of the filled photos; tables name theirs")
parser.add_argument("--outcomes", type=place, required=True, help="folder of the rows of outcomes, Parquet")
parser.add_argument("--threads", type=int, default=1, help="threads of each process; one is the best for batches")
parser.add_argument("--cpus", type=int, default=len(os.sched_getaffinity(0)), help="of this machine, if no Ray runs")
parser.add_argument("--timeout", type=float, default=600, help="seconds for a photo")
args = parser.parse_args()
kind = posixpath.splitext(args.input[0])[1]
args.id = "__key__" if kind == ".tar" else "output"
if (kind in (".csv", ".parquet")) != (args.output is None) or (kind == "" and len(args.input) != 2):
    parser.error("tables name their outputs; shards, and a folder of photos with one of masks, need --output")
ray.init(**({} if os.environ.get("RAY_ADDRESS") else {"num_cpus": args.cpus + OVERHEAD, "include_dashboard": False}))
cpus, context = ray.cluster_resources().get("CPU", 0) - OVERHEAD, ray.data.DataContext.get_current()
if cpus < args.threads:
    parser.error(f"Ray has {cpus + OVERHEAD:g} CPUs, {args.threads + OVERHEAD} are needed: ray start --num-cpus declares more")
context.execution_no_progress_timeout_s = 2 * args.timeout  # Ray's default, half an hour, is long for a batch that hangs
read = {".tar": ray.data.read_webdataset, ".parquet": ray.data.read_parquet}.get(kind, ray.data.read_csv)
paths = args.input if kind else listed(*args.input, args.output, f"{args.outcomes}-list.csv")
options = {"decoder": None} if kind == ".tar" else {}
memory = max(map(Fill(args).forecast, read(paths, **options).take(16))) + PYTHON
actors = int(max(1, min(cpus // args.threads, ray.cluster_resources()["memory"] // memory)))
if kind != ".tar":  # a shard is one block; the rows of a table are spread over the actors
    options["override_num_blocks"] = max(4 * actors, read(paths).count() // 500)
context.checkpoint_config = CheckpointConfig(args.id, f"{args.outcomes}-checkpoint", delete_checkpoint_on_success=False)
pool = ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2)
outcomes = read(paths, **options).map(Fill, fn_constructor_args=(args,), compute=pool, num_cpus=args.threads, memory=memory)
outcomes.write_parquet(args.outcomes)
