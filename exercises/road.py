"""All exercises, in the order of the road."""

from exercises import cnn, ddpm, gan, numpy_by_hand, pusht, transformer
from exercises.exercise import Exercise, Stage

ROAD: list[Stage] = [
    numpy_by_hand.STAGE,
    cnn.STAGE,
    transformer.STAGE,
    gan.STAGE,
    ddpm.STAGE,
    pusht.STAGE,
]
EXERCISES: dict[str, Exercise] = {one.name: one for stage in ROAD for one in stage.exercises}
