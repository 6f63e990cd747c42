"""Planner, person and policy from the same starts, side by side: the video on the page.

    python -m benchmarks.pusht_side_by_side --policy pretrained/pusht_planner --out docs/pusht_side_by_side.gif

The starts are those of human demonstrations. What a person did is replayed; it ends where the person stopped, usually a
little short of success.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from rich.progress import track

from benchmarks.command import as_command
from checkpoints.load_trained import load_trained
from datamodules.pusht import read_keypoints
from envs import t_block, video
from envs.action_chunking import ActionChunking
from envs.arguments import whole_number
from envs.drawing import draw
from envs.physics import get_state
from envs.pusht import MAX_EPISODE_STEPS, SUCCESS_COVERAGE, PushT
from lightning_modules.diffusion_policy import DiffusionPolicy
from planning.planner import plan

PEOPLE = "lerobot/pusht_keypoints"


def acted_out(start: np.ndarray, actions: Iterable[np.ndarray], size: int) -> list[np.ndarray]:
    """Images (size, size, 3) of what happens from a state (5,), until success."""
    env = PushT("state")
    _, info = env.reset(options={"reset_to_state": start})
    images = [draw(env.pointer_position(), env.block_pose(), size)]
    for action in actions:
        *_, info = env.step(action)
        images.append(draw(env.pointer_position(), env.block_pose(), size))
        if info["is_success"]:
            break
    return [_titled(image, step, info["coverage"], len(images)) for step, image in enumerate(images)]


def _titled(image: np.ndarray, step: int, coverage: float, length: int) -> np.ndarray:
    """The step in a corner; at the end, how well the target is covered."""
    canvas = Image.fromarray(image)
    ended = step == length - 1
    words = f"{step} steps, coverage {coverage:.2f}" if ended else f"step {step}"
    ImageDraw.Draw(canvas).text((6, 6), words, fill="darkgreen" if ended and coverage > SUCCESS_COVERAGE else "black")
    return np.asarray(canvas)


def acted(policy: DiffusionPolicy, start: np.ndarray) -> np.ndarray:
    """The policy's actions (L, 2) from a state (5,)."""
    hp, generator = policy.hparams, torch.Generator().manual_seed(0)
    env = ActionChunking(PushT(policy.observation), hp.n_action_steps, hp.n_obs_steps)
    observation, _ = env.reset(options={"reset_to_state": start})
    actions, ended = [], False
    while not ended and len(actions) * hp.n_action_steps < MAX_EPISODE_STEPS:
        batch = torch.as_tensor(observation, dtype=torch.float32)[None]
        actions.append(policy.act(batch, generator)[0, : hp.n_action_steps].numpy())
        observation, _, ended, *_ = env.step(actions[-1])
    return np.concatenate(actions)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pusht_side_by_side", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--policy", default="pretrained/pusht_planner", help="a .ckpt file or a folder of pretrained/")
    parser.add_argument("--out", type=Path, required=True, help="the video, .mp4 or .gif")
    parser.add_argument(
        "--episodes", type=whole_number(0, 10**6), nargs="+", default=[0, 1, 2, 3], help="of the human demonstrations"
    )
    parser.add_argument("--size", type=whole_number(16, 1024), default=160, help="pixels of one world's side")
    options = parser.parse_args()
    people = read_keypoints(PEOPLE)
    if unknown := [episode for episode in options.episodes if episode >= len(people.starts)]:
        parser.error(f"--episodes {unknown[0]}: there are 0 to {len(people.starts) - 1}")
    policy = load_trained(options.policy, DiffusionPolicy)
    columns = []
    for episode in track(options.episodes, "drawing"):
        rows = slice(int(people.starts[episode]), int(people.ends[episode]))
        first = people.observations[rows][0].double().numpy()
        start = np.concatenate([first[:2], t_block.pose_of(first[2:].reshape(8, 2))])
        env = PushT("state")
        env.reset(options={"reset_to_state": start})
        found = plan(get_state(env), seed=episode)
        if found is None:
            raise SystemExit(f"the planner finds no way from demonstration {episode}; name others with --episodes")
        three = [found.actions, people.actions[rows].numpy(), acted(policy, start)]
        columns.append([acted_out(start, actions, options.size) for actions in three])
    length = max(len(images) for column in columns for images in column)
    lines = []
    for row, name in enumerate(("planner", "person", "policy")):
        held = [np.stack(column[row] + column[row][-1:] * (length - len(column[row]))) for column in columns]
        lines.append(_named(name, np.concatenate(held, 2)))
    print(video.write(options.out, np.concatenate(lines, 1)))


def _named(name: str, images: np.ndarray) -> np.ndarray:
    """Images (L, H, W, 3) with a line above that names them."""
    line = Image.new("RGB", (images.shape[2], 18), "white")
    ImageDraw.Draw(line).text((6, 3), name, fill="black")
    above = np.broadcast_to(np.asarray(line), (len(images), *np.asarray(line).shape))
    return np.concatenate([above, images], 1)


if __name__ == "__main__":
    as_command(main)
