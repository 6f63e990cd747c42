"""Train, validate, test or use any Firstlight model: `python train.py fit --config configs/NAME.yaml`."""

import ctypes
import difflib
import os
import re
import sys
import warnings
from itertools import pairwise
from pathlib import Path

import yaml
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from callbacks.checkpoint_files import CheckpointFiles
from callbacks.finite_loss import FiniteLoss
from callbacks.interruption import Interruption
from callbacks.last_checkpoint import LastCheckpoint
from callbacks.loader_place import LoaderPlace
from callbacks.random_state import RandomState
from lightning_modules.precision import fast_precision
from lightning_modules.pretrained import load_weights

CONFIGS = Path(__file__).parent / "configs"
RUNS = Path("runs")
DEBUG = "FIRSTLIGHT_DEBUG"  # set it to see tracebacks
FOREIGN = re.compile(r"loading state_dict")
LOST = re.compile(r"gloo/transport|Connection (closed|reset) by peer|NCCL.*(remote|abort|timeout)", re.I | re.S)
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
SUBCOMMANDS = ("fit", "validate", "test", "predict")
USAGE = """\
Firstlight trains one model per config:

  python train.py fit      --config configs/NAME.yaml                    train it
  python train.py validate --config configs/NAME.yaml --ckpt_path PATH   validation metrics of a checkpoint
  python train.py test     --config configs/NAME.yaml --ckpt_path PATH   test metrics of a checkpoint
  python train.py predict  --config configs/NAME.yaml --ckpt_path PATH   use a model

PATH is a checkpoint (.ckpt), weights (.safetensors), or the word last: the newest last.ckpt of this config's runs.
fit goes on from a last.ckpt in that run's own folder. Lay an overlay over a config with a second
--config configs/with/NAME.yaml; change a value with --trainer.max_steps 100 or --model.lr 1e-4; see all
options with python train.py fit --help. Runs are kept in runs/<config>/<version>.
"""


def usage() -> str:
    """How to call this script, and every config with the first line of its header."""
    lines = [USAGE, "configs:"]
    for path in sorted(CONFIGS.rglob("*.yaml")):
        headline = path.read_text().splitlines()[0].lstrip("# ")
        lines.append(f"  {path.relative_to(CONFIGS.parent).as_posix():<36} {headline}")
    return "\n".join(lines)


class Parser(LightningArgumentParser):
    """Answers a mistake in one line that names the nearest known key; accepts no abbreviated keys."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})

    def error(self, message, ex=None):
        if os.environ.get(DEBUG) and ex is not None:
            raise ex
        fail(_with_nearest(str(message), self))


def _with_nearest(message: str, parser: LightningArgumentParser) -> str:
    unknown = re.search(r"[Uu]nrecognized arguments: -*([\w.]+)|(?:Option|Key) ['\"]([\w.]+)['\"] is not", message)
    if not unknown:
        return message
    key = unknown.group(1) or unknown.group(2)
    known = {action.dest for action in parser._actions}
    for action in parser._actions:  # the arguments of the class that model or data name
        known |= {f"{action.dest}.{name}" for name in getattr(action, "_known_init_args", ())}
    near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.5)
    return message + (f"; did you mean {near[0]!r}?" if near else "")


def fail(message: str) -> None:
    """Say what went wrong in one line and end the process."""
    message = " ".join(message.split())
    # What a constructor says comes wrapped in every type that the argument could have had.
    wrapped = re.search(r"Errors: - (?!Expected a)(.*?) - Expected a <class", message)
    print(f"train.py: {wrapped.group(1) if wrapped else _with_types_in_words(message)}", file=sys.stderr)
    sys.exit(2)


def _with_types_in_words(message: str) -> str:
    """What a value must be, from the parser's answer to one of a wrong type; other messages as they are."""
    found = re.search(r'Parser key "(.+?)": (.*?)(?:Got value|Given value type: .* Given value): (.*)', message)
    if not found:
        return message
    key, expected, value = found.groups()
    words = re.findall(r"<class '([\w.]+)'>|typing\.Literal\[(.*?)\]|typing\.(\w+\[[^<]*?\])(?=[,\]]| )", expected)
    kinds = ["null" if "NoneType" in kind else kind for kind in map("".join, words)]
    return f"{key}={value} is not allowed; give {' or '.join(dict.fromkeys(kinds)) or 'another value'}"


class CLI(LightningCLI):
    """LightningCLI with the defaults that every family shares."""

    def __init__(self):
        super().__init__(
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            parser_class=Parser,
            save_config_kwargs={"overwrite": True},
        )

    def add_arguments_to_parser(self, parser):
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults({"checkpoint.filename": "best", "checkpoint.enable_version_counter": False})
        parser.add_lightning_class_args(LastCheckpoint, "last_checkpoint")
        parser.add_lightning_class_args(RandomState, "random_state")
        parser.add_lightning_class_args(LoaderPlace, "loader_place")
        parser.add_lightning_class_args(FiniteLoss, "finite_loss")
        parser.add_lightning_class_args(Interruption, "interruption")
        parser.add_lightning_class_args(LearningRateMonitor, "learning_rate_monitor")
        parser.add_lightning_class_args(RichProgressBar, "progress_bar")

    def instantiate_trainer(self, **kwargs):
        """Without a logger of the user's own, runs go to runs/<config>/<version>; resumed ones to where they were.

        A CPU without bfloat16 instructions trains in float32 what asks for bf16-mixed.
        """
        config = self._get(self.config_init, "trainer")
        precision = fast_precision(config.precision, config.accelerator)
        if precision != config.precision:
            kwargs["precision"] = precision
            if rank_zero_only.rank == 0:
                print(
                    f"train.py: this CPU has no bfloat16 instructions, which makes {config.precision} slow: "
                    f"computing in {precision}",
                    file=sys.stderr,
                )
        if config.logger is None:
            run = run_of(self._ckpt_path()) if self.subcommand == "fit" else None
            place = (run.parent.parent, run.parent.name, run.name) if run else (RUNS, self._run_name(), None)
            kwargs["logger"] = TensorBoardLogger(*place)
        kwargs.setdefault("plugins", [*(config.plugins or []), CheckpointFiles()])
        return super().instantiate_trainer(**kwargs)

    def _run_name(self) -> str:
        """That of the config; a run's and a shipped model's own config.yaml are called like their folders."""
        files = self._given("config")
        if not files:
            return self._given("model.class_path").rpartition(".")[2]
        names = Path(str(files[0])).resolve().with_suffix("").parts
        return next(name for name in reversed(names) if not re.fullmatch(r"config|version_\d+", name))

    def _find_last(self) -> None:
        """--ckpt_path last is the newest last.ckpt of this config's runs; `fit` starts afresh where there is none."""
        if self._ckpt_path() != "last" or self._given("trainer.logger") is not None:
            return
        found = sorted((RUNS / self._run_name()).glob("version_*/checkpoints/last.ckpt"), key=version_number)
        self.config[f"{self.config.subcommand}.ckpt_path"] = str(found[-1]) if found else None
        if rank_zero_only.rank == 0:
            where = f"going on from {found[-1]}" if found else f"{RUNS / self._run_name()} holds no last.ckpt"
            print(f"train.py: {where}", file=sys.stderr)

    def _parse_ckpt_path(self):
        """Weights (.safetensors) carry no hyperparameters: those of the config hold."""
        self._find_last()
        if self._weights_path():
            return
        path = self._ckpt_path()
        if path and (Path(path).suffix or Path(path).is_file()):  # not one of Lightning's words, such as "best"
            CheckpointFiles().load_checkpoint(path)  # says what is wrong with the file
        super()._parse_ckpt_path()

    def _given(self, key: str):
        return self.config.get(f"{self.config.get('subcommand')}.{key}")

    def _ckpt_path(self) -> str | None:
        return self._given("ckpt_path")

    def _weights_path(self) -> str | None:
        path = self._ckpt_path()
        return path if path and path.endswith(".safetensors") else None

    def after_instantiate_classes(self):
        path = self._weights_path()
        if self.subcommand != "fit" and not self.config_init[self.subcommand].ckpt_path:
            raise ValueError(
                f"{self.subcommand} needs a trained model: name a checkpoint (.ckpt) or weights (.safetensors) with "
                "--ckpt_path, such as runs/<config>/<version>/checkpoints/best.ckpt"
            )
        if self.subcommand == "fit":  # the run's config.yaml says how it is trained, not from where it was resumed
            self.config["fit.ckpt_path"] = None
        if path:
            load_weights(self.model, path, training=self.subcommand in ("fit", "validate"))
            self.config_init[self.subcommand].ckpt_path = None


def run_of(path: str | None) -> Path | None:
    """The folder of the run that a `last.ckpt` is of, from here; None for other checkpoints."""
    file = Path(path or "").absolute()
    return Path(os.path.relpath(file.parent.parent)) if file.parts[-2:] == ("checkpoints", "last.ckpt") else None


def version_number(path: Path) -> int:
    return int(re.search(r"version_(\d+)", str(path)).group(1))


def check_configs(args: list[str]) -> None:
    """Raises OSError or ValueError, with the file's name, for a config that is no YAML of named values."""
    words = [word for arg in args for word in arg.split("=", 1)]
    for option, path in pairwise(words):
        if option not in ("--config", "-c"):
            continue
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no config {path}; python train.py without arguments lists them")
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"the config {path} is no YAML: {error}") from error
        if not isinstance(content, dict):
            raise ValueError(f"the config {path} must name values, such as model: and data:; it holds {content!r:.80}")


def keep_freed_memory() -> None:
    """Let the C library keep the memory of freed tensors for the next ones, where it is glibc.

    By default it takes memory for each large tensor from the system and gives it back when the tensor is freed. The
    system hands it out in zeroed pages, each at its first touch: up to a quarter of a convolutional network's training
    step on a CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)  # take no memory that must be given back
        mallopt(M_TRIM_THRESHOLD, -1)  # nor give any back


def main(args: list[str] | None = None) -> CLI | None:
    """Do what the command line says; a mistake ends the process with one line."""
    args = sys.argv[1:] if args is None else args
    if not args:
        print(usage())
        return None
    if args[0] not in (*SUBCOMMANDS, "--help", "-h", "--version"):
        near = difflib.get_close_matches(args[0], SUBCOMMANDS, n=1)
        fail(
            f"the first word must be one of {', '.join(SUBCOMMANDS)}; got {args[0]!r}"
            + (f"; did you mean {near[0]!r}?" if near else "")
        )
    # Data sets live in memory as tensors: worker processes would only copy them.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    keep_freed_memory()
    sys.argv[1:] = args
    try:
        check_configs(args)
        return CLI()
    except (ValueError, OSError, MisconfigurationException) as error:
        if os.environ.get(DEBUG):
            raise
        fail(str(error))
    except RuntimeError as error:
        if os.environ.get(DEBUG) or not (FOREIGN.search(str(error)) or LOST.search(str(error))):
            raise
        if FOREIGN.search(str(error)):
            fail(
                f"the checkpoint is of another model: {' '.join(str(error).split())[:300]}; "
                "use the config.yaml of the run that it comes from"
            )
        fail(
            "another process of this run ended or was killed: what it said, if anything, stands above; "
            "go on from the last checkpoint with --ckpt_path"
        )


if __name__ == "__main__":
    main()
