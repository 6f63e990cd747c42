"""`make demo`: train a Push-T policy for about five minutes, then let it act beside the shipped one.

Uses the demonstrations and the weights that come with Firstlight: no download, no FIRSTLIGHT_DATA.
"""

import argparse
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console

import train
from callbacks.rollouts import FIRST_TEST_SEED, run_policy, table
from checkpoints.load_trained import load_trained
from envs import video
from envs.arguments import one_or_more
from envs.episode_statistics import summarize
from lightning_modules.diffusion_policy import DiffusionPolicy

CONFIG, SHIPPED, OUT = Path("configs/pusht.yaml"), Path("pretrained/pusht"), Path("runs/demo")
EPOCHS = 16  # about five minutes on two CPU cores
SIZE = 256


def train_policy(epochs: int) -> DiffusionPolicy:
    """`train.py fit` on configs/pusht.yaml, cut short; the averaged weights at the end."""
    overrides = {
        "trainer.max_epochs": epochs,
        "trainer.check_val_every_n_epoch": epochs,
        "trainer.num_sanity_val_steps": 0,
        "trainer.default_root_dir": OUT,
    }
    cli = train.main(["fit", "--config", str(CONFIG), *(f"--{key}={value}" for key, value in overrides.items())])
    assert cli is not None  # as only `--version` and no words at all give none
    return cli.model


def side_by_side(rows: dict[str, list], columns: int) -> np.ndarray:
    """(L, H, W, 3): one row of episodes per policy, its name above."""
    walls = [video.wall(episodes[:columns], columns, SIZE) for episodes in rows.values()]
    length = max(map(len, walls))
    titled = []
    for name, wall in zip(rows, walls, strict=True):
        title = Image.new("RGB", (wall.shape[2], 24), "white")
        ImageDraw.Draw(title).text((8, 5), name, fill="black")
        wall = np.concatenate([wall, np.repeat(wall[-1:], length - len(wall), 0)])
        titled.append(np.concatenate([np.broadcast_to(np.asarray(title), (length, *np.asarray(title).shape)), wall], 1))
    return np.concatenate(titled, 1)


def main(args: list[str] | None = None) -> None:
    """Train, let both policies act, and write the video."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--epochs", type=one_or_more, default=EPOCHS, help=f"how long to train (default {EPOCHS})")
    parser.add_argument("--episodes", type=one_or_more, default=50, help="episodes for each policy (default 50)")
    options = parser.parse_args(args)
    console = Console()

    console.rule("1. training on the bundled demonstrations, about five minutes")
    policies = {
        f"trained here, {options.epochs} epochs": train_policy(options.epochs),
        "shipped": load_trained(SHIPPED),
    }

    console.rule(f"2. acting, {options.episodes} episodes each")
    seeds = range(FIRST_TEST_SEED, FIRST_TEST_SEED + options.episodes)
    episodes = {name: run_policy(policy.eval(), seeds) for name, policy in policies.items()}
    console.print(table({name: summarize(own) for name, own in episodes.items()}, len(seeds), seeds[0]))

    console.rule("3. video")
    frames = side_by_side(episodes, min(4, options.episodes))
    movie = video.write(OUT / "side-by-side.mp4", frames)
    still = OUT / "side-by-side.png"
    iio.imwrite(still, frames[-1])
    console.print(
        f"run     {OUT}\nlook at {movie}\n        {still}\n"
        "curves  make board, then open http://localhost:6006\n"
        f"next    .venv/bin/python train.py fit --config {CONFIG}    # train longer\n"
        "        .venv/bin/python -m app    # push it yourself",
        soft_wrap=True,
        highlight=False,
    )


if __name__ == "__main__":
    main()
