import pytest
import torch

from diffusion.guidance import drop_labels, guided
from diffusion.noise_schedule import SquaredCosineSchedule
from diffusion.prediction_type import Epsilon, Sample, VPrediction
from diffusion.scheduler import NoiseScheduler

NULL = 3
LABELS = torch.tensor([0, 2, 1, 2])


@pytest.fixture
def inputs():
    x = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    return x, torch.full((4,), 40)


def model(x, t, labels):
    return torch.sin(x * (labels[:, None, None] + 1)) + t[:, None, None] / 100


def counted(calls):
    def call(x, t, labels):
        calls.append(labels)
        return model(x, t, labels)

    return call


def test_equals_eq_6_of_the_paper(inputs):
    """(1 + w) eps(z, c) - w eps(z) with w = scale - 1."""
    x, t = inputs
    for scale in (0.5, 1.5, 4.0):
        w = scale - 1
        expected = (1 + w) * model(x, t, LABELS) - w * model(x, t, torch.full((4,), NULL))
        torch.testing.assert_close(guided(model, LABELS, NULL, scale)(x, t), expected)


def test_scale_0_is_unconditional_and_1_conditional_to_the_bit(inputs):
    x, t = inputs
    assert torch.equal(guided(model, LABELS, NULL, 0)(x, t), model(x, t, torch.full((4,), NULL)))
    assert torch.equal(guided(model, LABELS, NULL, 1)(x, t), model(x, t, LABELS))


def test_both_halves_are_one_batch_and_neither_is_evaluated_in_vain(inputs):
    x, t = inputs
    for scale, expected in [(0, [3] * 4), (1, LABELS.tolist()), (3, LABELS.tolist() + [3] * 4)]:
        calls = []
        guided(counted(calls), LABELS, NULL, scale)(x, t)
        assert [labels.tolist() for labels in calls] == [expected]


def test_interval_has_both_ends_in_it(inputs):
    x, _ = inputs
    output = guided(model, LABELS, NULL, 3.0, guidance_interval=(20, 60))
    everywhere = guided(model, LABELS, NULL, 3.0)
    for step in (19, 20, 40, 60, 61):
        t = torch.full((4,), step)
        expected = everywhere(x, t) if 20 <= step <= 60 else model(x, t, LABELS)
        assert torch.equal(output(x, t), expected), step


def test_guidance_is_the_same_whatever_is_predicted(inputs):
    """Noise, x_0 and v of one x_t are affine in each other: guiding any of them leads to the same x_0."""
    x, t = inputs
    scheduler = NoiseScheduler(SquaredCosineSchedule()(100))
    results = []
    for prediction_type in (Epsilon(), Sample(), VPrediction()):

        def predicted(x, t, labels, prediction_type=prediction_type):  # model() as x_0, said as this type says it
            x0 = model(x, t, labels)
            return prediction_type.target(scheduler, x0, scheduler.noise_from_x0(x, x0, t), t)

        results.append(prediction_type.x0(scheduler, x, guided(predicted, LABELS, NULL, 2.5)(x, t), t))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(results[2], results[1], rtol=1e-4, atol=1e-5)


def test_the_share_of_dropped_labels():
    labels = torch.randint(0, NULL, (20_000,), generator=torch.Generator().manual_seed(0))
    dropped = drop_labels(labels, NULL, 0.1, torch.Generator().manual_seed(1))
    missing = dropped == NULL
    assert missing.float().mean().item() == pytest.approx(0.1, abs=0.01)  # standard error 0.002
    assert torch.equal(dropped[~missing], labels[~missing])
    assert torch.equal(drop_labels(labels, NULL, 0.0), labels)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"guidance_scale": -1}, "guidance_scale=-1"),
        ({"guidance_scale": 1e38}, r"guidance_scale=1e\+38"),
        ({"guidance_scale": float("nan")}, "guidance_scale=nan"),
        ({"guidance_scale": 2, "guidance_interval": (5, 4)}, r"guidance_interval=\(5, 4\)"),
        ({"guidance_scale": 2, "guidance_interval": (-1, 4)}, r"guidance_interval=\(-1, 4\)"),
        ({"guidance_scale": 2, "guidance_interval": (4,)}, r"guidance_interval=\(4,\)"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        guided(model, LABELS, NULL, **options)


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_a_graph_has_the_same_interval(scale, inputs, monkeypatch):
    x, _ = inputs
    for step in (19, 20, 40, 60, 61):
        t = torch.full((4,), step)
        expected = guided(model, LABELS, NULL, scale, guidance_interval=(20, 60))(x, t)
        with monkeypatch.context() as patch:
            patch.setattr(torch.compiler, "is_exporting", lambda: True)
            found = guided(model, LABELS, NULL, scale, guidance_interval=(20, 60))(x, t)
        torch.testing.assert_close(found, expected)
