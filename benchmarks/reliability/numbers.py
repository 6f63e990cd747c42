"""A loss that becomes NaN: how does the run end, and is its last checkpoint good?"""

import tempfile
from pathlib import Path

from rich.progress import Progress
from rich.table import Table

import train
from benchmarks.reliability import plain_lightning, processes
from benchmarks.reliability.processes import opened
from tests.families import FAMILIES
from tests.runs import ROOT, SHORT, spoil_at


def numbers(name: str, families: list[str]) -> Table:
    """A loss that becomes NaN in the second of two epochs: how does the run end, and is its last checkpoint good?"""
    table = Table("", "loss", "exit code", "last line", "last checkpoint", title="a loss that is NaN")
    with Progress() as bar, tempfile.TemporaryDirectory() as root:
        cases = [(family, loss) for family in families for loss in FAMILIES[family].losses]
        for number, (family, loss) in enumerate(bar.track(cases if name == "firstlight" else [("plain", "loss")])):
            (folder := Path(root, str(number))).mkdir()
            if name == "firstlight":
                short = [*FAMILIES[family].words(), *SHORT, *spoil_at(6, "nan", loss)]
                main, words = train.command_line, ["fit", "--config", str(ROOT / f"configs/{family}.yaml"), *short]
            else:
                main, words = plain_lightning.main, ["--epochs", "2", "--batches", "4", "--nan-at", "5"]
            process = processes.start(main, words, folder)
            process.join()
            content = opened(next(folder.rglob("last.ckpt")))
            finite = all(weight.isfinite().all() for weight in content["state_dict"].values())
            state = f"step {content['global_step']}, {'good' if finite else 'weights NaN'}"
            table.add_row(family, loss, str(process.exitcode), processes.last_line(folder)[:70], state)
    return table
