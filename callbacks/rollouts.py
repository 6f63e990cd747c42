"""Roll a policy out in its world, and let that decide which checkpoint is best.

The loss on held-out demonstrations says little about a policy: it rises while the policy still gets better. What counts
is what happens when it acts, so the checkpoint follows the score on validation seeds; test seeds are never looked at
while training.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, cast

import gymnasium as gym
import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from rich.progress import Progress
from rich.table import Table

from callbacks.log_media import log_video
from callbacks.module_protocols import Policy, check_module
from callbacks.sampling import watching
from checkpoints.load_trained import load_trained
from diffusion.noise import generators
from diffusion.sample_noise import run_seed
from envs import PUSHT_ID, video
from envs.episode import Episode, episodes_of
from envs.observations import map_observation
from envs.pusht_world import PushTWorld
from envs.world import MAX_PARALLEL, Trajectory, World
from lightning_modules.diffusion_policy import DiffusionPolicy
from limits import whole
from metrics.confidence_interval import ConfidenceInterval

VAL_SEEDS = range(50_000, 51_000)  # the human demonstrations begin at the starts of 0 to 205
LEGACY_STARTS = "legacy initial states"
FIRST_TEST_SEED = 100_000  # where the published figures start
BATCH = 50  # observations that a policy sees at once
FPS = 20  # of videos: twice as fast as the world's 10 Hz


class Rollouts(L.Callback):
    """Episodes in a world, at every validation and at test: Push-T, or any environment of gymnasium's (`envs.world`).

    Logs, under val/ or test/, the mean over episodes, in Push-T with the paper's own initial states, of
        score               the best reward, min(max coverage / 0.95, 1)
        success_rate        1 where the coverage ever exceeded 0.95
        mean_final_coverage the coverage at the end
        mean_steps          steps until success, 300 without one
    and in another world of
        mean_return         the sum of an episode's rewards
        success_rate        1 where `info[success_key]` ever was true
        mean_steps          steps until its end
    each with a 95 % interval (/low, /high), and a video of the first episodes as STAGE/rollouts
    (`callbacks.log_media`).

    Args:
        val_episodes: episodes at each validation, on seeds 50000, 50001, ... (at most 1000).
        test_episodes: episodes at test, on seeds 100000, 100001, ...
        video_episodes: how many of them a video shows; 0 for none.
        env_id: of the world, as `gymnasium.make` takes it; "MODULE:ID" for one that MODULE registers.
        env_options: arguments of the environment.
        success_key: an entry of `info` that says whether an episode is a success; None for a world without one.
            Push-T knows its own.
        parallel_worlds: episodes that a machine plays at once; figures do not depend on it. By default 50, each in a
            process of its own, and in Push-T 500 in one.
        wrappers: put around each environment, the innermost first: disturbances (`envs.disturbances`), or gymnasium's.
    """

    def __init__(
        self,
        val_episodes: int = 100,
        test_episodes: int = 500,
        video_episodes: int = 8,
        env_id: str = PUSHT_ID,
        env_options: dict[str, Any] | None = None,
        success_key: str | None = None,
        parallel_worlds: int | None = None,
        wrappers: list[Callable[[gym.Env], gym.Wrapper]] | None = None,
    ):
        if not 1 <= val_episodes <= len(VAL_SEEDS):
            raise ValueError(f"val_episodes={val_episodes} must lie between 1 and {len(VAL_SEEDS)}")
        whole(1, 1_000_000, test_episodes=test_episodes)
        whole(0, 100, video_episodes=video_episodes)
        whole(1, MAX_PARALLEL, parallel_worlds=1 if parallel_worlds is None else parallel_worlds)
        self.val_episodes, self.test_episodes, self.video_episodes = val_episodes, test_episodes, video_episodes
        self.parallel_worlds = parallel_worlds
        options, around = env_options or {}, tuple(wrappers or ())
        self.world = (
            PushTWorld(options={"legacy_resets": True, "observation": "keypoints"} | options, wrappers=around)
            if env_id == PUSHT_ID
            else World(env_id, options, success_key, wrappers=around)
        )

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        check_module(self, module, Policy)
        policy = cast(Policy, module)
        self.world = self.world.observed_as(policy.observation)
        self.world.check(policy.observation_shape, policy.action_dim)

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
            self._run(trainer, module, "test", seeds)
            if trainer.is_global_zero:
                world = self.world.env_id
                names = {} if world == PUSHT_ID else {"world": world, "starts": "starts"}
                around = f", wrapped in {', '.join(self.world.wrapped_in)}" if self.world.wrapped_in else ""
                print(title(len(seeds), seeds[0], **names) + around)

    def _run(self, trainer: L.Trainer, module: L.LightningModule, stage: str, seeds: Sequence[int]) -> None:
        own = list(seeds)[trainer.global_rank :: trainer.world_size]
        progress = trainer.is_global_zero and trainer.progress_bar_callback is not None
        worlds = max(1, (self.parallel_worlds or self.world.wave) // trainer.num_devices)  # this process's share
        episodes = roll_out(module, self.world, own, progress, worlds)
        if trainer.world_size > 1:
            gathered: list = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, episodes)
            episodes = sorted(itertools.chain(*gathered), key=lambda episode: episode.seed)
        metrics = self.world.summarize(episodes)
        for name, metric in metrics.items():
            # Every process holds the same numbers already: nothing to synchronise.
            module.log(f"{stage}/{name}", metric.mean, batch_size=1, prog_bar=name in ("score", "mean_return"))
            module.log(f"{stage}/{name}/low", metric.low, batch_size=1)
            module.log(f"{stage}/{name}/high", metric.high, batch_size=1)
        if trainer.is_global_zero and self.video_episodes:
            self._film(trainer, stage, episodes[: self.video_episodes])

    def _film(self, trainer: L.Trainer, stage: str, episodes: list[Trajectory]) -> None:
        try:
            replays = [self.world.replay(episode, 128) for episode in episodes]
            frames = video.tiled(replays, columns=min(4, len(episodes)))
        except ValueError as error:  # this world draws none here, which is no reason to end a training
            rank_zero_warn(f"no video of rollouts: {error}; video_episodes: 0 leaves it out")
            self.video_episodes = 0
            return
        frames = np.concatenate([frames, np.repeat(frames[-1:], FPS, 0)])  # hold the end for a second
        log_video(trainer, f"{stage}/rollouts", frames, FPS)


def roll_out(
    module: L.LightningModule,
    world: World,
    seeds: Sequence[int],
    progress: bool = True,
    parallel_worlds: int | None = None,
) -> list[Trajectory]:
    """One episode from each seed, with the module's own `act` and horizons.

    Same seed, same episode, whatever others it is run with, in waves and processes of any number: an episode's noise
    comes from the run's seed, its start's seed and how often that seed came before. The module always sees BATCH
    observations at once; where fewer episodes go on, the last one is repeated. In batches of one size a sum is rounded
    the same whatever the other rows are, and where things touch and push, the last bit of an action decides where the
    block ends.
    """
    policy, seeds = cast(Policy, module), list(seeds)
    attempts = [seeds[:number].count(seed) for number, seed in enumerate(seeds)]
    noise = [generators((run_seed(), attempt), [seed])[0] for attempt, seed in zip(attempts, seeds, strict=True)]
    unused = torch.Generator()

    def act(observations: Any, numbers: Sequence[int]) -> np.ndarray:
        parts = []
        for first in range(0, len(numbers), BATCH):
            own = numbers[first : first + BATCH]
            rows = [*range(first, first + len(own)), *[first + len(own) - 1] * (BATCH - len(own))]
            seen = map_observation(lambda values, rows=rows: _tensor(values[rows], policy.device), observations)
            drawn = [*(noise[number] for number in own), *[unused] * (BATCH - len(own))]
            parts.append(policy.act(seen, generator=drawn)[: len(own)].cpu().numpy())
        return np.concatenate(parts)

    with watching(module), Progress(transient=True, disable=not progress) as bar:
        task = bar.add_task("rolling out", total=len(seeds))
        return world.rollout(
            act,
            seeds,
            policy.hparams.n_obs_steps,
            policy.hparams.n_action_steps,
            parallel_worlds,
            on_progress=lambda ended: bar.advance(task, ended),
        )


def _tensor(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """(N, O, ...) as float32; images of bytes as they are, their channels first."""
    if values.dtype == np.uint8 and values.ndim == 5:
        return torch.as_tensor(values, device=device).movedim(-1, -3)
    return torch.as_tensor(values, dtype=torch.float32, device=device)


def run_policy(
    module: L.LightningModule,
    seeds: Sequence[int],
    progress: bool = True,
    legacy_resets: bool = True,
    parallel_worlds: int | None = None,
) -> list[Episode]:
    """Push-T's episodes from each seed, with the module's own observation, as `roll_out` plays them."""
    world = PushTWorld(options={"observation": "keypoints", "legacy_resets": legacy_resets})
    world = world.observed_as(cast(Policy, module).observation)
    return episodes_of(roll_out(module, world, seeds, progress, parallel_worlds))


def run_checkpoint(path: str, seeds: Sequence[int]) -> list[Episode]:
    """One episode from each seed with the policy in a checkpoint or a folder of pretrained/."""
    return run_policy(load_trained(path, DiffusionPolicy), seeds)


def title(n: int, first_seed: int, starts: str = LEGACY_STARTS, world: str = "Push-T") -> str:
    """What n episodes from each of so many seeds are of."""
    return f"{world}, {n} episodes, {starts} of seeds {first_seed} to {first_seed + n - 1}"


def table(
    rows: dict[str, dict[str, ConfidenceInterval]], n: int, first_seed: int, starts: str = LEGACY_STARTS
) -> Table:
    """Policies of Push-T against metrics with their 95 % intervals."""
    result = Table(title=title(n, first_seed, starts))
    result.add_column("policy")
    for name in next(iter(rows.values())):
        result.add_column(name)
    for policy, metrics in rows.items():
        result.add_row(policy, *(_in_words(m) for m in metrics.values()))
    return result


def _in_words(metric: ConfidenceInterval) -> str:
    digits = 1 if max(map(abs, metric)) > 1 else 3  # of steps and returns, or of a share
    return f"{metric.mean:.{digits}f} [{metric.low:.{digits}f}, {metric.high:.{digits}f}]"
