"""Runs that are stopped and resumed: do they end like one that never stopped?"""

import json
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.reliability import plain_lightning, processes
from benchmarks.reliability.processes import opened
from tests.runs import differences, resumed_differs

STOPS = (1, 4, 6)  # batches of a run of two epochs of four: within the first, at its end, within the second


def resumes(name: str, families: list[str]) -> Table:
    """Runs of two epochs of four batches, stopped and resumed: do they end like one that never stopped?"""
    table = Table("", "stopped after batch", "equal to the bit", title="resumed runs")
    with Progress() as bar, tempfile.TemporaryDirectory() as root:
        if name == "plain":
            rows = {"plain Lightning": plain_resumes(Path(root), bar)}
        else:
            rows = {family: family_resumes(family, Path(root, family)) for family in bar.track(families)}
    for row, found in rows.items():
        table.add_row(row, ", ".join(map(str, found)), f"{sum(found.values())} of {len(found)}")
    return table


def family_resumes(family: str, root: Path) -> dict[int, bool]:
    """Whether everything is equal: checkpoints, log and files (`tests.runs.resumed_differs`)."""
    root.mkdir()
    processes.start(compare, [family], root).join()
    found = json.loads((root / "differences.json").read_text())
    for stop, lines in found.items():
        for line in lines:
            Console().print(f"{family}, stopped after {stop}: {line}")
    return {int(stop): not lines for stop, lines in found.items()}


def compare(words: list[str]) -> None:
    found = {stop: resumed_differs(*words, stop, Path.cwd()) for stop in STOPS}
    Path("differences.json").write_text(json.dumps(found))


def plain_resumes(root: Path, bar: Progress) -> dict[int, bool]:
    """Whether the weights are equal."""
    words = ["--epochs", "2", "--batches", "4", "--every", "1"]

    def ended(folder: Path, *more: str) -> dict:
        folder.mkdir()
        processes.start(plain_lightning.main, [*words, *more], folder).join()
        return opened(folder / "checkpoints/last.ckpt")["state_dict"]

    whole = ended(root / "whole")
    if differences(ended(root / "again"), whole):
        raise RuntimeError("two runs that nobody stopped differ: nothing can be said about those that are resumed")
    kept = {stop: str(root / f"whole/kept/step={stop}.ckpt") for stop in STOPS}
    return {
        stop: not differences(ended(root / str(stop), "--checkpoint", path), whole)
        for stop, path in bar.track(kept.items())
    }
