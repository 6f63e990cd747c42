"""Each family's functions, in ONNX Runtime, give what the module's own methods give in PyTorch."""

from functools import partial

import numpy as np
import pytest
import torch

from diffusion.noise import randn
from diffusion.noise_schedule import FlowMatchingSchedule
from diffusion.prediction_type import FlowPrediction
from diffusion.samplers import DDPMSampler, HeunSampler
from lightning_modules.ddpm import DDPM
from lightning_modules.diffusion_policy import DiffusionPolicy
from lightning_modules.gan import GAN
from lightning_modules.language_model import LanguageModel
from lightning_modules.seq2seq import Seq2Seq
from lightning_modules.sequence_tagger import SequenceTagger
from networks.chunk_unet import ChunkUNet
from networks.dcgan import Generator
from networks.normalized_features import NormalizedFeatures
from networks.positions import ALiBi, RotaryPositions
from networks.transformer import AnswerDecoder, Encoder, EncoderDecoder
from networks.unet2d import UNet2D
from networks.vocabulary import SEP
from tests.exported import metadata, run, sessions, step_by_step
from tests.lightning_modules.every_module import KINDS, TINY_NETWORK
from tests.networks.test_transformer import ragged


def loud(module):
    """No weight at zero, so that every path carries something."""
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        if parameter.ndim > 1:
            parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    return module.eval()


def ids(*shape):
    return torch.randint(4, 12, shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_a_policy_acts_as_it_does(tmp_path):
    from tests.lightning_modules.test_diffusion_policy import TINY, keypoints

    policy = loud(DiffusionPolicy(**TINY, sampling_steps=2, temperature=0.5))
    (own,) = sessions(policy, tmp_path).values()
    for rows in (1, 3):
        noise = randn((rows, 16, 2), torch.Generator().manual_seed(5))
        expected = policy.act(keypoints(rows), torch.Generator().manual_seed(5)).numpy()
        found = run(own, noise=noise, observation=keypoints(rows))["action"]
        np.testing.assert_allclose(found, expected, atol=1e-3)  # pixels
    assert metadata(own)["input.observation"].startswith("(batch, 2, 18) float32: the last 2 steps, the newest last")
    assert metadata(own)["n_action_steps"] == "8"


@pytest.mark.slow
@torch.no_grad()
def test_a_language_model_reads_in_pieces(tmp_path):
    model = loud(LanguageModel(12, partial(AnswerDecoder, **TINY_NETWORK)))
    own = sessions(model, tmp_path)
    tokens, mask = ids(3, 7), ragged((7, 3, 5), 7)
    tokens[:, 2] = SEP
    expected = model.network(tokens, mask).numpy()
    np.testing.assert_allclose(run(own[""], tokens=tokens, tokens_mask=mask)["logits"], expected, atol=1e-5)
    expected = model.network(tokens).numpy()
    for lengths in ([7], [4, 1, 2]):
        found, past = step_by_step(own["_step"], tokens.numpy(), lengths)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert np.array_equal(past["past_tokens"], tokens.numpy())


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("positions", [RotaryPositions, ALiBi])
def test_other_positions(positions, tmp_path):
    model = loud(LanguageModel(12, partial(AnswerDecoder, **TINY_NETWORK, positions=positions)))
    own, tokens = sessions(model, tmp_path), ids(2, 6)
    expected = model.network(tokens).numpy()
    found, _ = step_by_step(own["_step"], tokens.numpy(), [3, 1, 2])
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
@torch.no_grad()
def test_an_encoder(tmp_path):
    model = loud(SequenceTagger(12, partial(Encoder, **TINY_NETWORK)))
    (own,) = sessions(model, tmp_path).values()
    tokens, mask = ids(3, 5), ragged((5, 1, 4), 5)
    found = run(own, tokens=tokens, tokens_mask=mask)["logits"]
    np.testing.assert_allclose(found[mask], model.network(tokens, mask).numpy()[mask], atol=1e-5)


@pytest.mark.slow
@torch.no_grad()
def test_an_encoder_decoder(tmp_path):
    model = loud(Seq2Seq(12, partial(EncoderDecoder, **TINY_NETWORK)))
    own = sessions(model, tmp_path)
    source, mask, target = ids(3, 5), ragged((5, 1, 4), 5), ids(3, 6)
    expected = model.network(source, target, mask).numpy()
    read = {"source": source, "source_mask": mask}
    whole = run(own[""], **read, target=target, target_mask=torch.ones_like(target, dtype=torch.bool))["logits"]
    np.testing.assert_allclose(whole, expected, atol=1e-5)
    memory = run(own["_encode"], **read)["memory"]
    found, _ = step_by_step(own["_step"], target.numpy(), [1, 4, 1], memory=memory, source_mask=mask)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("class_conditional", [True, False])
def test_a_gan_draws_as_it_does(class_conditional, tmp_path):
    kind = KINDS["gan"]
    model = loud(kind.made(class_conditional=class_conditional, generator=partial(Generator, latent=8, width=4)))
    assert isinstance(model, GAN)
    (own,) = sessions(model, tmp_path).values()
    for rows in (1, 5):
        latents, labels = torch.randn(rows, 8), torch.arange(rows) % 3
        found = run(own, latents=latents, **({"labels": labels} if class_conditional else {}))["image"]
        expected = model.sample(labels, latents=latents).numpy()
        assert np.abs(found.astype(int) - expected).max() <= 1


FLOW = {"noise_schedule": FlowMatchingSchedule(), "prediction_type": FlowPrediction(), "sampler": HeunSampler()}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"guidance_interval": (100, 800)}, {"guidance_scale": 0.0}, FLOW])
def test_a_ddpm_draws_as_it_does(options, tmp_path):
    network = partial(UNet2D, widths=[64], attention=1)
    model = loud(DDPM(network, [1, 8, 8], 3, sampling_steps=4, **options))
    (own,) = sessions(model, tmp_path).values()
    for rows in (1, 3):
        labels = torch.arange(rows) % 3
        noise = randn((rows, 1, 8, 8), torch.Generator().manual_seed(5))
        expected = model.sample(labels, generator=torch.Generator().manual_seed(5)).numpy()
        found = run(own, noise=noise, labels=labels)["image"]
        assert expected.std() > 10
        assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.slow
def test_a_sampler_that_draws_noise_is_refused(tmp_path):
    model = DDPM(partial(UNet2D, widths=[64], attention=0), [1, 8, 8], 3, sampling_steps=2, sampler=DDPMSampler())
    with pytest.raises(ValueError, match="DDPM draws random numbers on its way"):
        sessions(model, tmp_path)


class Mean(torch.nn.Module):
    dim = 3

    def __init__(self, shape):
        super().__init__()

    def forward(self, images):
        return images.float().mean((2, 3))


@pytest.mark.slow
@torch.no_grad()
def test_a_policy_of_numbers_and_images_by_key(tmp_path):
    policy = loud(
        DiffusionPolicy(
            partial(ChunkUNet, widths=(8, 16)),
            partial(NormalizedFeatures, image_encoder=Mean),
            {"camera": [3, 4, 4], "joints": [5]},
            action_dim=2,
            horizon=4,
            n_action_steps=2,
            sampling_steps=2,
        )
    )
    (own,) = sessions(policy, tmp_path).values()
    seen = {"camera": torch.randint(256, (3, 2, 3, 4, 4), dtype=torch.uint8), "joints": torch.randn(3, 2, 5)}
    expected = policy.act(seen, torch.Generator().manual_seed(5)).numpy()
    found = run(own, noise=randn((3, 4, 2), torch.Generator().manual_seed(5)), **seen)["action"]
    np.testing.assert_allclose(found, expected, atol=1e-4)
