"""The physics of one Push-T world, stepped through the compiled functions that pymunk ships.

The environment's own space and bodies, without the Python objects around them: the same numbers in the same order as
`PushT.step`, so states are equal to the bit.
"""

from typing import Any

import numpy as np
from pymunk._chipmunk import ffi, lib

from envs.pusht import PHYSICS_DT, PHYSICS_STEPS, PushT


def vectors(velocities: np.ndarray) -> Any:
    """Velocities (..., S, 2), contiguous float64, as the physics library reads them: one after the other."""
    return ffi.from_buffer("cpVect[]", velocities)


class CompiledSpace:
    """The space of an environment's episode; its reset builds another one."""

    def __init__(self, env: PushT):
        self.owner = env._space  # whose end would be that of what is used below
        self.space, self.pointer, self.block = env._space._space, env._pointer._body, env._block._body

    def drive(self, velocities: Any, first: int) -> None:
        """One control step: the pointer moves with the S velocities from number `first` of `vectors` on."""
        set_velocity, step, space, pointer = lib.cpBodySetVelocity, lib.cpSpaceStep, self.space, self.pointer
        for k in range(first, first + PHYSICS_STEPS):
            set_velocity(pointer, velocities[k])
            step(space, PHYSICS_DT)

    def pose(self) -> tuple[float, float, float]:
        """The block's x, y and angle (not wrapped)."""
        position = lib.cpBodyGetPosition(self.block)
        return position.x, position.y, lib.cpBodyGetAngle(self.block)
