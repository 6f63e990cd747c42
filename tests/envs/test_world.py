"""Any environment that is registered with gymnasium, many at once, each as if it were alone."""

import gymnasium as gym
import numpy as np
import pytest

from envs.action_chunking import ActionChunking
from envs.world import Trajectory, World


class Line(gym.Env):
    """A point on a line: seen under two keys, moved by its action, and home at 3 or beyond."""

    observation_space = gym.spaces.Dict(
        {"place": gym.spaces.Box(-np.inf, np.inf, (1,)), "image": gym.spaces.Box(0, 255, (2, 2, 3), np.uint8)}
    )
    action_space = gym.spaces.Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0.0
        return self._seen(), {}

    def step(self, action):
        self.place += float(action[0])
        return self._seen(), -1.0, self.place >= 5, False, {"home": self.place >= 3, "place": self.place}

    def _seen(self):
        return {
            "place": np.array([self.place], np.float32),
            "image": np.full((2, 2, 3), abs(int(self.place)), np.uint8),
        }


class Endless(Line):
    """The same, without an end."""


gym.register("test/Line-v0", Line, max_episode_steps=12)
gym.register("test/Endless-v0", Endless)


def by_seed(observations, indices):
    """Straight on in even episodes, back in odd ones; larger than allowed."""
    assert observations["place"].shape == (len(indices), 2, 1)
    assert observations["image"].dtype == np.uint8
    return np.where(np.array(indices) % 2, -9.0, 9.0)[:, None, None].repeat(3, 1)


def test_observations_by_key_success_by_info_and_clipped_actions():
    world = World("test/Line-v0", success_key="home", kept=("place",))
    episodes = world.rollout(by_seed, range(3), n_obs_steps=2, n_action_steps=3, parallel_worlds=2)
    assert [len(one.actions) for one in episodes] == [5, 12, 5]
    assert episodes[0].kept["place"].tolist() == [1, 2, 3, 4, 5]
    assert episodes[0].kept["home"].tolist() == [0, 0, 1, 1, 1]
    figures = world.summarize(episodes)
    assert figures["success_rate"].mean == pytest.approx(2 / 3)
    assert figures["mean_return"].mean == pytest.approx(-22 / 3)
    assert figures["mean_steps"].mean == pytest.approx(22 / 3)


def test_without_a_key_there_is_no_success():
    world = World("test/Line-v0")
    assert "success_rate" not in world.summarize([Trajectory(0, np.zeros((2, 1)), np.array([1.0, 2.0]))])


def test_many_equal_a_plain_loop():
    world, rng = World("Pendulum-v1"), np.random.default_rng(0)
    torques = rng.uniform(-2, 2, (3, 200, 1)).astype(np.float32)
    steps = np.zeros(3, int)

    def act(observations, indices):
        chunk = np.stack([torques[i, steps[i] : steps[i] + 8] for i in indices])
        steps[list(indices)] += 8
        return chunk

    for episode in world.rollout(act, [4, 5, 6], n_obs_steps=1, n_action_steps=8, parallel_worlds=2):
        env = gym.make("Pendulum-v1")
        env.reset(seed=episode.seed)
        rewards = [env.step(action)[1] for action in torques[episode.seed - 4]]
        np.testing.assert_array_equal(episode.rewards, rewards)


def test_observations_of_a_dict_are_stacked_by_key():
    env = ActionChunking(Line(), n_action_steps=2, n_obs_steps=3)
    first, _ = env.reset()
    assert first["place"].tolist() == [[0], [0], [0]]
    then, *_ = env.step(np.array([[1.0], [1.0]]))
    assert then["place"].tolist() == [[0], [1], [2]]
    assert then["image"][:, 0, 0, 0].tolist() == [0, 1, 2]
    assert then in env.observation_space


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: World("Nowhere-v0"), "env_id='Nowhere-v0' cannot be made"),
        (lambda: World("no spaces"), "env_id='no spaces' cannot be made"),
        (lambda: World("CartPole-v1"), "has the actions Discrete"),
        (lambda: World("test/Endless-v0"), "ends after no number of steps; give one"),
        (lambda: World("Pendulum-v1", {"gravity": 3}), "cannot be made with {'gravity': 3}"),
        (lambda: World("Pendulum-v1").summarize([]), "at least one episode"),
        (lambda: World("Pendulum-v1").check([4], 1), r"observes \[4\], and Pendulum-v1 shows \[3\]"),
        (lambda: World("Pendulum-v1").check({"a": [3]}, 1), r"observes {'a': \[3\]}, and Pendulum-v1 shows \[3\]"),
        (
            lambda: World("Pendulum-v1").check([3], 2),
            r"action_dim=2, and Pendulum-v1 takes actions of the shape \(1,\)",
        ),
        (lambda: World("test/Line-v0").check([1], 1), r"observes \[1\], and test/Line-v0 shows {'image'"),
        (lambda: World("test/Line-v0").check({"plce": [1]}, 1), "by the environment's keys"),
        (
            lambda: World("Pendulum-v1", success_key="won").check([3], 1),
            "success_key='won': info of Pendulum-v1 has noth",
        ),
        (
            lambda: World("test/Line-v0", success_key="won").check({"place": [1]}, 1),
            "has home, place; name one of these",
        ),
        (lambda: World("Pendulum-v1").rollout(by_seed, [-1], 2, 3), r"seeds=\[-1\]"),
        (lambda: World("Pendulum-v1").rollout(by_seed, [0], 2, 0), "n_action_steps=0"),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_policy_may_see_some_of_the_keys():
    World("test/Line-v0").check({"place": [1]}, 1)
    World("test/Line-v0").check({"image": [3, 2, 2]}, 1)  # its channels first


def test_a_limit_of_steps_is_an_option():
    world = World("test/Endless-v0", {"max_episode_steps": 4})
    back = world.rollout(lambda seen, indices: np.full((len(indices), 2, 1), -1.0), [0], 1, 2)
    assert len(back[0].actions) == 4


def test_info_that_lacks_the_key_is_named():
    env = ActionChunking(Line(), 2, 1, kept=["won"])
    env.reset()
    with pytest.raises(ValueError, match="info has no 'won'; it has home, place"):
        env.step(np.zeros((2, 1)))


def test_images_of_an_episode():
    pytest.importorskip("pygame")
    world = World("Pendulum-v1")
    (episode,) = world.rollout(lambda seen, indices: np.zeros((len(indices), 4, 1)), [0], 1, 4)
    images = list(world.replay(Trajectory(0, episode.actions[:3], episode.rewards[:3]), 64))
    assert [image.shape for image in images] == [(64, 64, 3)] * 4
    assert not np.array_equal(images[0], images[3])
