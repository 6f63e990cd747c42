"""The world on pymunk 6 and on pymunk 7, each in an environment of its own, by Python and by compiled functions."""

import json
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
EPISODE = """
import json
import numpy as np
from envs import physics
from envs.pusht import PushT
from envs.pusht_vector import PushTVector
physics.SLACK = np.inf
rng, env, states = np.random.default_rng(0), PushT("state", legacy_resets=True), []
for seed in range(5):
    state, _ = env.reset(seed=seed)
    start, actions, after = physics.get_state(env), [], []
    for step in range(100):
        if step % 10 == 0:
            action = state[2:4] + rng.uniform(-60, 60, 2)
        state, *_ = env.step(action)
        states.append(state.tolist())
        actions.append(action)
        after.append(physics.get_state(env))
    direct = physics.Simulator().rollouts(start[None], np.array([actions]))[0]
    assert np.abs(direct - after).max() < 1e-9
worlds = PushTVector(3, legacy_resets=True)
singles = [PushT("state", legacy_resets=True) for _ in range(3)]
seen, _ = worlds.reset(seed=0)
for i, single in enumerate(singles):
    single.reset(seed=i)
for step in range(100):
    if step % 10 == 0:
        targets = seen[:, 2:4] + rng.uniform(-60, 60, (3, 2))
    seen, *_ = worlds.step(targets)
    alone = np.array([single.step(target)[0] for single, target in zip(singles, targets)])
    assert np.abs(seen - alone).max() < 1e-9
print(json.dumps(states))
"""


def states_on(major: int, folder: Path) -> np.ndarray:
    """(500, 5) states of the same five episodes with a pymunk of that major version."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    others = [f"{name}=={version(name)}" for name in ("numpy", "gymnasium", "shapely", "pillow")]
    subprocess.run(
        [python, "-m", "pip", "install", "-q", f"pymunk=={major}.*", *others], check=True, capture_output=True
    )
    done = subprocess.run([python, "-W", "ignore", "-c", EPISODE], cwd=ROOT, capture_output=True, text=True, check=True)
    return np.array(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX environments")
def test_both_major_versions_give_the_same_episodes(tmp_path):
    six, seven = (states_on(major, tmp_path / str(major)) for major in (6, 7))
    assert six.shape == seven.shape == (500, 5)
    difference = np.abs(six - seven)
    print(f"pymunk 6 against 7: largest difference {difference.max():.3g}, median {np.median(difference):.3g}")
    assert difference.max() < 1e-9
