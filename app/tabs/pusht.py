"""Push-T: a person, a policy and the planner take turns in one world.

The page asks for every step of 0.1 s and says who takes it. An episode follows from its start and its actions, so one
may change hands as often as one likes and still be recorded and replayed; a block moved by hand begins a new episode.

T predicted actions, S steps of the sampler.
"""

import os
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Any

import numpy as np

from app.models import arguments_of, command_of
from app.request import Request
from app.solver import solve
from app.tab import Answer, AppState, Say, Tab, rounded
from envs import t_block
from envs.arguments import LARGEST_SEED
from envs.drawing import draw
from envs.pusht import MAX_EPISODE_STEPS, PIXELS, PushT, pointer_target
from envs.pusht_world import PushTWorld
from envs.recording import EpisodeActions

POLICIES = ("lightning_modules.diffusion_policy.DiffusionPolicy",)
FAN = 8  # action chunks that are denoised at once; the first of them is carried out
MOST_OBSERVED = 16
LONGEST_EPISODE = 10 * MAX_EPISODE_STEPS
DATA_VARIABLE = "FIRSTLIGHT_DATA"


class PushTTab(Tab):
    """One world, and the episode in it."""

    def __init__(self, app_state: AppState):
        super().__init__(app_state)
        self._seed = app_state.first_seed
        self._fitting: set[str] = set()  # policies that were found to fit this world
        self._env = PushT("state", legacy_resets=True)
        self._begin({"seed": self._seed})

    def hello(self) -> Answer:
        policies = self.app_state.models.of(POLICIES)
        return {
            "policies": [
                {"name": name, "command": command_of(name), "acts": _how_it_acts(place)}
                for name, place in policies.items()
            ],
            "demonstrations": list(demonstrations()),
            "target": rounded(t_block.corners(t_block.TARGET_POSE)[t_block.OUTLINE], 2),
            "corners": rounded(t_block.CORNERS[t_block.OUTLINE], 2),
            "records": self.app_state.recorder.out is not None,
            "record_command": self.app_state.recorder.command(),
            "state": self._view(),
        }

    def requests(self) -> dict[str, Callable[[Request, Say], None]]:
        return {
            "reset": self._reset,
            "step": self._step,
            "place": self._place,
            "plan": self._plan,
            "keep": self._keep,
            "undo": self._undo,
            "replay": self._replay,
            "demonstration": self._demonstration,
        }

    def _begin(self, reset: dict[str, Any]) -> None:
        """An episode that begins with these arguments of `PushT.reset`."""
        state, info = self._env.reset(**reset)
        self._start, self._info = reset, info
        self._states = deque([state] * MOST_OBSERVED, maxlen=MOST_OBSERVED)
        self._actions: list[np.ndarray] = []
        self._drivers: list[str] = []
        self._chunk: deque[np.ndarray] = deque()  # what the policy is about to do
        self._planned: deque[np.ndarray] = deque()  # what the planner is about to do
        self._chunks = 0

    def _reset(self, request: Request, say: Say) -> None:
        self._seed = request.whole("seed", 0, LARGEST_SEED) if "seed" in request else (self._seed + 1) % LARGEST_SEED
        self._begin({"seed": self._seed})
        say(self._view())

    def _place(self, request: Request, say: Say) -> None:
        x, y, angle = request.numbers("pose", 3)
        pose = [*np.clip([x, y], 0, t_block.WORLD).tolist(), float(np.remainder(angle, 2 * np.pi))]
        self._begin({"options": {"reset_to_state": [*self._states[-1][:2].tolist(), *pose]}})
        say(self._view())

    def _step(self, request: Request, say: Say) -> None:
        driver = request.choice("driver", ("you", "policy", "planner"))
        if self._solved or len(self._actions) >= LONGEST_EPISODE:
            say(self._view())
            return
        seen: Answer = {}
        if driver == "you":
            action = pointer_target(request.numbers("target", 2), "target")
            self._chunk.clear()
            self._planned.clear()
        elif driver == "planner":
            if not self._planned:
                raise ValueError("there is no plan; ask for one first")
            action = self._planned.popleft()
        else:
            if not self._chunk:
                seen = self._act(request, say)
            action = self._chunk.popleft()
            self._planned.clear()
        action = np.asarray(action, np.float32)
        state, _, _, _, self._info = self._env.step(action)
        self._states.append(state)
        self._actions.append(action)
        self._drivers.append(driver)
        say(self._view() | seen | {"action": rounded(action, 1)})

    def _act(self, request: Request, say: Say) -> Answer:
        """Ask the policy for its next actions; what the page may draw of them."""
        policy = self._policy(request, say)
        horizon = policy.hparams.horizon
        given = request.whole("n_action_steps", 1, 1000) if "n_action_steps" in request else None
        count = min(given or policy.hparams.n_action_steps, horizon)
        temperature = request.number("temperature", "[0, 10]") if "temperature" in request else None
        kind = policy.observation or "keypoints"
        fan = 1 if kind == "pixels" else FAN
        observed = np.stack([_observation(kind, state) for state in list(self._states)[-policy.hparams.n_obs_steps :]])
        steps: list[np.ndarray] = []
        clock = time.perf_counter()
        from diffusion.noise import generators  # with torch, which the page need not wait for

        noise = generators([self._seed, self._chunks], range(fan))
        chunks = policy.act(
            np.stack([observed] * fan), noise, temperature, lambda _, actions: steps.append(actions[0].numpy())
        )
        self._chunks += 1
        self._chunk.extend(chunks[0][:count])
        return {
            "fan": {
                "steps": rounded(steps, 1),  # (S, T, 2) how the chosen one formed
                "others": rounded(chunks[1:], 1),
                "carried_out": count,
                "milliseconds": round(1000 * (time.perf_counter() - clock), 1),
            }
        }

    def _policy(self, request: Request, say: Say) -> Any:
        policies = self.app_state.models.of(POLICIES)
        name = request.choice("policy", policies)
        policy = self.app_state.models.load(name, policies[name], lambda: say({"kind": "loading", "model": name}))
        if name not in self._fitting:
            PushTWorld().observed_as(policy.observation).check(policy.observation_shape, policy.action_dim)
            self._fitting.add(name)
        if policy.hparams.n_obs_steps > MOST_OBSERVED:
            raise ValueError(f"{name} observes {policy.hparams.n_obs_steps} steps; the page keeps {MOST_OBSERVED}")
        return policy

    def _plan(self, request: Request, say: Say) -> None:
        if self._solved:
            raise ValueError("it is solved already")
        waiting = solve(self._env)
        began = time.monotonic()
        while not waiting.done():
            say({"kind": "planning", "seconds": round(time.monotonic() - began, 1)})
            try:
                waiting.result(timeout=0.25)
            except NotYet:
                continue
        found = waiting.result()
        if found is None:
            raise ValueError("no plan was found from here; push the block a little, or ask again")
        self._chunk.clear()
        self._planned = deque(found.actions)
        say({"kind": "plan", "actions": rounded(found.actions, 1), "pushing": found.pushing.tolist()})

    def _keep(self, request: Request, say: Say) -> None:
        """Keep this episode and begin the next; one that is not solved only where `unsolved` is true."""
        if not self._actions:
            raise ValueError("nothing has been done yet: there is nothing to keep")
        if not self._solved and not request.yes("unsolved"):
            raise ValueError("not solved: it is only kept when you say so")
        self.app_state.recorder.keep(EpisodeActions(self._start, np.stack(self._actions)), dict(Counter(self._drivers)))
        self._seed = (self._seed + 1) % LARGEST_SEED
        self._begin({"seed": self._seed})
        say(self._view())

    def _undo(self, request: Request, say: Say) -> None:
        self.app_state.recorder.undo()
        say(self._view())

    def _replay(self, request: Request, say: Say) -> None:
        """This episode once more from its start, by its actions: every state, and whether the last is the one now."""
        env = PushT("state", legacy_resets=True)
        state, info = env.reset(**self._start)
        frames = [[*state, info["coverage"]]]
        for action in self._actions:
            state, _, _, _, info = env.step(action)
            frames.append([*state, info["coverage"]])
        same = bool(np.array_equal(state, self._states[-1]))
        say({"kind": "replay", "frames": rounded(frames, 3), "drivers": self._drivers, "same": same})

    def _demonstration(self, request: Request, say: Say) -> None:
        """A recorded episode, any one without its number, and the world at its start."""
        say({"kind": "loading", "model": "demonstrations"})
        episodes = _episodes(demonstrations()[request.choice("source", demonstrations())])
        last = len(episodes) - 1
        number = request.whole("number", 0, last) if "number" in request else random.randint(0, last)
        pointer, points = episodes[number][:, :2], episodes[number][:, 2:].reshape(-1, 8, 2)
        poses = t_block.pose_of(points)
        self._begin({"options": {"reset_to_state": [*pointer[0].clip(0, t_block.WORLD).tolist(), *poses[0].tolist()]}})
        coverages = t_block.overlap(points)
        frames = np.concatenate([pointer, poses, coverages[:, None]], 1)
        say({"kind": "demonstration", "number": number, "of": len(episodes), "frames": rounded(frames, 2)})
        say(self._view())

    @property
    def _solved(self) -> bool:
        return bool(self._info["is_success"])

    def _view(self) -> Answer:
        state = self._states[-1]
        return {
            "kind": "state",
            "pointer": rounded(state[:2], 2),
            "pose": rounded(state[2:], 4),
            "coverage": round(float(self._info["coverage"]), 4),
            "solved": self._solved,
            "steps": len(self._actions),
            "seed": self._seed if "seed" in self._start else None,
            "kept": len(self.app_state.recorder),
            "chunk": rounded(self._chunk, 1),
            "planned": len(self._planned),
        }


def _observation(kind: str, state: np.ndarray) -> np.ndarray:
    """What `PushT(kind)` shows in a state (5,)."""
    if kind == "state":
        return state
    if kind == "pixels":
        return draw(state[:2], state[2:], PIXELS)
    return np.concatenate([state[:2], t_block.corners(state[2:]).ravel()])


def _how_it_acts(place: Path) -> Answer:
    """The settings that a policy was trained to act with, as far as its config says them."""
    given = arguments_of(place)
    return {name: given[name] for name in ("temperature", "n_action_steps", "horizon") if name in given}


def demonstrations() -> dict[str, str]:
    """Recorded episodes to watch, and where they are: people's only where they lie on this machine."""
    folder = os.environ.get(DATA_VARIABLE)
    people = Path(folder) / "pusht" if folder else None
    return ({"people": str(people)} if people and people.is_dir() else {}) | {"bundled": "bundled"}


_read: dict[str, list[np.ndarray]] = {}


def _episodes(source: str) -> list[np.ndarray]:
    """The keypoints (L, 18) of every episode at a source, read once."""
    if source not in _read:
        from datamodules.pusht import read_keypoints

        found = read_keypoints(source)
        keypoints = np.asarray(found.observations, np.float64)
        _read[source] = [keypoints[a:b] for a, b in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
    return _read[source]
