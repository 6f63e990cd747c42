"""What came of a study: the best config, a table, figures, and TensorBoard's HPARAMS."""

import csv
import io
import shutil
import warnings
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as plots
from rich.table import Table
from torch.utils.tensorboard import SummaryWriter

from cli.planned_fits import write_whole
from cli.yaml_dump import dump_yaml

PANEL = 3.5  # inches that a key's slice is wide
ENDED = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def write_best(study: optuna.Study, path: Path, metric: str, trainer: dict[str, Any]) -> None:
    """The config of the best trial, which `fit` takes, with the trial's number and values at its head.

    Args:
        study: with one complete trial at least.
        path: of the file.
        metric: its name.
        trainer: the part `trainer` of the study's config, for what trials have of their own.
    """
    best = study.best_trial
    config = yaml.safe_load(best.user_attrs["config"])
    config["trainer"] |= {name: trainer[name] for name in ("default_root_dir", "devices")}
    values = "".join(f"#   {name}: {value}\n" for name, value in best.params.items())
    head = f"# Trial {best.number} of {len(study.get_trials(deepcopy=False))}: {metric} {best.value:.6g}\n#\n{values}"
    write_whole(path, head + dump_yaml(config))


def table(study: optuna.Study, metric: str) -> Table:
    """All trials, the best first."""
    rows = Table("trial", metric, "state", "minutes", *_keys(study), title=study.study_name)
    sign = -1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else 1
    for trial in sorted(study.get_trials(deepcopy=False), key=lambda one: _rank(one, sign)):
        rows.add_row(*map(_shown, _row(trial, _keys(study))))
    return rows


def write_csv(study: optuna.Study, path: Path, metric: str) -> None:
    """All trials, in their order; failed ones say why."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["trial", metric, "state", "minutes", *_keys(study), "error"])
    for trial in study.get_trials(deepcopy=False):
        rows.writerow([*_row(trial, _keys(study)), trial.user_attrs.get("error", "")])
    write_whole(path, text.getvalue())


def write_figures(study: optuna.Study, folder: Path, metric: str) -> list[Path]:
    """Optimization history, slices and, from two complete trials on, importances of parameters; returns the files."""
    with plt.rc_context(), warnings.catch_warnings():  # Optuna sets a style
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        drawn: dict[str, Any] = {
            "optimization_history": plots.plot_optimization_history(study, target_name=metric),
            "slice": plots.plot_slice(study, target_name=metric),
        }
        if len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))) > 1:
            drawn["param_importances"] = plots.plot_param_importances(study, target_name=metric)
    files = {folder / f"{name}.png": axes for name, axes in drawn.items()}
    for path, axes in files.items():
        panels = list(axes.flat) if isinstance(axes, np.ndarray) else [axes]
        figure = panels[0].figure
        if len(panels) > 1:  # Optuna's own have no room for the names of keys and choices
            figure.set_size_inches(PANEL * len(panels), 5)
            for panel in panels:
                panel.tick_params(axis="x", which="both", labelrotation=60)
        figure.savefig(path, dpi=120, bbox_inches="tight")
        plt.close(figure)
    return list(files)


def write_hparams(study: optuna.Study, folder: Path, metric: str) -> None:
    """One run of TensorBoard's HPARAMS for each trial that has a value."""
    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        for trial in study.get_trials(deepcopy=False):
            if trial.value is not None:
                writer.add_hparams(trial.params, {metric: trial.value}, run_name=f"trial_{trial.number:04}")


def _keys(study: optuna.Study) -> list[str]:
    return list(dict.fromkeys(key for trial in study.get_trials(deepcopy=False) for key in trial.params))


def _rank(trial: FrozenTrial, sign: int) -> tuple[int, float]:
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING, TrialState.FAIL]
    return states.index(trial.state), sign * (trial.value or 0.0)


def _row(trial: FrozenTrial, keys: list[str]) -> list[Any]:
    minutes = trial.duration.total_seconds() / 60 if trial.duration else None
    state = ENDED.get(trial.state, "running")
    return [trial.number, trial.value, state, minutes, *(trial.params.get(key) for key in keys)]


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
