"""Environments to act in. Importing this package registers `firstlight/PushT-v0` with gymnasium."""

from gymnasium.envs.registration import register

PUSHT_ID = "firstlight/PushT-v0"

register(
    id=PUSHT_ID,
    entry_point="envs.pusht:PushT",
    vector_entry_point="envs.pusht_vector:PushTVector",
    max_episode_steps=300,
)
