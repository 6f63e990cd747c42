"""A module that lacks what a callback asks of it is refused in one line."""

from functools import partial

import pytest

from callbacks import module_protocols
from callbacks.module_protocols import (
    AttentiveModule,
    ClassPredictor,
    Compilable,
    GuidedGenerator,
    ImageClassifier,
    ImageGenerator,
    LatentGenerator,
    Policy,
    StepwiseGenerator,
    TextAnswerer,
    TextWriter,
    ThresholdedGenerator,
    check_module,
)
from lightning_modules.ddpm import DDPM
from lightning_modules.diffusion_policy import DiffusionPolicy
from lightning_modules.gan import GAN
from lightning_modules.language_model import LanguageModel
from lightning_modules.mlp_classifier import MLPClassifier
from lightning_modules.seq2seq import Seq2Seq
from networks.pusht_features import PushTFeatures
from networks.transformer import AnswerDecoder, EncoderDecoder
from networks.unet2d import UNet2D
from tests.lightning_modules.test_gan import TINY

GENERATORS = (ImageGenerator, LatentGenerator, GuidedGenerator, ThresholdedGenerator, StepwiseGenerator)
FIT = {
    GAN: (ImageGenerator, LatentGenerator, Compilable),
    DDPM: (ImageGenerator, GuidedGenerator, ThresholdedGenerator, StepwiseGenerator),
    MLPClassifier: (ImageClassifier, ClassPredictor),
    Seq2Seq: (TextAnswerer, AttentiveModule, Compilable),
    LanguageModel: (TextAnswerer, TextWriter, AttentiveModule, Compilable),
    DiffusionPolicy: (Policy,),
}
SMALL = {
    GAN: lambda: GAN(**TINY),
    DDPM: lambda: DDPM(partial(UNet2D, widths=[64], attention=0), [1, 8, 8], 3),
    MLPClassifier: lambda: MLPClassifier(hidden=[5]),
    Seq2Seq: lambda: Seq2Seq(12, partial(EncoderDecoder, width=8, depth=1, heads=2)),
    LanguageModel: lambda: LanguageModel(12, partial(AnswerDecoder, width=8, depth=1, heads=2)),
    DiffusionPolicy: lambda: DiffusionPolicy(features=PushTFeatures),
}
ALL = [kind for kind in vars(module_protocols).values() if getattr(kind, "_is_protocol", False)]


class Asking:
    """In the place of a callback."""


@pytest.mark.parametrize("kind", FIT, ids=lambda kind: kind.__name__)
def test_modules_fit_what_is_theirs_and_nothing_else(kind):
    module = SMALL[kind]()
    fitting = set()
    for protocol in {*GENERATORS, *(protocol for kinds in FIT.values() for protocol in kinds)}:
        try:
            check_module(Asking(), module, protocol)
            fitting.add(protocol)
        except ValueError:
            pass
    assert fitting == set(FIT[kind])


def test_every_protocol_is_fitted_by_a_module_of_ours():
    assert {protocol for kinds in FIT.values() for protocol in kinds} == {
        protocol for protocol in ALL if protocol.__module__ == module_protocols.__name__
    }


def test_the_line_says_who_asks_for_what_and_what_to_do():
    class Draws:
        def sample(self, labels, generator):
            pass

    check_module(Asking(), Draws(), ImageGenerator)
    line = (
        r"^Asking asks a module for sample\(guidance_scale=\), sample\(thresholding=\), which Draws does not have "
        r"\(callbacks.module_protocols.ThresholdedGenerator\); leave the callback out of trainer.callbacks$"
    )
    with pytest.raises(ValueError, match=line):
        check_module(Asking(), Draws(), ThresholdedGenerator)


def test_any_keyword_is_enough():
    class Draws:
        def sample(self, labels, **options):
            pass

    check_module(Asking(), Draws(), ThresholdedGenerator)
    with pytest.raises(ValueError, match="for latents,"):
        check_module(Asking(), Draws(), LatentGenerator)
