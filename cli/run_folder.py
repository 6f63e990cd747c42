"""Which folder a command's run gets, and which earlier run it goes on with."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from checkpoints import runs
from cli.command_words import says
from cli.messages import is_first_process, say


def runs_of_config(config: dict[str, Any] | Namespace) -> Path:
    """The folder of all runs of the config that a parsed command line names, or of its model where it names none."""
    files = config["config"]
    kind = config["model"]["class_path"].rpartition(".")[2]
    name = runs.config_name(Path(str(files[0]))) if files else kind
    return Path(config["trainer"]["default_root_dir"] or runs.RUNS) / name


def run_folder(place: Path, resumed: Path | None, name: str | None, again: bool, held: ExitStack) -> Path:
    """This run's own folder. The first of several processes claims and holds it.

    Args:
        place: the folder of all runs of the config.
        resumed: the folder of the run that goes on.
        name: that the user gave.
        again: a folder of that name may exist.
        held: keeps the folder's lock until the run ends.

    Raises ValueError where another process is writing the run, or the name is taken.
    """
    if not is_first_process():
        return resumed or place / "of the first process"
    run = resumed or runs.claim(place, name, again=again)
    held.enter_context(runs.held(run))
    return run


def newest_checkpoint(place: Path, ours: dict[str, Any], name: str | None, args: list[str], fit: bool) -> str | None:
    """The newest last.ckpt of a run with this seed, model and data.

    Args:
        place: the folder of all runs of the config.
        ours: the config, as a run's config.yaml has it.
        name: of the run, where the user gave it.
        args: the words of the command line.
        fit: whether it trains, and then may begin a run where there is none. Other commands compare model and data
            alone, without what the command line sets itself.

    Raises ValueError where no run is found and none can begin.
    """
    found = runs.newest(place, name)
    apart = []
    for run in found:
        differences = runs.differences(runs.config_of(run), ours)
        if not fit:
            differences.pop("seed_everything", None)
            differences = {key: both for key, both in differences.items() if not says(args, key)}
        if not differences:
            say(f"going on from {run / runs.LAST}")
            return str(run / runs.LAST)
        apart.append((run, differences))
    if not found:
        say(f"{place} holds no last.ckpt")
        return None
    nearest, differences = min(apart, key=lambda pair: len(pair[1]))
    what = f"no run in {place} has this seed, model and data: {runs.words(differences, f'in {nearest}')}; "
    what += f"to go on from that one all the same, --ckpt_path {nearest / runs.LAST}"
    if not fit or name:
        raise ValueError(what)
    say(f"{what}; beginning a new run")
    return None
