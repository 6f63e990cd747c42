"""An environment's space by compiled functions against the environment itself."""

import numpy as np

from envs.compiled_space import CompiledSpace, vectors
from envs.physics import get_state, pointer_paths
from envs.pusht import PushT


def test_a_control_step_is_the_environments_to_the_bit():
    env, twin = PushT(legacy_resets=True), PushT(legacy_resets=True)
    for seed in range(3):
        env.reset(seed=seed), twin.reset(seed=seed)
        space, rng, moved = CompiledSpace(twin), np.random.default_rng(seed), 0
        for _ in range(60):
            target = env.block_pose()[:2] + rng.uniform(-40, 40, 2)
            _, velocities = pointer_paths(get_state(twin)[None, :4], target[None, None])
            before = space.pose()
            env.step(target), space.drive(vectors(velocities), 0)
            np.testing.assert_array_equal(get_state(twin), get_state(env))
            assert space.pose() == tuple(get_state(env)[4:7])
            moved += space.pose() != before
        assert moved > 10
