"""How to call `train.py`, in words."""

import difflib
import tomllib
from importlib import metadata
from pathlib import Path

import lightning
import torch

from cli.parser import CommandError

ROOT = Path(__file__).parent.parent
SUBCOMMANDS = ("fit", "validate", "test", "predict")
# What is done around them, imported when asked for: with runs of their own, and with one that is finished.
RUNNING = {"tune": "cli.tune:tune", "repeat": "cli.repeat:repeat"}
FINISHED = {"export": "cli.export:export", "publish": "cli.publish:main"}
USAGE = """\
Firstlight trains one model per config:

  python train.py fit      --config configs/NAME.yaml                    train it
  python train.py validate --config configs/NAME.yaml --ckpt_path PATH   validation metrics of a checkpoint
  python train.py test     --config configs/NAME.yaml --ckpt_path PATH   test metrics of a checkpoint
  python train.py predict  --config configs/NAME.yaml --ckpt_path PATH   use a model
  python train.py tune     --config configs/NAME.yaml --search configs/search/NAME.yaml --trials 30
  python train.py repeat   --config configs/NAME.yaml --seeds 3          fit and test several seeds
  python train.py export   RUN or NAME                                   a model as ONNX files
  python train.py publish  RUN --to FOLDER                               share a model; OWNER/NAME is on the Hub

PATH is a checkpoint (.ckpt), weights (.safetensors), or the word last: the newest last.ckpt of a run with this seed,
model and data. fit goes on from a last.ckpt in that run's own folder; fit --init_from PATH begins a new run from
weights alone. Lay an overlay over a config with a second --config configs/with/NAME.yaml; change a value with
--trainer.max_epochs 5 or --model.lr 1e-4; see all options with python train.py fit --help. Networks, optimizers
and other parts are classes: --model.optimizer torch.optim.SGD --model.optimizer.momentum 0.9. Runs are kept in
runs/<config>/<version>, or runs/<config>/NAME with --run NAME.
"""


def usage() -> str:
    """How to call `train.py`, and every config with the first line of its header."""
    lines = [USAGE, "configs:"]
    for path in sorted((ROOT / "configs").rglob("*.yaml")):
        headline = path.read_text().splitlines()[0].lstrip("# ")
        lines.append(f"  {path.relative_to(ROOT).as_posix():<36} {headline}")
    return "\n".join(lines)


def version() -> str:
    """Of Firstlight and of what its results depend on most."""
    project = ROOT / "pyproject.toml"
    own = tomllib.loads(project.read_text())["project"] if project.exists() else metadata.metadata("firstlight")
    return f"firstlight {own['version']}, torch {torch.__version__}, lightning {lightning.__version__}"


def check_first_word(word: str) -> None:
    """Raises CommandError, with the nearest subcommand, for a command line that begins with none."""
    words = (*SUBCOMMANDS, *RUNNING, *FINISHED)
    if word in (*words, "--help", "-h"):
        return
    near = difflib.get_close_matches(word, words, n=1)
    raise CommandError(
        f"the first word must be one of {', '.join(words)}; got {word!r}"
        + (f"; did you mean {near[0]!r}?" if near else "")
    )
