"""The figures of docs/reliability.md.

python -m benchmarks.reliability resumes
python -m benchmarks.reliability resumes --contestant plain
python -m benchmarks.reliability kills
python -m benchmarks.reliability kills --contestant plain
python -m benchmarks.reliability numbers
python -m benchmarks.reliability numbers --contestant plain
python -m benchmarks.reliability memory
"""

import argparse

from rich.console import Console

from benchmarks.reliability.kills import contestants, kills, table
from benchmarks.reliability.memory import memory
from benchmarks.reliability.numbers import numbers
from benchmarks.reliability.resumes import resumes
from tests.families import FAMILIES

WIDTH = 160  # columns of a table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__.splitlines()[0])
    figures = parser.add_subparsers(required=True)

    def figure(name: str, help: str, call) -> argparse.ArgumentParser:
        part = figures.add_parser(name, help=help)
        part.set_defaults(call=call)
        return part

    killed = figure(
        "kills",
        "kill -9, half of them while a checkpoint is written",
        lambda args: table({args.contestant: kills(args.contestant, args.kills, args.seed, args.temporary)}),
    )
    killed.add_argument("--kills", type=int, default=50)
    killed.add_argument("--seed", type=int, default=0, help="of the moments")
    killed.add_argument("--temporary", help="a folder of another file system for temporary files (TMPDIR)")
    resumed = figure("resumes", "is a resumed run the same run?", lambda args: resumes(args.contestant, args.families))
    spoiled = figure("numbers", "what a loss that is NaN does", lambda args: numbers(args.contestant, args.families))
    long = figure(
        "memory",
        "memory, open files and log over long runs",
        lambda args: memory(args.families, args.steps, args.warm_up),
    )
    long.add_argument("--steps", type=int, default=2000)
    long.add_argument("--warm-up", type=int, default=600, help="batches before the first that counts")
    for part in (killed, resumed, spoiled):
        part.add_argument("--contestant", choices=contestants(1), default="firstlight")
    for part in (resumed, spoiled, long):
        part.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    args = parser.parse_args()
    Console(width=WIDTH).print(args.call(args))


if __name__ == "__main__":
    main()
