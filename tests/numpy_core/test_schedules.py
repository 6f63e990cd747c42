import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, SequentialLR, StepLR

from numpy_core import constant, cosine, step_decay

PAIRS = {
    "constant": (constant(0.3), lambda o: ConstantLR(o, factor=1)),
    "step_decay": (step_decay(0.3, 7), lambda o: StepLR(o, 7)),
    "step_decay by a half": (step_decay(0.3, 3, 0.5), lambda o: StepLR(o, 3, 0.5)),
    "cosine": (cosine(0.3, 30), lambda o: CosineAnnealingLR(o, 30)),
    "cosine to a final": (cosine(0.3, 30, final=0.02), lambda o: CosineAnnealingLR(o, 30, 0.02)),
    "cosine after a warm-up": (
        cosine(0.3, 30, warmup=4),
        # from a fifth of 0.3 in four steps to 0.3, then the rest along the cosine
        lambda o: SequentialLR(o, [LinearLR(o, 1 / 5, 1, 4), CosineAnnealingLR(o, 26)], [4]),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*:UserWarning")
def test_like_torch(name):
    schedule, reference = PAIRS[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.3)
    scheduler = reference(optimizer)
    found, expected = [], []
    for step in range(31):
        found.append(schedule(step))
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_ends_of_the_cosine():
    schedule = cosine(1.0, 10, warmup=3, final=0.1)
    assert [schedule(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert schedule(10) == pytest.approx(0.1)
    assert schedule(1000) == pytest.approx(0.1), "past its end it stays"
