"""What holds of every LightningModule."""

import math

import lightning as L
import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import LambdaCallback
from torch.utils.data import DataLoader

from callbacks.image_prediction_writer import ImagePredictionWriter
from datamodules.class_labels import ClassLabels
from lightning_modules.classifier import Classifier
from tests.lightning_modules.every_module import KINDS, Kind, answers, trainer

EVERY = pytest.mark.parametrize("name", KINDS)
STRUCTURE = {  # must be those of the data
    *("shape", "num_classes", "vocab_size", "observation_shape", "action_dim", "n_obs_steps", "horizon"),
}
ELSEWHERE = {("policy", "n_action_steps"), ("gan", "num_samples"), ("ddpm", "num_samples")}
TEXTS = ("generation_config", "text_metrics")  # tests/lightning_modules/test_sequence_models.py
ELSEWHERE |= {(name, argument) for name in ("seq2seq", "language_model") for argument in TEXTS}


def arguments(kind: type[L.LightningModule]) -> set[str]:
    """Those that the command line takes: of the constructors of a class and, where it hands them on, of its bases."""
    return {name.removeprefix("model.") for name in ArgumentParser().add_class_arguments(kind, "model")}


def structure(module: L.LightningModule) -> list:
    return [(name, tensor.shape) for name, tensor in [*module.named_parameters(), *module.named_buffers()]]


def learned(kind: Kind, **options) -> list[torch.Tensor]:
    """All that an epoch of three batches leaves, and what the module answers then."""
    module, data = kind.made(**options), kind.data(0)
    trainer().fit(module, data)
    state = [value for value in module.state_dict().values() if torch.is_tensor(value)]
    return [*state, *module.buffers(), *answers(module, data)]


def same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


@EVERY
def test_every_argument_changes_something(name):
    """Parameters, what is learned, or what is answered."""
    kind = KINDS[name]
    assert arguments(kind.build) == kind.changes.keys()
    kept = {(): learned(kind)}
    assert same(kept[()], learned(kind)), "the comparison needs runs that repeat"
    without_effect = []
    for argument, change in kind.changes.items():
        value, beside = change if isinstance(change, tuple) else (change, {})
        changed = beside | {argument: value}
        if structure(kind.made(**beside)) != structure(kind.made(**changed)) or (name, argument) in ELSEWHERE:
            continue
        assert argument not in STRUCTURE
        before = kept.setdefault(tuple(beside), learned(kind, **beside) if beside else kept[()])
        if same(before, learned(kind, **changed)):
            without_effect.append(argument)
    assert not without_effect


@pytest.mark.parametrize("old", [False, True], ids=["", "weights without flags and names"])
@EVERY
def test_starting_from_weights_changes_nothing_before_the_first_step(name, old):
    """On other data, too: what was measured on those of the weights stays."""
    kind = KINDS[name]
    taught, data = kind.made(), kind.data(0)
    trainer(max_steps=4).fit(taught, data)
    weights = taught.state_dict()
    if old:
        new = ("measured.known", "whitened.known", "names._extra_state")
        weights = {key: value for key, value in weights.items() if not key.endswith(new)}
    for other in (data, kind.data(1)):
        module = kind.made()
        module.load_state_dict(weights)
        trainer(max_steps=0).fit(module, other)
        assert same(answers(module, data), answers(taught, data))


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
@EVERY
def test_trains_with_clipped_gradients_in_every_precision(name, precision):
    kind = KINDS[name]
    module, data = kind.made(), kind.data(0)
    clipping = {"gradient_clip_val": 0.01}
    if name == "gan":
        with pytest.raises(ValueError, match=r"gradient_clip_val=0\.01.*set the model's generator_clip and"):
            trainer(precision=precision, **clipping).fit(module, data)
        clipping, module = {}, kind.made(generator_clip=0.01, discriminator_clip=0.01)
    before = [p.detach().clone() for p in module.parameters()]
    runner = trainer(precision=precision, **clipping)
    runner.fit(module, data)
    assert all(math.isfinite(value) for value in runner.callback_metrics.values())
    assert any(not torch.equal(p, b.to(p.dtype)) for p, b in zip(module.parameters(), before, strict=True))
    assert {p.dtype for p in module.parameters()} == {torch.bfloat16 if precision == "bf16-true" else torch.float32}
    assert all(torch.isfinite(answer.float()).all() for answer in answers(module, data))


@EVERY
def test_a_training_without_an_end_learns(name):
    kind, rates = KINDS[name], []

    def look(runner, *_):
        rates.append([group["lr"] for optimizer in runner.optimizers for group in optimizer.param_groups])
        runner.should_stop = len(rates) == 5

    module = kind.made()
    trainer(max_epochs=-1, callbacks=[LambdaCallback(on_train_batch_start=look)]).fit(module, kind.data(0))
    assert len(rates) == 5
    assert all(rate > 0 for step in rates for rate in step)
    assert all(now >= before for before, now in zip(rates[0], rates[-1], strict=True))


@EVERY
def test_a_plain_loader_trains_once_statistics_are_known_and_else_says_what_is_missing(name):
    kind = KINDS[name]
    data, module = kind.data(0), kind.made()
    loader = DataLoader(list(data.train_dataloader()), batch_size=None)
    if any(key.endswith("measured.known") for key in module.state_dict()):
        with pytest.raises(ValueError, match="measured on a datamodule"):
            trainer().fit(module, loader)
        trainer(max_steps=0).fit(module, data)
    runner = trainer()
    runner.fit(module, loader)
    assert runner.global_step in (3, 6)


@pytest.mark.parametrize("name", ["mlp", "fast_cnn", "gan", "ddpm"])
def test_class_names_travel_with_the_weights(name, tmp_path):
    kind = KINDS[name]
    module = kind.made()
    assert module.class_names == ("0", "1", "2")
    runner = trainer(max_steps=1)
    runner.fit(module, kind.data(0))
    runner.save_checkpoint(tmp_path / "last.ckpt")
    loaded = kind.made()
    loaded.load_state_dict(torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"])
    assert loaded.class_names == ("cat", "dog", "fox")


@pytest.mark.parametrize("name", ["gan", "ddpm"])
def test_drawn_images_have_the_names_of_the_weights(name, tmp_path):
    """Where the data that were learned from are not at hand, and classes are numbers."""
    kind = KINDS[name]
    module = kind.made(num_samples=3)
    trainer(max_steps=1).fit(module, kind.data(0))
    writer = ImagePredictionWriter()
    trainer(default_root_dir=tmp_path, callbacks=[writer]).predict(module, ClassLabels(["0", "1", "2"], 3))
    assert sorted(path.name for path in (writer.folder / "drawn").glob("0*")) == [
        "00000-cat.png", "00001-dog.png", "00002-fox.png"
    ]  # fmt: skip


@pytest.mark.parametrize("stage", ["fit", "validate", "test", "predict"])
def test_classes_in_another_order_are_refused(stage, tmp_path):
    """Where weights are loaded before the data are known, and after."""
    kind = KINDS["mlp"]
    module, data, other = kind.made(), kind.data(0), kind.data(0)
    runner = trainer(max_steps=1)
    runner.fit(module, data)
    runner.save_checkpoint(tmp_path / "last.ckpt")
    other.class_names = ("dog", "cat", "fox")
    said = "weights know the classes as cat, dog, fox, in this order, and the data as dog, cat, fox"
    with pytest.raises(ValueError, match=said):
        getattr(trainer(), stage)(module, other)
    with pytest.raises(ValueError, match=said):
        getattr(trainer(), stage)(kind.made(), other, ckpt_path=tmp_path / "last.ckpt", weights_only=True)


def test_other_classes_are_learned_and_not_answered():
    kind = KINDS["mlp"]
    module, other = kind.made(), kind.data(0)
    trainer(max_steps=1).fit(module, kind.data(0))
    other.class_names = ("ant", "bee", "fly")
    trainer().test(module, other, verbose=False)
    assert module.class_names == ("cat", "dog", "fox")
    trainer(max_steps=1).fit(module, other)
    assert isinstance(module, Classifier)
    assert module.class_names == ("ant", "bee", "fly")
