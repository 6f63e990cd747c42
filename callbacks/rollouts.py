"""Roll a policy out in its world, and let that decide which checkpoint is best.

The loss on held-out demonstrations says little about a policy: it rises while the policy still gets better. What counts
is what happens when it acts, so the checkpoint follows the score on validation seeds; test seeds are never looked at
while training.
"""

import itertools
from collections.abc import Sequence
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from callbacks.log_media import log_video
from callbacks.module_protocols import Policy, check_module
from callbacks.sampling import watching
from checkpoints.load_trained import load_trained
from diffusion.noise import generators
from envs import video
from envs.episode_statistics import summarize
from envs.rollout import Episode, rollout
from lightning_modules.diffusion_policy import DiffusionPolicy
from limits import whole
from metrics.confidence_interval import ConfidenceInterval

VAL_SEEDS = range(0, 1000)
FIRST_TEST_SEED = 100_000  # where the published figures start
WAVE = 50  # episodes that a machine plays at once
FPS = 20  # of videos: twice as fast as the world's 10 Hz


class Rollouts(L.Callback):
    """Episodes in Push-T with the paper's own initial states, at every validation and at test.

    Logs, under val/ or test/, the mean over episodes of
        score               the best reward, min(max coverage / 0.95, 1)
        success_rate        1 where the coverage ever exceeded 0.95
        mean_final_coverage the coverage at the end
        mean_steps          steps until success, 300 without one
    each with a 95 % interval (/low, /high), and a video of the first episodes as STAGE/rollouts
    (`callbacks.log_media`).

    Args:
        val_episodes: episodes at each validation, on seeds 0, 1, ... (at most 1000).
        test_episodes: episodes at test, on seeds 100000, 100001, ...
        video_episodes: how many of them a video shows; 0 for none.
    """

    def __init__(self, val_episodes: int = 100, test_episodes: int = 500, video_episodes: int = 8):
        if not 1 <= val_episodes <= len(VAL_SEEDS):
            raise ValueError(f"val_episodes={val_episodes} must lie between 1 and {len(VAL_SEEDS)}")
        whole(1, 1_000_000, test_episodes=test_episodes)
        whole(0, 100, video_episodes=video_episodes)
        self.val_episodes, self.test_episodes, self.video_episodes = val_episodes, test_episodes, video_episodes

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        check_module(self, module, Policy)

    # Averaged weights are swapped in at the start of the validation epoch and out at its end. During its batches they
    # are in place, whatever the order of the callbacks.
    def on_validation_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == 0 and not trainer.sanity_checking:
            self._run(trainer, module, "val", VAL_SEEDS[: self.val_episodes])

    def on_test_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == 0:
            seeds = range(FIRST_TEST_SEED, FIRST_TEST_SEED + self.test_episodes)
            metrics = self._run(trainer, module, "test", seeds)
            if trainer.is_global_zero:
                Console().print(table({"this policy": metrics}, len(seeds), seeds[0]))

    def _run(
        self, trainer: L.Trainer, module: L.LightningModule, stage: str, seeds: Sequence[int]
    ) -> dict[str, ConfidenceInterval]:
        own = list(seeds)[trainer.global_rank :: trainer.world_size]
        progress = trainer.is_global_zero and trainer.progress_bar_callback is not None
        worlds = max(1, WAVE // trainer.num_devices)  # each in a process, of all that one machine plays
        episodes = run_policy(module, own, progress, parallel_worlds=worlds)
        if trainer.world_size > 1:
            gathered: list = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, episodes)
            episodes = sorted(itertools.chain(*gathered), key=lambda episode: episode.seed)
        metrics = summarize(episodes)
        for name, metric in metrics.items():
            # Every process holds the same numbers already: nothing to synchronise.
            module.log(f"{stage}/{name}", metric.mean, batch_size=1, prog_bar=name == "score")
            module.log(f"{stage}/{name}/low", metric.low, batch_size=1)
            module.log(f"{stage}/{name}/high", metric.high, batch_size=1)
        if trainer.is_global_zero and self.video_episodes:
            shown = episodes[: self.video_episodes]
            frames = video.wall(shown, columns=min(4, len(shown)), size=128)
            frames = np.concatenate([frames, np.repeat(frames[-1:], FPS, 0)])  # hold the end for a second
            log_video(trainer, f"{stage}/rollouts", frames, FPS)
        return metrics


def run_policy(
    module: L.LightningModule,
    seeds: Sequence[int],
    progress: bool = True,
    legacy_resets: bool = True,
    parallel_worlds: int | None = None,
) -> list[Episode]:
    """One episode from each seed, with the module's own `act`, horizons and observation.

    Same seed, same episode, whatever others it is run with: an episode's noise comes from its start's seed and from how
    often that seed came before. The module always sees WAVE observations at once; where fewer episodes go on, the last
    one is repeated. In batches of one size a sum is rounded the same whatever the other rows are, and where things
    touch and push, the last bit of an action decides where the block ends. `parallel_worlds` of them, at most WAVE
    and by default as many, are played at once.
    """
    parallel_worlds = WAVE if parallel_worlds is None else parallel_worlds
    whole(1, WAVE, parallel_worlds=parallel_worlds)
    policy, seeds = cast(Policy, module), list(seeds)
    noise = [generators((0, seeds[:number].count(seed)), [seed])[0] for number, seed in enumerate(seeds)]
    unused = torch.Generator()

    def act(observations: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
        spare = WAVE - len(numbers)
        rows = np.concatenate([observations, np.repeat(observations[-1:], spare, 0)])
        seen = torch.as_tensor(rows, dtype=torch.float32, device=policy.device)
        actions = policy.act(seen, generator=[*(noise[number] for number in numbers), *[unused] * spare])
        return actions[: len(numbers)].cpu().numpy()

    with watching(module), Progress(transient=True, disable=not progress) as bar:
        task = bar.add_task("rolling out", total=len(seeds))
        return rollout(
            act,
            seeds,
            n_obs_steps=policy.hparams.n_obs_steps,
            n_action_steps=policy.hparams.n_action_steps,
            observation=policy.observation,
            parallel_worlds=parallel_worlds,
            legacy_resets=legacy_resets,
            on_progress=lambda ended: bar.advance(task, ended),
        )


def run_checkpoint(path: str, seeds: Sequence[int]) -> list[Episode]:
    """One episode from each seed with the policy in a checkpoint or a folder of pretrained/."""
    return run_policy(load_trained(path, DiffusionPolicy), seeds)


def table(
    rows: dict[str, dict[str, ConfidenceInterval]], n: int, first_seed: int, starts: str = "legacy initial states"
) -> Table:
    """Policies against metrics with their 95 % intervals."""
    result = Table(title=f"Push-T, {n} episodes, {starts} of seeds {first_seed} to {first_seed + n - 1}")
    result.add_column("policy")
    for name in next(iter(rows.values())):
        result.add_column(name)
    for policy, metrics in rows.items():
        result.add_row(policy, *(_in_words(m) for m in metrics.values()))
    return result


def _in_words(metric: ConfidenceInterval) -> str:
    digits = 1 if metric.high > 1 else 3  # of steps or of a share
    return f"{metric.mean:.{digits}f} [{metric.low:.{digits}f}, {metric.high:.{digits}f}]"
