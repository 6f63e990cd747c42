"""Demonstrations of any robot: LeRobot's data sets, or Parquet files with a row for each step.

B windows of a batch, O observed steps, T actions of a window, A action dimensions.
"""

from collections.abc import Callable
from functools import cached_property
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

import limits
from datamodules import held_out
from datamodules.device_resident import OnDevice, ResidentDataModule
from datamodules.episode_statistics import action_scale, statistics
from datamodules.episodes import Episodes, read_episodes
from datamodules.windows import Windows, check_window
from envs.observations import arrays, map_observation
from networks.observation_features import Statistics

PART = 2**18  # numbers that are measured at once


class Demonstrations(ResidentDataModule):
    """Windows of the demonstrations at `source` (`datamodules.windows`).

    An observation is one vector, of one column or several side by side, or, where columns are given by key, a
    dictionary of them, under the keys that the environment gives its observations.

    Args:
        source: a Hub id, a folder, a Parquet file (`datamodules.sources`), or a list of them.
        observation: the column, a list of columns, or a dictionary of these by key. Columns of images have a key of
            their own, or are the only one.
        action: the column, or a list of columns.
        n_obs_steps: O, how many observations the policy sees.
        horizon: T, how many actions it predicts.
        pad_after: how many actions of a window may lie past its episode's end; all but the first by default.
        batch_size: windows in a batch.
        val_share: share of the episodes held out for the validation loss, at least one; 0 for none. Then there is no
            validation, and test uses the episodes that were trained on.
        split_seed: draws which ones.
        on_device: whether demonstrations are held on the GPU (`datamodules.device_resident`).
    """

    def __init__(
        self,
        source: list[str] | str,
        observation: dict[str, list[str] | str] | list[str] | str = "observation.state",
        action: list[str] | str = "action",
        n_obs_steps: int = 2,
        horizon: int = 16,
        pad_after: int | None = None,
        batch_size: int = 256,
        val_share: float = 0.04,
        split_seed: int = 0,
        on_device: OnDevice = "auto",
    ):
        super().__init__(on_device)
        limits.whole(batch_size=batch_size)
        held_out.check(val_share, split_seed)
        self.n_obs_steps, self.horizon = n_obs_steps, horizon
        self.pad_after = horizon - 1 if pad_after is None else pad_after
        check_window(n_obs_steps, horizon, self.pad_after)
        self.save_hyperparameters()

    @property
    def observation_shape(self) -> list[int] | dict[str, list[int]]:
        """Of one step, without O: [n], or [C, H, W] of images; by key where there are several."""
        return map_observation(lambda values: list(values.shape[1:]), self.episodes.observations)

    @property
    def action_dim(self) -> int:
        """A."""
        return self.episodes.actions.shape[1]

    @cached_property
    def episodes(self) -> Episodes:
        """All of them, read at the first use."""
        return self.read()

    def read(self) -> Episodes:
        """The episodes at the source. Raises as `datamodules.episodes.read_episodes` does."""
        return read_episodes(self.hparams.source, self.hparams.observation, self.hparams.action)

    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "train_windows"):
            return
        hp, episodes = self.hparams, self.episodes
        train, val = held_out.split(len(episodes.starts), "episodes", hp.val_share, hp.split_seed, at_least=1)
        sizes = (hp.n_obs_steps, hp.horizon, self.pad_after)
        self.val_windows = Windows(episodes, val.sort().values, *sizes) if len(val) else None
        self.train_windows = Windows(episodes, train.sort().values, *sizes)
        self._train_episodes = train

    def observation_statistics(self) -> Statistics | dict[str, Statistics | None] | None:
        """Mean and deviation of the training episodes' observations, by key; None for images.

        As they were recorded, each step once. Raises ValueError before `setup("fit")`.
        """
        rows = self._train_rows()
        return map_observation(
            lambda values: statistics(values[rows]) if values.ndim == 2 else None, self.episodes.observations
        )

    def action_statistics(self) -> Statistics:
        """Mean and deviation of the training episodes' actions, each step once: (A,) each.

        Raises ValueError before `setup("fit")`.
        """
        return statistics(self.episodes.actions[self._train_rows()])

    def action_scale(self, origin: Callable[[Any], Tensor]) -> Tensor:
        """(T, A): root mean square of the training actions at each step of a window, relative to an origin.

        0 where no action reaches a step. As they were recorded, once each. Raises ValueError before `setup("fit")`.

        Args:
            origin: observations (B, O, ...) -> (B, 1, A).
        """
        self._train_rows()
        shapes = [values.shape[1:] for values in arrays(self.episodes.observations)]
        numbers = self.horizon * self.action_dim + self.n_obs_steps * sum(map(prod, shapes))
        parts = torch.arange(len(self.train_windows)).split(max(1, PART // numbers))
        return action_scale((self.train_windows.__getitems__(part.tolist()) for part in parts), origin)

    def _train_rows(self) -> Tensor:
        """Which steps belong to training episodes."""
        if not hasattr(self, "train_windows"):
            raise ValueError('the demonstrations are not read yet; call setup("fit") first')
        starts, ends = self.episodes.starts, self.episodes.ends
        episodes = self._train_episodes.sort().values.tolist()
        return torch.cat([torch.arange(int(starts[e]), int(ends[e])) for e in episodes])

    def train_dataloader(self) -> DataLoader:
        return self.loader(
            self.train_windows, shuffle=True, drop_last=len(self.train_windows) >= self.hparams.batch_size
        )

    def val_dataloader(self) -> DataLoader | list:
        return self.loader(self.val_windows) if self.val_windows else held_out.no_validation(self)

    # A policy is tested by acting (`callbacks.rollouts`), on starts that no demonstration has; what is left to show it
    # beside that are the held-out demonstrations.
    def test_dataloader(self) -> DataLoader:
        return self.loader(self.val_windows or self.train_windows)

    predict_dataloader = test_dataloader
