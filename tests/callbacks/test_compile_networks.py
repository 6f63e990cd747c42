"""Compiled in place, a network learns the same under the same names."""

import copy

import lightning as L
import pytest
import torch
from torch._dynamo.utils import counters

from callbacks.compile_networks import CompileNetworks, compiled_parts
from callbacks.weight_averaging import EMAWeightAveraging
from tests.lightning_modules.every_module import KINDS, trainer


@pytest.fixture(autouse=True)
def nothing_is_compiled_yet():
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def trained(name: str, *callbacks, **options) -> tuple[L.LightningModule, L.Trainer]:
    module = KINDS[name].made()
    torch.manual_seed(1)
    fit = trainer(callbacks=list(callbacks), limit_train_batches=2, **options)
    fit.fit(module, KINDS[name].data(0))
    return module, fit


def names_of(name: str) -> set[str]:
    module = KINDS[name].made()
    parts = compiled_parts(module)
    return {called for called, part in module.named_modules() if any(part is one for one in parts)}


def test_what_is_compiled():
    assert names_of("mlp") == names_of("ddpm") == names_of("policy") == {"network"}
    assert names_of("seq2seq") == {"network.encoder.blocks.0", "network.decoder.blocks.0"}
    assert names_of("gan") == {"generator"}, "a penalty takes second derivatives"
    gan = KINDS["gan"].made(penalty=0.0)
    assert compiled_parts(gan) == [gan.generator, gan.discriminator]


QUICK = ("mlp", "gan")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in KINDS])
def test_it_learns_the_same_under_the_same_names(name, tmp_path):
    ours, fit = trained(name, CompileNetworks(backend="eager"))
    assert counters["frames"]["ok"] > 0, "nothing was compiled"
    theirs, _ = trained(name)
    for (key, value), (other, expected) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert key == other
        assert torch.allclose(value, expected, rtol=1e-4, atol=1e-5), key
    fit.save_checkpoint(tmp_path / "last.ckpt")
    content = torch.load(tmp_path / "last.ckpt", weights_only=False)
    assert content["state_dict"].keys() == theirs.state_dict().keys()


def test_copies_are_not_compiled():
    """Averages of weights are such."""
    module, _ = trained("mlp", CompileNetworks(backend="eager"), EMAWeightAveraging(decay=0.5))
    assert module.network._compiled_call_impl is not None
    copied = copy.deepcopy(module)
    assert copied.network._compiled_call_impl is None
    assert copied.state_dict().keys() == module.state_dict().keys()


def test_parts_by_name():
    with pytest.raises(ValueError, match=r"GAN has no part 'denoiser'; name some of generator, discriminator"):
        trained("gan", CompileNetworks(["denoiser"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gan", "ddpm"])
def test_by_inductor(name):
    ours, _ = trained(name, CompileNetworks())
    theirs, _ = trained(name)
    for key, value in theirs.state_dict().items():
        assert torch.allclose(ours.state_dict()[key], value, rtol=1e-2, atol=1e-3), key
