"""Lightning's command line with what every family of Firstlight shares."""

import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console

from callbacks.best_checkpoint import BestCheckpoint
from callbacks.log_interval import LogInterval
from callbacks.non_finite_guard import NonFiniteGuard
from callbacks.progress_lines import ProgressLines
from callbacks.resume.data_loader_state import DataLoaderState
from callbacks.resume.graceful_shutdown import GracefulShutdown
from callbacks.resume.last_checkpoint import LastCheckpoint
from callbacks.resume.lr_schedule_state import LRScheduleState
from callbacks.resume.random_state import RandomState
from callbacks.resume.run_config import RunConfig
from callbacks.start_line import StartLine
from callbacks.tensorboard_tabs import TensorBoardTabs
from checkpoints import runs
from checkpoints.atomic_checkpoint_io import AtomicCheckpointIO
from checkpoints.load_pretrained import weights_of
from checkpoints.pretrained import begin_from, load_weights, read_weights, trained_file
from checkpoints.renamed_arguments import renamed
from checkpoints.run_model import model_beside, other_hyperparameters, taken
from cli.command_words import says, split
from cli.config_files import model_arguments, read_configs, with_found_configs
from cli.data_links import LINKED, add_links
from cli.drawn_classes import class_labels_for
from cli.enabled_callbacks import wanted
from cli.messages import is_first_process, say
from cli.next_steps import next_steps
from cli.parser import CommandError, Parser, constructor_error
from cli.precision import fast_precision
from cli.results_table import results_table
from cli.run_folder import newest_checkpoint, run_folder, runs_of_config

OWN_CALLBACKS = {
    "checkpoint": BestCheckpoint,
    "last_checkpoint": LastCheckpoint,
    "random_state": RandomState,
    "data_loader_state": DataLoaderState,
    "lr_schedule_state": LRScheduleState,
    "non_finite_guard": NonFiniteGuard,
    "graceful_shutdown": GracefulShutdown,
    "learning_rate_monitor": LearningRateMonitor,
    "start_line": StartLine,  # says in a short run at its end what comes before the first line of the bar
    "progress_bar": ProgressLines,
    "tensorboard_tabs": TensorBoardTabs,
}


class FirstlightCLI(LightningCLI):
    """LightningCLI with the defaults that every family shares.

    The optimizer is an argument of the model, `--model.optimizer`, not of the command line's own.

    Args:
        args: the words of the command line.
        held: closed when this run ends; it holds the lock of its folder.
        callbacks: of the trainer, beside those of the config.
    """

    def __init__(self, args: list[str], held: ExitStack, callbacks: Sequence[Callback] = ()):
        args = with_found_configs(args)
        self.args, self.held, self.callbacks = args, held, callbacks
        self.run: Path | None = None  # its folder
        self.changed: set[str] = set()  # the model's arguments that are not those of the checkpoint
        given = model_arguments(read_configs(args))
        self.given_links = {name for name in LINKED if name in given or says(args, f"model.{name}")}
        super().__init__(
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=0,
            parser_class=Parser,
            save_config_callback=RunConfig,
            load_from_checkpoint_support=False,  # hyperparameters are what the constructor got, not a config
            trainer_defaults={"enable_model_summary": False},  # the start line says what one reads of it
            args=args,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # static in Lightning, called on self
        """Of Lightning's own the one that is called: making a parser for each takes longer than all other parsing."""
        every = LightningCLI.subcommands()
        return {name: skipped for name, skipped in every.items() if name in self.args[:1]} or every

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for name, callback in OWN_CALLBACKS.items():
            parser.add_lightning_class_args(callback, name)
        parser.add_argument("--run", type=str | None, help="Name of the run's folder, runs/<config>/NAME.")
        help_ = (
            "Weights that fit begins from: a checkpoint, .safetensors, a run's folder, a name in pretrained/, or the "
        )
        help_ += "Hub's OWNER/NAME."
        parser.add_argument("--init_from", type=str | None, help=help_)
        add_links(parser, self._model_arguments, self.given_links)

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise CommandError(constructor_error(error)) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Runs go to runs/<config>/<version> with any logger; a resumed run stays in its folder.

        On a CPU or a GPU without bfloat16 units, bf16-mixed becomes float32. Callbacks whose kind is turned off
        (`--trainer.logger false`) are left out. `fast_dev_run` leaves nothing behind.
        """
        config = self._get(self.config_init, "trainer")
        precision = fast_precision(config.precision, config.accelerator)
        if precision != config.precision:
            kwargs["precision"] = precision
            say(f"this machine has no bfloat16 units, which makes {config.precision} slow: computing in {precision}")
        own = {key: self._get(self.config_init, key) for key in self._parser(self.subcommand).callback_keys}
        if config.fast_dev_run:
            kwargs["logger"] = False
            kwargs["default_root_dir"] = self.held.enter_context(tempfile.TemporaryDirectory())
        else:
            run = self.run = self._run_folder()
            self.save_config_kwargs = {"folder": run}
            for callback in own.values():
                if isinstance(callback, BestCheckpoint | LastCheckpoint) and callback.dirpath is None:
                    callback.dirpath = str(run / runs.LAST.parent)
            if config.logger is False or config.barebones or (self.subcommand == "predict" and not config.logger):
                kwargs["logger"], kwargs["default_root_dir"] = False, str(run)
            elif config.logger in (None, True):
                where = (run.parent.parent, run.parent.name, run.name)
                kwargs["logger"] = TensorBoardLogger(*where, default_hp_metric=False)
            if config.log_every_n_steps is None and not config.barebones:
                kwargs["log_every_n_steps"] = 1  # until it is known how many there are
                own["log_interval"] = LogInterval()
        kwargs["callbacks"] = wanted([*_listed(config.callbacks), *self.callbacks, *own.values()], {**config, **kwargs})
        plugins = _listed(config.plugins)
        if not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            kwargs["plugins"] = [*plugins, AtomicCheckpointIO()]
        return self._instantiate_trainer({**config, **kwargs}, [])

    def _run_folder(self) -> Path:
        fit = self.subcommand == "fit"
        resumed = runs.run_of(self._ckpt_path()) if fit else None
        named = self._given("run") if fit or not self.restarted else None
        return run_folder(runs_of_config(self._arguments()), resumed, named, self.restarted, self.held)

    def _parse_ckpt_path(self) -> None:
        """The model's arguments are those of the checkpoint's run, but what the command line says wins.

        Weights (.safetensors), and checkpoints without their run's config.yaml, leave those of the config in place.
        """
        self.restarted = self._ckpt_path() == "last"
        if self.restarted:
            fit, place = self.config.subcommand == "fit", runs_of_config(self._arguments())
            path = newest_checkpoint(place, self._plain_config(), self._given("run"), self.args, fit)
            self.config[f"{self.config.subcommand}.ckpt_path"] = path
        self._find_weights()
        path = self._ckpt_path()
        if path is None or self._weights_path() or not (Path(path).suffix or Path(path).is_file()):
            return  # nothing, or one of Lightning's words, such as "best"
        checkpoint = AtomicCheckpointIO().load_checkpoint(path)  # says what is wrong with the file
        theirs = model_beside(path)
        if theirs is not None:
            self._take_model(path, theirs)
        elif apart := other_hyperparameters(checkpoint, self._plain_config(links=True)["model"]):
            say(
                f"{path} has no config.yaml of its run beside it, so the given config holds: "
                f"{runs.words(apart, 'in the checkpoint')}"
            )
        self._tell_of_the_seed(path)

    def _find_weights(self) -> None:
        """What is validated, tested or used may be a run's folder, or the name of a model that ships."""
        path = self._ckpt_path()
        if path and self.config.subcommand != "fit" and not Path(path).is_file():
            with contextlib.suppress(FileNotFoundError):  # one of Lightning's words, or a mistake that is named later
                self.config[f"{self.config.subcommand}.ckpt_path"] = str(trained_file(path))

    def _take_model(self, path: str, theirs: dict[str, Any]) -> None:
        ours = self._plain_config()
        theirs, unknown = taken(theirs, self._plain_config(links=True)["model"])
        others, model = split(self.args, "model")
        self.config = self.parser.parse_args([*others, f"--model={json.dumps(theirs)}", *model])
        self.config[f"{self.config.subcommand}.ckpt_path"] = path
        self.given_links |= set(LINKED) & theirs["init_args"].keys()
        apart = runs.differences({"model": theirs}, ours, ("model",))
        self.changed = {name for name in apart if says(model, name)}
        for name in self.changed:
            say(f"{name} is {apart[name][1]!r}, as the command line says, where {path} has {apart[name][0]!r}")
        if kept := {name: both for name, both in apart.items() if name not in self.changed}:
            say(f"of {path}, not of the config: {runs.words(kept, 'there')}; an option such as --model.lr changes one")
        if unknown:
            known = {name.partition(".")[0] for name in self._model_arguments().keys()}  # noqa: SIM118  (not a dict)
            hints = "".join(f"; {hint}" for name in unknown if (hint := renamed(name, known)))
            say(f"{path} has {', '.join(unknown)}, which {theirs['class_path']} no longer takes: left out{hints}")

    def _tell_of_the_seed(self, path: str) -> None:
        run = runs.run_of(path) if self.config.subcommand == "fit" else None
        seed = runs.config_of(run).get("seed_everything") if run else None
        if seed not in (None, self._given("seed_everything")) and says(self.args, "seed_everything"):
            say(f"--seed_everything is left out: {run} goes on with the random state of its checkpoint, of seed {seed}")

    def _arguments(self) -> Namespace:
        """The parsed arguments of the subcommand."""
        return self.config[self.config.subcommand]

    def _model_arguments(self) -> Namespace:
        return self._arguments().model.get("init_args", Namespace())

    def _plain_config(self, links: bool = False) -> dict[str, Any]:
        """The parsed config of the subcommand, as a run's config.yaml has it; `links`: with values from the data."""
        dumped = self.parser.dump(self.config, skip_unset=False, skip_link_targets=not links)
        return yaml.safe_load(dumped)[self.config.subcommand]

    def _given(self, key: str) -> Any:
        return self._arguments().get(key)

    def _ckpt_path(self) -> str | None:
        return self._given("ckpt_path")

    def _weights_path(self) -> str | None:
        path = self._ckpt_path()
        return path if path and path.endswith(".safetensors") else None

    def before_predict(self) -> None:
        given = getattr(self.datamodule, "hparams", {}).get("images")
        self.datamodule = class_labels_for(self.model, self.datamodule, given)

    def validate(self, **kwargs: Any) -> None:
        self._measure(self.trainer.validate, **kwargs)

    def test(self, **kwargs: Any) -> None:
        self._measure(self.trainer.test, **kwargs)

    def _measure(self, trained: Callable[..., Sequence[Mapping[str, float]]], verbose: bool, **kwargs: Any) -> None:
        """Validate or test; `verbose` prints the metrics as one table, in place of Lightning's."""
        found = trained(verbose=False, **kwargs)
        if verbose and is_first_process():
            metrics = {name: value for loader in found for name, value in loader.items()}
            Console().print(results_table(metrics))

    def after_fit(self) -> None:
        """Where the run is, what to look at, and the next command."""
        if self.run is not None and is_first_process():
            out = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
            for line in next_steps(str(self.subcommand), self.args, self.run, self.trainer, self.datamodule):
                out.print(line)

    after_validate = after_test = after_predict = after_fit

    def after_instantiate_classes(self) -> None:
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
        del self.held  # it stays in this process; the trainer refers to this object and may go to spawned ones
        self.config[self.subcommand].run = None  # config.yaml says how a run is trained, not where it is kept
        if self.subcommand == "fit":  # nor from where it was resumed
            self.config["fit.ckpt_path"] = None

    def _begin_from(self, given: str) -> None:
        path = weights_of(given)
        safe = path.suffix == ".safetensors"
        weights = read_weights(path) if safe else AtomicCheckpointIO().load_checkpoint(path)["state_dict"]
        anew = begin_from(self.model, weights, path)
        say(f"a new run from the weights of {path}" + (f"; {', '.join(anew)} begin anew" if anew else ""))


def _listed(given: Any) -> list[Any]:
    """What a trainer takes as one, as several or as none."""
    return given if isinstance(given, list) else [] if given is None else [given]
