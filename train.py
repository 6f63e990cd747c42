"""Train, validate, test or use any Firstlight model: `python train.py fit --config configs/NAME.yaml`."""

import ctypes
import difflib
import json
import os
import re
import sys
import tempfile
import tomllib
import warnings
from contextlib import ExitStack
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import lightning
import torch
import yaml
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.fabric.utilities.rank_zero import _get_rank
from lightning.pytorch.callbacks import LearningRateMonitor, RichProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from callbacks.best_checkpoint import BestCheckpoint
from callbacks.non_finite_guard import NonFiniteGuard
from callbacks.resume.data_loader_state import DataLoaderState
from callbacks.resume.given_options import GivenOptions
from callbacks.resume.graceful_shutdown import GracefulShutdown
from callbacks.resume.last_checkpoint import LastCheckpoint
from callbacks.resume.lr_schedule_state import LRScheduleState
from callbacks.resume.random_state import RandomState
from callbacks.resume.run_config import RunConfig
from checkpoints import runs
from checkpoints.atomic_checkpoint_io import AtomicCheckpointIO
from checkpoints.hyperparameters import of_model, says, split
from checkpoints.pretrained import load_weights, put_weights, trained_file
from cli.enabled_callbacks import wanted
from cli.precision import fast_precision
from datamodules.class_labels import ClassLabels
from lightning_modules.ddpm import DDPM
from lightning_modules.gan import GAN

CONFIGS = Path(__file__).parent / "configs"
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

PATH is a checkpoint (.ckpt), weights (.safetensors), or the word last: the newest last.ckpt of a run with this seed,
model and data. fit goes on from a last.ckpt in that run's own folder; fit --init_from PATH begins a new run from
weights alone. Lay an overlay over a config with a second --config configs/with/NAME.yaml; change a value with
--trainer.max_steps 100 or --model.lr 1e-4; see all options with python train.py fit --help. Runs are kept in
runs/<config>/<version>, or runs/<config>/NAME with --run NAME.
"""


def usage() -> str:
    """How to call this script, and every config with the first line of its header."""
    lines = [USAGE, "configs:"]
    for path in sorted(CONFIGS.rglob("*.yaml")):
        headline = path.read_text().splitlines()[0].lstrip("# ")
        lines.append(f"  {path.relative_to(CONFIGS.parent).as_posix():<36} {headline}")
    return "\n".join(lines)


class CommandError(ValueError):
    """What the parser does not accept, in one line."""


class Parser(LightningArgumentParser):
    """Raises CommandError with one line that names the nearest known key; accepts no abbreviated keys."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})

    def error(self, message, ex=None):
        if isinstance(ex, CommandError):  # of a subcommand's parser
            raise ex
        raise CommandError(_unwrapped(_with_nearest(str(message), self))) from ex


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


def _unwrapped(message: str) -> str:
    """What a constructor says, from the parser's answer that names every type which the argument could have had, or
    what a value must be, from that to one of a wrong type; other messages as they are."""
    message = " ".join(message.split())
    if wrapped := re.search(r"Errors: - (?!Expected a)(.*?) - Expected a <class", message):
        return wrapped.group(1)
    found = re.search(r'Parser key "(.+?)": (.*?)(?:Got value|Given value type: .* Given value): (.*)', message)
    if not found:
        return message
    key, expected, value = found.groups()
    words = re.findall(r"<class '([\w.]+)'>|typing\.Literal\[(.*?)\]|typing\.(\w+\[[^<]*?\])(?=[,\]]| )", expected)
    kinds = ["null" if "NoneType" in kind else kind for kind in map("".join, words)]
    return f"{key}={value} is not allowed; give {' or '.join(dict.fromkeys(kinds)) or 'another value'}"


def is_first_process() -> bool:
    """Of all processes of a job, by the variables that whoever started them has set."""
    return not (_get_rank() or LightningEnvironment().node_rank())


def say(message: str) -> None:
    """One line for the user, from the first of several processes."""
    if is_first_process():
        print(f"train.py: {' '.join(message.split())}", file=sys.stderr)


class CLI(LightningCLI):
    """LightningCLI with the defaults that every family shares.

    Args:
        args: the words of the command line.
        held: what this run holds until it ends: the lock of its folder.
    """

    def __init__(self, args: list[str], held: ExitStack):
        self.args, self.held, self.changed = args, held, set()
        super().__init__(
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            parser_class=Parser,
            save_config_callback=RunConfig,
            args=args,
        )

    def add_arguments_to_parser(self, parser):
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(LastCheckpoint, "last_checkpoint")
        parser.add_lightning_class_args(RandomState, "random_state")
        parser.add_lightning_class_args(DataLoaderState, "data_loader_state")
        parser.add_lightning_class_args(LRScheduleState, "lr_schedule_state")
        parser.add_lightning_class_args(NonFiniteGuard, "non_finite_guard")
        parser.add_lightning_class_args(GracefulShutdown, "graceful_shutdown")
        parser.add_lightning_class_args(LearningRateMonitor, "learning_rate_monitor")
        parser.add_lightning_class_args(RichProgressBar, "progress_bar")
        parser.add_argument("--run", type=str | None, help="Name of the run's folder, runs/<config>/NAME.")
        help_ = "Weights that fit begins from: a checkpoint, .safetensors, a run's folder, a name in pretrained/."
        parser.add_argument("--init_from", type=str | None, help=help_)

    def instantiate_classes(self):
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise CommandError(_unwrapped(str(error))) from error

    def instantiate_trainer(self, **kwargs):
        """Runs go to runs/<config>/<version>, whatever logs them; resumed ones to where they were.

        A CPU without bfloat16 instructions trains in float32 what asks for bf16-mixed. Callbacks whose kind is turned
        off (`--trainer.logger false`) are left out. `fast_dev_run` leaves nothing behind.
        """
        config = self._get(self.config_init, "trainer")
        precision = fast_precision(config.precision, config.accelerator)
        if precision != config.precision:
            kwargs["precision"] = precision
            say(f"this CPU has no bfloat16 instructions, which makes {config.precision} slow: computing in {precision}")
        own = {key: self._get(self.config_init, key) for key in self._parser(self.subcommand).callback_keys}
        if config.fast_dev_run:
            kwargs["logger"] = False
            kwargs["default_root_dir"] = self.held.enter_context(tempfile.TemporaryDirectory())
        else:
            run = self._run_folder()
            self.save_config_kwargs = {"folder": run}
            for callback in own.values():
                if isinstance(callback, BestCheckpoint | LastCheckpoint) and callback.dirpath is None:
                    callback.dirpath = str(run / runs.LAST.parent)
            if config.logger is False or config.barebones:
                kwargs["default_root_dir"] = str(run)
            elif config.logger in (None, True):
                kwargs["logger"] = TensorBoardLogger(run.parent.parent, run.parent.name, run.name)
        kwargs["callbacks"] = wanted([*(config.callbacks or []), *own.values()], config)
        if self.changed and self.subcommand == "fit":
            kwargs["callbacks"].append(GivenOptions())
        given = config.plugins or []
        plugins = given if isinstance(given, list) else [given]
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            kwargs["plugins"] = [*plugins, AtomicCheckpointIO()]
        return self._instantiate_trainer({**config, **kwargs}, [])

    def _runs(self) -> Path:
        """The folder of this config's runs."""
        files = self._given("config")
        kind = self._given("model.class_path").rpartition(".")[2]
        name = runs.config_name(Path(str(files[0]))) if files else kind
        return Path(self._given("trainer.default_root_dir") or runs.RUNS) / name

    def _run_folder(self) -> Path:
        """This run's own: that of its `last.ckpt`, or a new one. The first of several processes claims and holds it."""
        resumed = runs.run_of(self._ckpt_path()) if self.subcommand == "fit" else None
        if not is_first_process():
            return resumed or self._runs() / "of the first process"
        named = self._given("run") if self.subcommand == "fit" or not self.restarted else None
        run = resumed or runs.claim(self._runs(), named, again=self.restarted)
        self.held.enter_context(runs.held(run))
        return run

    def _find_last(self) -> None:
        """--ckpt_path last is the newest last.ckpt of a run with this seed, model and data.

        Where there is none, `fit` begins one. Other commands go by model and data alone, and by what of them the
        command line does not say itself.
        """
        self.restarted = self._ckpt_path() == "last"
        if not self.restarted:
            return
        fit, place = self.config.subcommand == "fit", self._runs()
        found = runs.newest(place, self._given("run"))
        ours = self._plain_config()
        apart = []
        for run in found:
            differences = runs.differences(runs.config_of(run), ours)
            if not fit:
                differences.pop("seed_everything", None)
                differences = {name: both for name, both in differences.items() if not says(self.args, name)}
            if not differences:
                self.config[f"{self.config.subcommand}.ckpt_path"] = str(run / runs.LAST)
                say(f"going on from {run / runs.LAST}")
                return
            apart.append((run, differences))
        self.config[f"{self.config.subcommand}.ckpt_path"] = None
        if not found:
            say(f"{place} holds no last.ckpt")
            return
        nearest, differences = min(apart, key=lambda pair: len(pair[1]))
        what = f"no run in {place} has this seed, model and data: {runs.words(differences, f'in {nearest}')}; "
        what += f"to go on from that one all the same, --ckpt_path {nearest / runs.LAST}"
        if not fit or self._given("run"):
            raise ValueError(what)
        say(f"{what}; beginning a new run")

    def _plain_config(self) -> dict:
        """The parsed config of the subcommand, as a run's config.yaml has it."""
        return yaml.safe_load(self.parser.dump(self.config, skip_unset=False))[self.config.subcommand]

    def _parse_ckpt_path(self):
        """The model's arguments are those of the checkpoint, but what the command line says wins.

        Weights (.safetensors) carry no arguments: those of the config hold.
        """
        self._find_last()
        path = self._ckpt_path()
        if path is None or self._weights_path() or not (Path(path).suffix or Path(path).is_file()):
            return  # nothing, or one of Lightning's words, such as "best"
        checkpoint = AtomicCheckpointIO().load_checkpoint(path)  # says what is wrong with the file
        self._take_arguments(path, checkpoint)

    def _take_arguments(self, path: str, checkpoint: dict) -> None:
        ours = self._plain_config()
        theirs, unknown = of_model(checkpoint, ours["model"])
        others, model = split(self.args, "model")
        self.config = self.parser.parse_args([*others, f"--model={json.dumps(theirs)}", *model])
        self.config[f"{self.config.subcommand}.ckpt_path"] = path
        apart = runs.differences({"model": theirs}, ours, ("model",))
        self.changed = {name for name in apart if says(model, name)}
        for name in self.changed:
            say(f"{name} is {apart[name][1]!r}, as the command line says, where {path} has {apart[name][0]!r}")
        if kept := {name: both for name, both in apart.items() if name not in self.changed}:
            say(f"of {path}, not of the config: {runs.words(kept, 'there')}; an option such as --model.lr changes one")
        if unknown:
            say(f"{path} has {', '.join(unknown)}, which {theirs['class_path']} no longer takes: left out")
        run = runs.run_of(path) if self.config.subcommand == "fit" else None
        seed = runs.config_of(run).get("seed_everything") if run else None
        if seed not in (None, self._given("seed_everything")) and says(self.args, "seed_everything"):
            say(f"--seed_everything is left out: {run} goes on with the random state of its checkpoint, of seed {seed}")

    def _given(self, key: str):
        return self.config.get(f"{self.config.get('subcommand')}.{key}")

    def _ckpt_path(self) -> str | None:
        return self._given("ckpt_path")

    def _weights_path(self) -> str | None:
        path = self._ckpt_path()
        return path if path and path.endswith(".safetensors") else None

    def before_predict(self):
        """A model that draws pictures of classes needs their names alone, and no data set."""
        if not isinstance(self.model, DDPM | GAN):
            return
        if getattr(self.datamodule, "hparams", {}).get("pictures") is not None:
            raise ValueError(
                f"{type(self.model).__name__} draws pictures and reads none: leave out --data.pictures; "
                "--model.num_samples says how many it draws"
            )
        classes, names = self.model.hparams.num_classes, getattr(self.datamodule, "class_names", ())
        if classes and classes != len(names):  # no data that it was trained on: classes are numbers
            names = [str(number) for number in range(classes)]
        self.datamodule = ClassLabels(names or ["picture"], self.model.hparams.num_samples)

    def after_instantiate_classes(self):
        path, weights, begin = self._ckpt_path(), self._weights_path(), self._given("init_from")
        if self.subcommand != "fit" and not path:
            raise ValueError(
                f"{self.subcommand} needs a trained model: name a checkpoint (.ckpt) or weights (.safetensors) with "
                "--ckpt_path, such as runs/<config>/<version>/checkpoints/last.ckpt"
            )
        if says(self.args, "init_from") and (self.subcommand != "fit" or (path and not self.restarted)):
            raise ValueError(
                "--init_from begins a new training run from weights alone; name what is to be gone on with, validated, "
                "tested or used by --ckpt_path, and leave out --init_from"
            )
        for name in self.changed & {f"model.{name}" for name in self.model.state_dict()}:
            raise ValueError(f"--{name} cannot be changed beside {path}: what it has learned from is among its weights")
        if weights:
            load_weights(self.model, weights, training=self.subcommand in ("fit", "validate"))
            self.config_init[self.subcommand].ckpt_path = None
        if begin and not path and self.subcommand == "fit":
            self._begin_from(begin)
        del self.held  # it stays in this process; the trainer, which knows this object, may go to spawned ones
        self.config[self.subcommand].run = None  # config.yaml says how a run is trained, not where it is kept
        if self.subcommand == "fit":  # nor from where it was resumed
            self.config["fit.ckpt_path"] = None

    def _begin_from(self, given: str) -> None:
        path = trained_file(given)
        if path.suffix == ".safetensors":
            load_weights(self.model, path, training=True)
        else:
            put_weights(self.model, AtomicCheckpointIO().load_checkpoint(path)["state_dict"], path, training=True)
        say(f"a new run from the weights of {path}")


def check_configs(args: list[str]) -> None:
    """Says where an overlay drops the callbacks of the config before it.

    Raises OSError or ValueError, with the file's name, for a config that is no YAML of named values.
    """
    words = [word for arg in args for word in arg.split("=", 1)]
    callbacks: list[str] = []
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
        names = _callbacks(content)
        if dropped := [name for name in callbacks if names is not None and name not in names]:
            say(f"{path} leaves out {', '.join(dropped)} of the config before it; callbacks+: adds to those")
        callbacks = callbacks if names is None else names


def _callbacks(config: dict) -> list[str] | None:
    """The classes that a config's own list of callbacks names, None where it has no list."""
    trainer = config.get("trainer")
    if not isinstance(trainer, dict) or "callbacks" not in trainer:
        return None
    given = trainer["callbacks"] or []
    paths = [
        one.get("class_path") if isinstance(one, dict) else one
        for one in (given if isinstance(given, list) else [given])
    ]
    return [str(path).rpartition(".")[2] for path in paths]


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


def version() -> str:
    """Of Firstlight and of what its results depend on most."""
    project = Path(__file__).parent / "pyproject.toml"
    own = tomllib.loads(project.read_text())["project"] if project.exists() else metadata.metadata("firstlight")
    return f"firstlight {own['version']}, torch {torch.__version__}, lightning {lightning.__version__}"


def main(args: list[str] | None = None) -> CLI | None:
    """Do what the words of a command line say; by default this process's own.

    Raises ValueError, OSError or MisconfigurationException for a mistake, with one line that says what to do; ends the
    process only where a signal told it to stop.
    """
    args = sys.argv[1:] if args is None else args
    if not args or args[0] == "--version":
        print(version() if args else usage())
        return None
    if args[0] not in (*SUBCOMMANDS, "--help", "-h"):
        near = difflib.get_close_matches(args[0], SUBCOMMANDS, n=1)
        raise CommandError(
            f"the first word must be one of {', '.join(SUBCOMMANDS)}; got {args[0]!r}"
            + (f"; did you mean {near[0]!r}?" if near else "")
        )
    # Data sets live in memory as tensors: worker processes would only copy them.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", "LightningCLI's args parameter is intended to run from within Python")
    keep_freed_memory()
    check_configs(args)
    try:
        with ExitStack() as held:
            return CLI(args, held)
    except RuntimeError as error:
        if FOREIGN.search(str(error)):
            raise ValueError(
                f"the checkpoint is of another model: {' '.join(str(error).split())[:300]}; use the config.yaml of the "
                "run that it comes from, without options that change a weight's shape"
            ) from error
        if LOST.search(str(error)):
            raise ConnectionError(
                "another process of this run ended or was killed: what it said, if anything, stands above; "
                "go on from the last checkpoint with --ckpt_path"
            ) from error
        raise


def command_line(args: list[str] | None = None) -> None:
    """`main`, where a mistake ends the process with one line and code 2."""
    try:
        main(args)
    except (ValueError, OSError, MisconfigurationException) as error:
        if os.environ.get(DEBUG):
            raise
        print(f"train.py: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    command_line()
