"""Folders of runs: each belongs to one run, and one process at a time writes to it.

runs/<config>/<run>/config.yaml             how it is trained
runs/<config>/<run>/checkpoints/last.ckpt   where it goes on
runs/<config>/<run>/.lock                   locked while a process trains in it
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

RUNS = Path("runs")
LAST = Path("checkpoints", "last.ckpt")
CONFIG, LOCK = "config.yaml", ".lock"
PARTS = ("seed_everything", "model", "data")  # of a config, that make a run what it is
VERSION = re.compile(r"version_(\d+)")


def claim(runs: Path, name: str | None = None, again: bool = False) -> Path:
    """A folder in `runs` that no other process gets: `name`, or the next `version_<number>`.

    Args:
        runs: the folder of all runs of a config; made where there is none.
        name: of the run.
        again: a folder of that name may exist, such as that of a run killed before its first checkpoint.

    Raises ValueError for a name that is taken or not allowed; OSError where nothing can be written.
    """
    runs.mkdir(parents=True, exist_ok=True)
    if name is not None:
        if not re.fullmatch(r"[\w+=,-][\w+=,.-]*", name):
            raise ValueError(f"--run {name!r} must be a folder's name: letters, digits and _ - + = , . alone")
        try:
            (runs / name).mkdir(exist_ok=again)
        except FileExistsError as error:
            raise ValueError(
                f"there is a run {runs / name} already; give another --run, or go on with it by --ckpt_path last"
            ) from error
        return runs / name
    while True:
        numbers = [int(found.group(1)) for path in runs.iterdir() if (found := VERSION.fullmatch(path.name))]
        run = runs / f"version_{max(numbers, default=-1) + 1}"
        with contextlib.suppress(FileExistsError):  # another process was faster
            run.mkdir()
            return run


@contextlib.contextmanager
def held(run: Path) -> Iterator[None]:
    """Lock a run against other processes. The lock ends with the process, however it dies.

    Raises ValueError where another process holds it. A folder to which nothing was written is removed.
    """
    lock = FileLock(run / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"another process is training in {run}; wait for its end or stop it, or begin a run of your own without "
            "--ckpt_path"
        ) from error
    try:
        yield
    finally:
        lock.release()
        with contextlib.suppress(OSError):
            if all(path.name == LOCK for path in run.iterdir()):
                (run / LOCK).unlink()
                run.rmdir()


def run_of(path: str | Path | None) -> Path | None:
    """The folder of a `last.ckpt`'s run, relative to the working directory; None for other checkpoints."""
    file = Path(path or "").absolute()
    return Path(os.path.relpath(file.parent.parent)) if file.parts[-2:] == LAST.parts else None


def config_name(path: Path) -> str:
    """The name of a config: that of its file, or of its folder for the config.yaml of a run or a shipped model."""
    if path.name == CONFIG and (path.parent / LOCK).exists():
        return path.resolve().parent.parent.name
    names = path.resolve().with_suffix("").parts
    return next(name for name in reversed(names) if name != "config" and not VERSION.fullmatch(name))


def newest(runs: Path, name: str | None = None) -> list[Path]:
    """Runs that have a `last.ckpt`, the one that was written last first."""

    def age(run: Path) -> tuple[float, int]:
        number = VERSION.fullmatch(run.name)
        return (run / LAST).stat().st_mtime, int(number.group(1)) if number else -1

    found = [path.parent.parent for path in runs.glob(f"*/{LAST}") if name in (None, path.parent.parent.name)]
    return sorted(found, key=age, reverse=True)


def config_of(run: Path) -> dict:
    """What the run's config.yaml says, nothing where it has none."""
    try:
        content = yaml.safe_load((run / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def differences(theirs: dict, ours: dict, parts: tuple[str, ...] = PARTS) -> dict[str, tuple]:
    """Where seed, model or data of two configs differ: {"model.lr": (theirs, ours), ...}.

    Of two models of one class, only arguments that both name are compared: versions may differ in what they take.
    """
    found: dict[str, tuple] = {}
    for part in parts:
        left, right = flat(theirs.get(part), part), flat(ours.get(part), part)
        same_kind = left.get(f"{part}.class_path") == right.get(f"{part}.class_path")
        names = left.keys() & right.keys() if same_kind else {f"{part}.class_path"}
        found |= {
            name: (left.get(name), right.get(name)) for name in sorted(names) if left.get(name) != right.get(name)
        }
    return found


def flat(value: object, name: str) -> dict[str, object]:
    """{"model.class_path": ..., "model.lr": ...}: objects are opened, plain dicts are values."""
    if not (isinstance(value, dict) and "class_path" in value):
        return {name: value}
    leaves = {f"{name}.class_path": value["class_path"]}
    for argument, inner in (value.get("init_args") or {}).items():
        leaves |= flat(inner, f"{name}.{argument}")
    return leaves


def words(found: dict[str, tuple], side: str) -> str:
    """Differences in words, on one line, at most five."""
    said = [f"{name} is {theirs!r} {side}, here {ours!r}" for name, (theirs, ours) in list(found.items())[:5]]
    return "; ".join(said) + (f"; and {len(found) - 5} more" if len(found) > 5 else "")
