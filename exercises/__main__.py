"""The exercises on the command line: `python -m exercises list | start NAME | check [NAME] | solution NAME`."""

import argparse
import sys
from difflib import get_close_matches

from exercises.exercise import FOLDER, Exercise
from exercises.hole import Hole
from exercises.road import EXERCISES, ROAD


def named(name: str) -> Exercise:
    """The exercise of that name; ValueError with the nearest names where there is none."""
    if name not in EXERCISES:
        near = get_close_matches(name, EXERCISES) or ["one of: python -m exercises list"]
        raise ValueError(f"there is no exercise {name!r}; did you mean {' or '.join(near)}?")
    return EXERCISES[name]


def show_list() -> None:
    """All exercises with their levels, and which of them were started."""
    numbers = {name: number for number, name in enumerate(EXERCISES, 1)}
    width = max(map(len, EXERCISES))
    for stage in ROAD:
        print(f"\n{stage.title}")
        for one in stage.exercises:
            begun = ">" if one.path.exists() else " "
            print(f"{numbers[one.name]:3} {begun} {'*' * one.level:3} {one.name:{width}}  {one.title}")
    print("\n* the formula is given  ** derive it  *** an algorithm   > started")
    print("python -m exercises start NAME")


def start(exercise: Exercise) -> None:
    """Write the file with the hole, and say what to do."""
    try:
        line = exercise.start()
    except FileExistsError:
        raise ValueError(f"{exercise.path} is there already; delete it to start again") from None
    print(f"{exercise.title}\n\n{exercise.task}\n\nopen   {exercise.path}, line {line}")
    print(f"then   python -m exercises check {exercise.name}")


def check(exercises: list[Exercise]) -> bool:
    """Say of each, in one line, whether it passes; returns whether all do."""
    passed = True
    for exercise in exercises:
        try:
            wrong = exercise.check()
        except OSError:
            raise ValueError(
                f"{exercise.path} cannot be read; begin with python -m exercises start {exercise.name}"
            ) from None
        print(f"{exercise.name}: {wrong or 'right'}")
        passed = passed and wrong is None
    return passed


def main(args: list[str] | None = None) -> None:
    """`python -m exercises`."""
    parser = argparse.ArgumentParser(prog="python -m exercises", description="Exercises that grade themselves.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | start | check | solution")
    commands.add_parser("list", help="all exercises, in the order of the road")
    commands.add_parser("start", help=f"write {FOLDER}/NAME.py, with a hole in it").add_argument("name")
    commands.add_parser("check", help="grade it; without a name, all that were started").add_argument("name", nargs="?")
    commands.add_parser("solution", help="print the function as the project has it").add_argument("name")
    options = parser.parse_args(args)
    try:
        if options.command == "list":
            show_list()
        elif options.command == "start":
            start(named(options.name))
        elif options.command == "solution":
            exercise = named(options.name)
            hole = Hole(exercise.function)
            print(hole.solution, end="")
        else:
            chosen = [named(options.name)] if options.name else [e for e in EXERCISES.values() if e.path.exists()]
            if not chosen:
                raise ValueError("no exercise was started yet; python -m exercises list shows them")
            if not check(chosen):
                sys.exit(1)
            if options.name:
                say_next(chosen[0])
    except ValueError as error:
        print(f"exercises: {error}", file=sys.stderr)
        sys.exit(2)


def say_next(exercise: Exercise) -> None:
    """What to do after an exercise that passed."""
    print(f"compare with ours:  python -m exercises solution {exercise.name}")
    names = list(EXERCISES)
    for name in names[names.index(exercise.name) + 1 :][:1]:
        print(f"next:               python -m exercises start {name}")


if __name__ == "__main__":
    main()
