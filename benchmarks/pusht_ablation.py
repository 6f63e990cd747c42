"""What each part of `configs/pusht_human.yaml` is worth: the same training without it, for the same number of steps.

    python -m benchmarks.pusht_ablation --parallel 2
    python -m benchmarks.pusht_ablation --only as_it_is no_alignment

Each variant changes one thing and is trained with the same seeds; then its last weights act on validation seeds. The
U-Net gets the same minutes in place of the same steps: a few steps of both are timed first.

    runs/pusht_ablation/VARIANT.yaml             how it is trained
    runs/pusht_ablation/VARIANT/seed_0/          the run of a seed; output.txt, what it printed
    runs/pusht_ablation/VARIANT/seed_0.json      its figures
    runs/pusht_ablation/ablation.md and .json    those of all, written anew after each

Stopped or killed at any moment, the same command goes on. Variants that only act in another way are not trained: the
weights of `as_it_is` do it.
"""

import argparse
import contextlib
import copy
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

import train
from benchmarks import step_time
from benchmarks.command import as_command
from benchmarks.step_clock import StepClock
from callbacks.rollouts import VAL_SEEDS, run_policy
from checkpoints.load_trained import load_trained
from checkpoints.pretrained import ROOT, read_config
from checkpoints.runs import LAST, RUNS
from cli import planned_fits
from cli.own_process import Failed, OwnProcess, Returned, call_all, stopping_by_signals
from cli.publication import machine
from cli.yaml_dump import dump_yaml
from datamodules.pusht import PushTDemos
from envs.arguments import one_or_more, whole_number
from envs.episode_statistics import summarize
from envs.t_block import WORLD
from lightning_modules.diffusion_policy import DiffusionPolicy
from networks.observation_features import Observation
from networks.pusht_features import PushTFeatures

CONFIG = ROOT / "configs/pusht_human.yaml"
AVERAGING = "callbacks.weight_averaging.EMAWeightAveraging"
BASE, UNET = "as_it_is", "unet"
METRICS = ("success_rate", "score")
TIMED, WARM_UP, ROUNDS = 20, 3, 2  # steps that are timed of the U-Net, steps before them, and how often
# The weights act after the training, and only then: nothing is validated meanwhile.
COMMON = {"trainer.limit_val_batches": 0, "trainer.num_sanity_val_steps": 0, "checkpoint.monitor": None}


class LossPastTheEnd(PushTDemos):
    """Actions past the end of an episode, where its last one is repeated, are learned like the others."""

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        return {**batch, "action_is_pad": torch.zeros_like(batch["action_is_pad"])}


class AbsoluteActions(PushTFeatures):
    """Actions relative to the middle of the world, wherever the pointer is."""

    def origin(self, observations: Observation) -> Tensor:
        return torch.full_like(super().origin(observations), WORLD / 2)


class KeypointsOnly(PushTFeatures):
    """Keypoints in the world, from -1 to 1, and nothing made of them."""

    def forward(self, keypoints: Tensor) -> Tensor:
        return (keypoints.float() / (WORLD / 2) - 1).flatten(1)


@dataclass(frozen=True)
class Variant:
    """What differs from the config, by dotted names; or, of a variant that is not trained, how its policy acts."""

    says: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    acts: Mapping[str, Any] = field(default_factory=dict)


def _own(part: type) -> str:
    return f"benchmarks.pusht_ablation.{part.__name__}"


FEATURES = "model.init_args.features"
# The paper has one noise level for each sample; the U-Net encodes nothing that several could share. The warm-up is the
# same share of the training as the 500 of 8,000 steps.
UNET_CHANGES = {
    "model.init_args.network": "networks.chunk_unet.ChunkUNet",
    "model.init_args.noise_levels_per_sample": 1,
    "model.init_args.lr_schedule": {"class_path": "optim.lr_schedule.WarmupCosine", "init_args": {"warmup": 0.0625}},
}
VARIANTS = {
    BASE: Variant("as it is"),
    "no_alignment": Variant("episodes not aligned to the target", {"data.init_args.align_ends": False}),
    "loss_past_the_end": Variant("loss past the end of an episode", {"data.class_path": _own(LossPastTheEnd)}),
    "no_mirror_images": Variant("no mirror images", {"data.init_args.mirror": False}),
    "absolute_actions": Variant("absolute actions", {FEATURES: _own(AbsoluteActions)}),
    "keypoints_only": Variant("keypoints only, actions relative to the pointer", {FEATURES: _own(KeypointsOnly)}),
    "normalized_features": Variant(
        "normalised keypoints only, absolute actions: `NormalizedFeatures`, as for any robot",
        {FEATURES: "networks.normalized_features.NormalizedFeatures"},
    ),
    "one_noise_level": Variant("one noise level for each sample", {"model.init_args.noise_levels_per_sample": 1}),
    "temperature_1": Variant("temperature 1", acts={"temperature": 1.0}),
    "eight_actions": Variant("eight actions carried out", acts={"n_action_steps": 8}),
    UNET: Variant("the paper's 1-D U-Net, one noise level, equal minutes", UNET_CHANGES),
}


def changed(config: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A config with other values, by dotted names."""
    config = copy.deepcopy(config)
    for name, value in changes.items():
        *parts, last = name.split(".")
        inner = config
        for part in parts:
            inner = inner[part]
        inner[last] = value
    return config


def config_of(name: str, steps: int) -> dict[str, Any]:
    """How a variant is trained."""
    config = read_config(CONFIG)
    averaging = [one for one in config["trainer"]["callbacks"] if one["class_path"] == AVERAGING]
    given = {**COMMON, "trainer.max_steps": steps, "trainer.callbacks": averaging}
    return changed(config, {**given, **VARIANTS[name].changes})


def train_and_act(
    place: Path,
    trained: str,
    seed: int,
    acting: Mapping[str, Mapping[str, Any]],
    episodes: int,
    one_thread: bool,
    ask: Callable[[Any], Any],
) -> None:
    """In a process of its own: train a variant with a seed, or go on with it; then act in these ways, by variant."""
    if one_thread:
        torch.set_num_threads(1)
    words = [f"--config={place / trained}.yaml", f"--trainer.default_root_dir={place}", f"--run=seed_{seed}"]
    train.main(["fit", *words, f"--seed_everything={seed}", "--ckpt_path=last"])
    for name, acts in acting.items():
        policy = load_trained(place / trained / f"seed_{seed}" / LAST, DiffusionPolicy)
        policy.hparams.update(acts)
        metrics = summarize(run_policy(policy, VAL_SEEDS[:episodes], progress=False))
        (place / name).mkdir(exist_ok=True)
        figures = {metric: metrics[metric]._asdict() for metric in METRICS}
        planned_fits.write_whole(figures_file(place, name, seed), json.dumps(figures, indent=2) + "\n")


def figures_file(place: Path, name: str, seed: int) -> Path:
    return place / name / f"seed_{seed}.json"


def seconds_of_a_step(config: Path, steps: int, one_thread: bool, ask: Callable[[Any], Any]) -> float:
    """In a process of its own: the mean over the first steps of a training."""
    if one_thread:
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "clock.json"
        words = ["--trainer.logger=false", "--trainer.enable_checkpointing=false"]
        words += [f"--trainer.default_root_dir={folder}", f"--trainer.max_steps={WARM_UP + steps + 2}"]
        words += [f"--trainer.limit_train_batches={WARM_UP + steps + 1}"]
        with contextlib.suppress(SystemExit):  # the clock ends the training
            train.main(["fit", f"--config={config}", *words], [StepClock(str(out), WARM_UP)])
        return step_time.read(out, WARM_UP).seconds


def equal_steps(place: Path, steps: int, parallel: int) -> int:
    """Of the U-Net, in the minutes that the config as it is takes for `steps`."""
    timed: dict[str, float] = {BASE: 0.0, UNET: 0.0}
    with tempfile.TemporaryDirectory() as folder:
        for name in timed:
            (Path(folder) / f"{name}.yaml").write_text(dump_yaml(config_of(name, steps)), encoding="utf-8")

        def begin(name: str) -> OwnProcess:
            arguments = (Path(folder) / f"{name}.yaml", TIMED, parallel > 1)
            return OwnProcess(seconds_of_a_step, arguments, Path(folder) / "output.txt")

        def ended(turn: tuple[int, str], outcome: Returned | Failed) -> None:
            if isinstance(outcome, Failed):
                raise ValueError(f"steps of {turn[1]} could not be timed: {outcome.reason}")
            timed[turn[1]] += outcome.value

        turns = [(turn, name) for turn in range(ROUNDS) for name in timed]
        call_all({turn: partial(begin, turn[1]) for turn in turns}, 1, ended)
    _say(f"a step takes {timed[BASE] / ROUNDS:.3f} s as it is, {timed[UNET] / ROUNDS:.3f} s with the U-Net")
    return max(1, round(steps * timed[BASE] / timed[UNET]))


def plan(place: Path, names: list[str], options: argparse.Namespace) -> None:
    """Write how the variants are trained, where it is not written yet; ValueError where it is written otherwise."""
    planned_fits.keep(place / "plan.yaml", {"steps": options.steps, "episodes": options.episodes})
    for name in names:
        path = place / f"{name}.yaml"
        if name == UNET:
            if path.exists():
                continue  # its steps were timed when it was begun
            steps = equal_steps(place, options.steps, options.parallel)
        else:
            steps = options.steps
        planned_fits.keep(path, config_of(name, steps))


def run(place: Path, names: list[str], options: argparse.Namespace) -> dict[str, str]:
    """Train and act where figures are missing; returns why runs failed."""
    seeds = range(options.seeds)
    jobs: dict[tuple[str, int], dict[str, Mapping[str, Any]]] = {}  # what acts, of each training
    for seed in seeds:
        for name in names:
            if not figures_file(place, name, seed).exists():
                variant = VARIANTS[name]
                jobs.setdefault((BASE if variant.acts else name, seed), {})[name] = variant.acts
    failed: dict[str, str] = {}

    def begin(trained: str, seed: int, acting: Mapping[str, Mapping[str, Any]]) -> OwnProcess:
        _say(f"{trained}, seed {seed} begins ({list(jobs).index((trained, seed)) + 1} of {len(jobs)})")
        (place / trained).mkdir(exist_ok=True)
        arguments = (place, trained, seed, acting, options.episodes, options.parallel > 1)
        return OwnProcess(train_and_act, arguments, place / trained / f"seed_{seed}.txt")

    def ended(job: tuple[str, int], outcome: Returned | Failed) -> None:
        trained, seed = job
        if isinstance(outcome, Failed):
            failed[f"{trained}, seed {seed}"] = f"{outcome.reason}; see {place / trained / f'seed_{seed}.txt'}"
            _say(f"{trained}, seed {seed} failed: {outcome.reason}")
            return
        for name in jobs[job]:
            success, score = (read(place, name, seed)[metric]["mean"] for metric in METRICS)
            _say(f"{name}, seed {seed}: success {100 * success:.1f} %, score {score:.3f}")
        report(place, seeds, options.episodes)

    call_all({job: partial(begin, *job, acting) for job, acting in jobs.items()}, options.parallel, ended)
    return failed


def read(place: Path, name: str, seed: int) -> dict[str, dict[str, float]]:
    return json.loads(figures_file(place, name, seed).read_text(encoding="utf-8"))


def report(place: Path, seeds: range, episodes: int) -> str:
    """Write what is known as JSON and as a Markdown table, which is returned."""
    found: dict[str, dict[int, Any]] = {}
    for name in VARIANTS:
        figures = {seed: read(place, name, seed) for seed in seeds if figures_file(place, name, seed).exists()}
        found |= {name: figures} if figures else {}
    steps = {
        name: read_config(place / f"{BASE if VARIANTS[name].acts else name}.yaml")["trainer"]["max_steps"]
        for name in found
    }
    whole = {"machine": machine(), "episodes": episodes, "steps": steps, "figures": found}
    planned_fits.write_whole(place / "ablation.json", json.dumps(whole, indent=2) + "\n")
    head = ["variant", "steps", "success rate, mean", *(f"seed {seed}: success rate, score" for seed in seeds)]
    rows = [head, ["---"] * len(head)]
    for name, figures in found.items():
        success = f"{100 * mean(one['success_rate']['mean'] for one in figures.values()):.1f} %"
        cells = [_cell(figures[seed]) if seed in figures else "" for seed in seeds]
        rows.append([VARIANTS[name].says, f"{steps[name]:,}", success, *cells])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"
    planned_fits.write_whole(place / "ablation.md", table)
    return table


def _cell(figures: dict[str, dict[str, float]]) -> str:
    success, score = (figures[metric] for metric in METRICS)
    percent = {name: f"{100 * value:.1f}" for name, value in success.items()}
    interval = f"[{score['low']:.3f}, {score['high']:.3f}]"
    return f"{percent['mean']} % [{percent['low']}, {percent['high']}], {score['mean']:.3f} {interval}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pusht_ablation", description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT", help="(all)")
    parser.add_argument("--steps", type=one_or_more, default=8000, help="optimizer steps of each (default 8000)")
    parser.add_argument(
        "--episodes", type=whole_number(1, len(VAL_SEEDS)), default=200, help="validation episodes (default 200)"
    )
    parser.add_argument("--seeds", type=whole_number(1, 100), default=2, help="training seeds (default 2)")
    parser.add_argument(
        "--parallel", type=whole_number(1, 64), default=1, help="trainings at once, each with one thread (default 1)"
    )
    parser.add_argument("--name", type=Path, default=Path("pusht_ablation"), help="all is kept in runs/NAME")
    options = parser.parse_args(words)
    place, names = RUNS / options.name, [name for name in VARIANTS if name in options.only]
    trained = [name for name in VARIANTS if name in {BASE if VARIANTS[one].acts else one for one in names}]
    with stopping_by_signals():
        plan(place, trained, options)
        failed = run(place, names, options)
    print(report(place, range(options.seeds), options.episodes), end="")
    if failed:
        name, reason = next(iter(failed.items()))
        raise ValueError(f"{len(failed)} trainings failed, {name} with: {reason}; the same command tries again")


if __name__ == "__main__":
    as_command(main)
