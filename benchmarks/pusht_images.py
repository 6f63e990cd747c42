"""A Push-T policy that sees images alone, where these are not quite what it learned from.

    python -m benchmarks.pusht_images --policy pretrained/pusht_image

Two tables. The first one says how far the keypoints that it finds are from the true ones, in pixels of the world of
512: in our drawings of the moments of the human demonstrations, and in the images that were recorded with them
(lerobot/pusht_image). The second one says how it acts, in episodes from the paper's starts, where colours, brightness,
sharpness or the camera have changed; each change is the same in all episodes.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from benchmarks.command import as_command
from callbacks.rollouts import FIRST_TEST_SEED, roll_out, table
from checkpoints.load_trained import load_trained
from datamodules.episodes import read_episodes
from datamodules.pusht import read_keypoints
from datamodules.pusht_images import drawn
from envs.arguments import one_or_more, seeds_from
from envs.drawing import Colours
from envs.pusht_world import PushTWorld
from lightning_modules.diffusion_policy import DiffusionPolicy

Change = Callable[[Tensor], Tensor]
"""Images (N, 3, 96, 96) uint8 -> changed ones."""

BATCH = 500


def moved(images: Tensor, right: int, down: int) -> Tensor:
    """Moved by some pixels; edges repeat."""
    around = F.pad(images.float(), (abs(right), abs(right), abs(down), abs(down)), mode="replicate").byte()
    top, left = abs(down) - down, abs(right) - right
    return around[..., top : top + images.shape[2], left : left + images.shape[3]]


def covered(images: Tensor, x: int, y: int, side: int = 12) -> Tensor:
    """With a grey square."""
    images = images.clone()
    images[..., y : y + side, x : x + side] = 128
    return images


def noisy(images: Tensor, std: float) -> Tensor:
    """With normal noise, the same in all images."""
    noise = torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(0))
    return (images + 255 * std * noise).round().clamp(0, 255).byte()


CHANGES: dict[str, tuple[Mapping[str, Any], Change]] = {
    "none": ({}, lambda images: images),
    "the block is red": ({"colours": Colours(block=(190, 90, 90))}, lambda images: images),
    "the target is blue": ({"colours": Colours(target=(140, 170, 240))}, lambda images: images),
    "the background is grey": ({"colours": Colours(background=(200, 200, 200))}, lambda images: images),
    "a quarter darker": ({}, partial(tv.adjust_brightness, brightness_factor=0.75)),
    "a quarter brighter": ({}, partial(tv.adjust_brightness, brightness_factor=1.25)),
    "a quarter less contrast": ({}, partial(tv.adjust_contrast, contrast_factor=0.75)),
    "noise of 0.05": ({}, partial(noisy, std=0.05)),
    "blurred, 0.8 pixels": ({}, partial(tv.gaussian_blur, kernel_size=[7, 7], sigma=[0.8, 0.8])),
    "moved by 3 pixels, right and down": ({}, partial(moved, right=3, down=3)),
    "moved by 3 pixels, left and up": ({}, partial(moved, right=-3, down=-3)),
    "12 x 12 covered, upper left": ({}, partial(covered, x=24, y=24)),
    "12 x 12 covered, beside the target": ({}, partial(covered, x=60, y=40)),
}


def keypoint_errors(policy: DiffusionPolicy, images: Tensor, keypoints: Tensor) -> Tensor:
    """Distances in pixels of the world from the true keypoints: (n, 3, 96, 96) uint8 and (n, 18) -> (n, 9)."""
    parts = list(zip(images.split(BATCH), keypoints.split(BATCH), strict=True))
    found = [policy.features.perceive(part[:, None])[:, 0] for part, _ in track(parts, "looking", transient=True)]
    apart = torch.cat(found) - keypoints
    return apart.unflatten(1, (9, 2)).norm(dim=-1)


def found_table(policy: DiffusionPolicy) -> Table:
    """How far the keypoints that a policy finds are from the true ones."""
    keypoints = read_keypoints("lerobot/pusht_keypoints").observations
    recorded = read_episodes("lerobot/pusht_image", "observation.image").observations
    assert isinstance(keypoints, Tensor)  # and not a dictionary of them
    assert isinstance(recorded, Tensor)
    result = Table(title=f"errors of keypoints in {len(keypoints):,} moments of demonstrations, pixels of 512")
    for name in ("images", "pointer, mean", "corners, mean", "median", "99 % below"):
        result.add_column(name)
    for name, images in {"drawn": drawn(keypoints), "recorded": recorded}.items():
        errors = keypoint_errors(policy, images, keypoints)
        corners = errors[:, 1:].flatten()
        quantiles = corners.quantile(torch.tensor([0.5, 0.99])).tolist()
        result.add_row(name, *(f"{value:.2f}" for value in (errors[:, 0].mean(), corners.mean(), *quantiles)))
    return result


def acting_table(policy: DiffusionPolicy, count: int, names: list[str]) -> Table:
    """How a policy acts under each change."""
    act, rows = policy.act, {}
    for name in names:
        options, change = CHANGES[name]
        world = PushTWorld(options={"observation": "pixels", "legacy_resets": True, **options})

        def changed(images: Tensor, change: Change = change, **rest: Any) -> Any:
            return act(change(images.flatten(0, 1)).view_as(images), **rest)

        policy.act = changed
        rows[name] = world.summarize(roll_out(policy, world, seeds_from(FIRST_TEST_SEED, count)))
    policy.act = act
    return table(rows, count, FIRST_TEST_SEED)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pusht_images", description=__doc__.split("\n\n")[0])
    parser.add_argument("--policy", default="pretrained/pusht_image", help="a .ckpt file or a folder of pretrained/")
    parser.add_argument("--episodes", type=one_or_more, default=500, help="under each change; default 500")
    parser.add_argument("--only", nargs="+", choices=list(CHANGES), metavar="CHANGE", help="some of the changes")
    options = parser.parse_args()
    policy = load_trained(options.policy, DiffusionPolicy)
    if policy.observation_shape != (3, 96, 96):
        raise ValueError(f"{options.policy} does not see images; name a policy of configs/pusht_image.yaml")
    if options.only is None:
        Console().print(found_table(policy))
    Console().print(acting_table(policy, options.episodes, options.only or list(CHANGES)))


if __name__ == "__main__":
    as_command(main)
