"""Is a change slower? The same work in an earlier checkout and in this one, turn by turn, so that a slow hour falls on both."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from speed import BIG, SMALL, THREADS

HERE = Path(__file__).parents[1]
WORK = {
    "VAE 64-64-64-10": ("train_ours", {**SMALL, "rows": 51200}),
    "VAE 784-500-500-50": ("train_ours", BIG),
    "M2 784-500-500-50, 10 classes": (
        "train_ours",
        {**BIG, "family": "M2", "rows": 2560, "epochs": 4, "consistency_weight": 0.0},
    ),
    "default fit of 200 x 10": ("fixed_cost", {}),
    "prediction, 200,000 x 20": ("prediction", {}),
    "fit of 100,000 x 200": ("growth", {"rows": 100_000, "columns": 200}),
}
NOTES = """
Each figure from a process of its own, with the `speed.py` of its checkout. Ratios are medians over the turns; above 1 the later
checkout is faster, or needs less.
"""


def measure(checkout, work, arguments, threads):
    """The numbers of one piece of work in a checkout, in a new process."""
    environment = {
        **os.environ,
        **dict.fromkeys(THREADS, str(threads)),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(checkout),
    }
    command = [sys.executable, str(Path(checkout) / "benchmarks" / "speed.py"), "--work", work, json.dumps(arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=checkout)
    return json.loads(done.stdout.splitlines()[-1])


def table(frame):
    """Medians of both checkouts and their ratio, a row a number."""
    import pandas as pd

    wide = frame.pivot_table(index=["method", "number"], columns=["checkout", "seed"], values="value", sort=False)
    lines = []
    for (method, number), values in wide.iterrows():
        before, after = values["before"], values["after"]
        ratio = after / before if "rows/s" in number else before / after
        line = {"work": method, "number": number, "before": f"{before.median():,.4g}", "after": f"{after.median():,.4g}"}
        lines.append({**line, "ratio": f"{ratio.median():.2f} ({ratio.min():.2f} to {ratio.max():.2f})"})
    return pd.DataFrame(lines)


def main():
    """Measure what is not in the CSV yet, turn by turn, then write the section."""
    from common import Rows, argument_parser, command_line, write_section

    parser = argument_parser(__doc__, seeds=3)
    parser.add_argument("--before", type=Path, required=True, help="the earlier checkout")
    parser.add_argument("--work", nargs="+", default=list(WORK), choices=list(WORK), metavar="WORK")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of each process")
    args = parser.parse_args()
    keys = ["method", "checkout", "seed"]
    rows = Rows(args.out, "before_after", keys, ["number", "value", "seconds"], args.resume)
    for turn in args.seeds:
        for method in args.work:
            for name, checkout in (("before", args.before.resolve()), ("after", HERE)):
                key = {"method": method, "checkout": name, "seed": turn}
                if key in rows:
                    continue
                start = time.perf_counter()
                numbers = measure(checkout, *WORK[method], args.threads)
                seconds = time.perf_counter() - start
                for number, value in numbers.items():
                    rows.add(key, number=number, value=value, seconds=seconds / len(numbers))
    frame = rows.frame()
    revision = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=args.before, capture_output=True, text=True, check=True
    )
    title = f"Speed before and after, {args.threads} threads: {revision.stdout.strip()} and this source"
    command = command_line().replace(str(args.before), revision.stdout.strip())
    write_section("before_after", title, command, table(frame), NOTES, rows=frame, out=args.out)


if __name__ == "__main__":
    main()
