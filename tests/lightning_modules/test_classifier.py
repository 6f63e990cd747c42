import subprocess
import sys
from functools import partial
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from callbacks.class_prediction_writer import ClassPredictionWriter
from callbacks.classification_report import ClassificationReport
from datamodules.images import ImageSet
from datamodules.published_images import PublishedImages
from lightning_modules.classifier import Classifier
from lightning_modules.cnn_classifier import CNNClassifier
from lightning_modules.fast_cnn_classifier import FastCNNClassifier
from lightning_modules.mlp_classifier import MLPClassifier
from networks.cnn import WhitenedCNN
from networks.mlp import MLP
from optim.muon_with_sgd import MuonWithSGD
from optim.parameter_groups import no_decay_on_vectors
from optim.progressive_resizing import ProgressiveResizing
from optim.selection_via_proxy import SelectionViaProxy

SHAPE = [2, 5, 4]
TINY = {"shape": SHAPE, "num_classes": 3, "hidden": [16]}


class Own(nn.Module):
    """A network that offers logits and nothing else."""

    def __init__(self, shape, num_classes, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(shape[0], width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x):
        return self.fc(self.layers(x).mean((2, 3)))


OWN = {"network": Own, "shape": SHAPE, "num_classes": 3}


def image_set(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (n, *SHAPE), generator=generator, dtype=torch.uint8)
    return ImageSet(images, torch.randint(3, (n,), generator=generator))


class Noise(PublishedImages):
    """Random images with random labels, in memory."""

    shape = tuple(SHAPE)
    class_names = ("cat", "dog", "fox")

    def __init__(self, n=48, **options):
        super().__init__("memory", **{"batch_size": 16} | options)
        self.train_set, self.val_set, self.test_set = image_set(n), image_set(40, 1), image_set(50, 2)


class Large(Noise):
    shape = (3, 16, 16)

    def __init__(self):
        super().__init__()
        images = torch.randint(256, (24, *self.shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        self.train_set = self.val_set = self.test_set = ImageSet(images, torch.arange(24) % 3)


def trainer(**options):
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return L.Trainer(**quiet | {"accelerator": "cpu", "max_epochs": 1, "num_sanity_val_steps": 0} | options)


def test_learns_a_batch_by_heart():
    torch.manual_seed(0)
    module = MLPClassifier(**TINY | {"hidden": [64]}, lr=1e-2)
    data = Noise(n=16)
    data.val_set = data.train_set
    runner = trainer(max_epochs=100, check_val_every_n_epoch=100)
    runner.fit(module, data)
    assert runner.callback_metrics["val/accuracy"] == 1
    assert runner.callback_metrics["val/loss"] < 0.05


@pytest.mark.parametrize("options", [{}, {"tta_shift": 1}, {"tta_flip": True, "tta_shift": 1}])
def test_metrics_are_those_computed_by_hand(options):
    """Over all images at once, in batches of unequal size."""
    torch.manual_seed(0)
    module, data = MLPClassifier(**TINY, mean=[0.5, 0.4], std=[0.3, 0.2], **options), Noise()
    (test,) = trainer().test(module, data, verbose=False)
    (val,) = trainer().validate(module, data, verbose=False)
    mean, std = torch.tensor([0.5, 0.4])[:, None, None], torch.tensor([0.3, 0.2])[:, None, None]
    for stage, metrics, images in [("test", test, data.test_set), ("val", val, data.val_set)]:
        logits = module.network((images.images / 255 - mean) / std).detach()
        plain = (logits.argmax(1) == images.labels).float().mean()
        if stage == "test":
            assert metrics["test/accuracy_plain"] == pytest.approx(float(plain))
            views = []
            for shift in (0, 1, -1) if "tta_shift" in options else (0,):
                padded = torch.from_numpy(np.pad(images.images.numpy(), [(0, 0)] * 2 + [(1, 1)] * 2, "reflect"))
                moved = padded[..., 1 + shift : 6 + shift, 1 + shift : 5 + shift]
                views += [moved, moved.flip(-1)] if "tta_flip" in options else [moved]
            logits = sum(module.network((view / 255 - mean) / std).detach() for view in views) / len(views)
        assert metrics[f"{stage}/accuracy"] == pytest.approx(float((logits.argmax(1) == images.labels).float().mean()))
        assert metrics[f"{stage}/loss"] == pytest.approx(float(F.cross_entropy(logits, images.labels)), rel=1e-5)


def test_the_training_loss_smooths_labels():
    torch.manual_seed(0)
    module = MLPClassifier(**TINY, label_smoothing=0.3)
    module.log = lambda *args, **options: None
    batch = image_set(8).__getitems__(list(range(8)))
    log_p = module(batch["image"]).log_softmax(1)
    target = F.one_hot(batch["label"], 3) * 0.7 + 0.3 / 3
    torch.testing.assert_close(module.training_step(batch, 0), -(target * log_p).sum(1).mean())


def test_another_loss_is_minimised():
    torch.manual_seed(0)
    module = MLPClassifier(**TINY, loss=torch.nn.MultiMarginLoss(margin=2.0))
    module.log = lambda *args, **options: None
    batch = image_set(8).__getitems__(list(range(8)))
    logits, of_label = module(batch["image"]), F.one_hot(batch["label"], 3).bool()
    errors = (2 - logits[of_label][:, None] + logits).clamp(min=0)[~of_label]
    torch.testing.assert_close(module.training_step(batch, 0), errors.sum() / 3 / 8)
    with pytest.raises(ValueError, match=r"label_smoothing=0\.1 .* set it to 0 beside MultiMarginLoss"):
        MLPClassifier(**TINY, loss=torch.nn.MultiMarginLoss(), label_smoothing=0.1)
    module = MLPClassifier(**TINY, loss=torch.nn.MultiMarginLoss(reduction="none"))
    with pytest.raises(ValueError, match=r"MultiMarginLoss gave a loss of shape \(8,\); give one number"):
        module.training_step(batch, 0)


def test_statistics_are_measured_on_the_training_images_and_kept(tmp_path):
    module, data = MLPClassifier(**TINY), Noise()
    runner = trainer()
    runner.fit(module, data)
    pixels = data.train_set.images.double() / 255
    torch.testing.assert_close(module.mean[:, 0, 0], pixels.mean((0, 2, 3)).float())
    torch.testing.assert_close(module.std[:, 0, 0], pixels.std((0, 2, 3), correction=0).float())
    runner.save_checkpoint(tmp_path / "last.ckpt")
    loaded = MLPClassifier.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True, map_location="cpu").eval()
    images = data.test_set.images
    assert torch.equal(loaded(images), module.eval()(images))


def test_a_checkpoint_opens_in_a_new_process(tmp_path):
    module = MLPClassifier(**TINY)
    runner = trainer(max_steps=1)
    runner.fit(module, Noise())
    runner.save_checkpoint(tmp_path / "last.ckpt")
    code = (
        "import torch\n"
        "from lightning_modules.mlp_classifier import MLPClassifier\n"
        f"module = MLPClassifier.load_from_checkpoint({str(tmp_path / 'last.ckpt')!r}, weights_only=True)\n"
        "print(tuple(module(torch.zeros(3, 2, 5, 4, dtype=torch.uint8)).shape))"
    )
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "(3, 3)", done.stderr


def test_resuming_equals_not_stopping(tmp_path):
    """Weights and optimizer after four epochs, whether or not the last two were resumed, bit for bit.

    Dropout is drawn from the global generator, which a checkpoint does not hold: it is set at each step.
    """

    class Seam(L.Callback):
        def on_train_batch_start(self, trainer, *_):
            torch.manual_seed(trainer.global_step)

    class InOrder(Noise):
        def train_dataloader(self):
            return self.loader(self.train_set)

    def run(folder, ckpt_path=None):
        torch.manual_seed(0)
        adamw = partial(torch.optim.AdamW, weight_decay=0.1)
        module = MLPClassifier(**TINY, dropout=0.2, batch_norm=True, optimizer=adamw)
        keep = ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        options = {"enable_checkpointing": True, "limit_val_batches": 0, "max_epochs": 4}
        trainer(callbacks=[Seam(), keep], **options).fit(module, InOrder(), ckpt_path=ckpt_path)
        return torch.load(folder / "epoch=3.ckpt", weights_only=True)

    whole = run(tmp_path / "whole")
    resumed = run(tmp_path / "resumed", tmp_path / "whole" / "epoch=1.ckpt")
    assert not (tmp_path / "resumed" / "epoch=1.ckpt").exists()
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name
    whole, resumed = (checkpoint["optimizer_states"][0]["state"] for checkpoint in (whole, resumed))
    assert all(torch.equal(whole[number]["exp_avg_sq"], resumed[number]["exp_avg_sq"]) for number in whole)


def test_predictions_are_labels_and_probabilities():
    torch.manual_seed(0)
    module, data = MLPClassifier(**TINY), Noise()
    outputs = trainer().predict(module, data)
    probability = torch.cat([output["probability"] for output in outputs])
    label = torch.cat([output["label"] for output in outputs])
    expected = module.eval()(data.test_set.images).softmax(1)
    torch.testing.assert_close(probability, expected)
    assert torch.equal(label, expected.argmax(1))


def test_the_report_names_classes_and_mistakes(capsys):
    torch.manual_seed(0)
    module, data = MLPClassifier(**TINY), Noise()
    torch.nn.init.zeros_(module.network.layers[-1].weight)
    with torch.no_grad():
        module.network.layers[-1].bias.copy_(torch.tensor([0.0, 1, 0]))  # everything is a dog
    trainer().test(module, data, verbose=False)
    printed = capsys.readouterr().out
    counts = data.test_set.labels.bincount().tolist()
    assert f"accuracy {counts[1] / 50:.2%}, n = 50" in printed
    rows = [line.replace("│", " ").split() for line in printed.splitlines()]
    assert ["dog", str(counts[1]), "100.00%"] in rows
    assert ["cat", str(counts[0]), "0.00%"] in rows
    assert ["fox", "dog", str(counts[2]), "100.00%"] in rows
    assert ["dog", "cat"] not in [row[:2] for row in rows]


def test_weight_matrices_decay_and_the_rest_does_not():
    module = MLPClassifier(**TINY, optimizer=partial(torch.optim.AdamW, weight_decay=0.1), batch_norm=True)
    runner = trainer(max_steps=1)
    runner.fit(module, Noise())
    decayed, kept = runner.optimizers[0].param_groups
    assert [p.ndim for p in decayed["params"]] == [2, 2]
    assert decayed["weight_decay"] == 0.1
    assert {p.ndim for p in kept["params"]} == {1}
    assert kept["weight_decay"] == 0


def test_filters_are_the_first_weights_as_images():
    module = MLPClassifier(**TINY | {"hidden": []}, mean=[0.0, 0.0], std=[1.0, 1.0])
    image = image_set(1).images
    expected = (module.filters() * image / 255).sum((1, 2, 3)) + module.network.layers[-1].bias
    torch.testing.assert_close(module(image)[0], expected)
    assert module.filters().shape == (3, *SHAPE)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: MLPClassifier(**TINY, mean=[0.5]), r"mean=\[0\.5\].*2 channels"),
        (lambda: MLPClassifier(**TINY | {"shape": [5, 4]}), r"shape=\[5, 4\] must be three numbers"),
        (lambda: MLPClassifier(**TINY, tta_shift=4), r"tta_shift=4 must be less than the sides of shape=\[2, 5, 4\]"),
        (
            lambda: Classifier(**OWN, progressive_resizing=ProgressiveResizing(5, 0.5)),
            "size=5 of ProgressiveResizing",
        ),
        (lambda: Classifier(**OWN, selection=SelectionViaProxy(Own, size=5)), "size=5 of SelectionViaProxy is larger"),
        (lambda: Classifier(**OWN).features(image_set(1).images), "the network Own has no features"),
        (lambda: Classifier(**OWN).head, "the network Own has no features"),
        (lambda: MLPClassifier(**TINY)(torch.zeros(1, 2, 5, 4)), "uint8 images of 2 x 5 x 4; got torch.float32"),
        (lambda: MLPClassifier(**TINY)(torch.zeros(1, 1, 28, 28).byte()), "2 x 5 x 4; got .* 1 x 28 x 28"),
        (lambda: trainer().fit(MLPClassifier(**TINY | {"num_classes": 5}), Noise()), "num_classes=5, its data 3"),
        (
            lambda: trainer().fit(MLPClassifier(**TINY), DataLoader(image_set(4))),
            "mean and std .* measured on",
        ),
        (lambda: trainer().fit(MLPClassifier(**TINY | {"shape": [2, 4, 5]}), Noise()), r"shape=\[2, 4, 5\], its data"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_sgd_too():
    sgd = partial(torch.optim.SGD, momentum=0.9, nesterov=True)
    module = MLPClassifier(**TINY, optimizer=sgd, lr=0.1)
    before = {name: value.clone() for name, value in module.named_parameters()}
    trainer(max_steps=2).fit(module, Noise())
    assert all(not torch.equal(value, before[name]) for name, value in module.named_parameters())
    assert isinstance(module, Classifier)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": partial(MuonWithSGD, head=["fc"]), "lr": 0.05},
        {"progressive_resizing": ProgressiveResizing(3, 0.5)},
        {"selection": SelectionViaProxy(partial(Own, width=4), 0.5, 3)},
    ],
    ids=["", "MuonWithSGD", "ProgressiveResizing", "SelectionViaProxy"],
)
def test_anyones_network_trains_validates_tests_and_predicts(options, tmp_path):
    """With the parts of the fast network's training too, and with the callbacks of the configs."""
    torch.manual_seed(0)
    module, data = Classifier(**OWN, **options), Noise()
    before = [p.detach().clone() for p in module.parameters()]
    board = TensorBoardLogger(tmp_path)
    runner = trainer(logger=board, callbacks=[ClassificationReport(), ClassPredictionWriter()], max_epochs=2)
    runner.fit(module, data)
    assert all(not torch.equal(p, b) for p, b in zip(module.parameters(), before, strict=True))
    (metrics,) = runner.test(module, data, verbose=False)
    runner.predict(module, data)
    logits = module.eval()(data.test_set.images)
    assert metrics["test/accuracy"] == pytest.approx(float((logits.argmax(1) == data.test_set.labels).float().mean()))
    assert module.filters() is None
    runner.save_checkpoint(tmp_path / "last.ckpt")
    parts = {name: options[name] for name in ("selection",) if name in options}
    loaded = Classifier.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True, network=Own, **parts)
    assert torch.equal(loaded.eval().cpu()(data.test_set.images), logits)


def test_a_checkpoint_holds_plain_values():
    module = Classifier(**OWN, selection=SelectionViaProxy(Own))
    assert all(value is None or isinstance(value, (int, float, list)) for value in module.hparams.values())


def test_a_network_that_can_be_whitened_is():
    """Anyone's, by the protocol alone; weights that are loaded are not measured again."""
    torch.manual_seed(0)
    data = Large()
    module = Classifier(WhitenedCNN, list(Large.shape), 3, optimizer=MuonWithSGD)
    trainer(max_steps=1).fit(module, data)
    expected = WhitenedCNN(Large.shape, 3)
    expected.whiten(module.normalised(data.train_set.images))
    assert torch.equal(module.network.first_weight, expected.first_weight)
    data.train_set.images = 255 - data.train_set.images
    trainer(max_steps=1).fit(module, data)
    assert torch.equal(module.network.first_weight, expected.first_weight)


def test_a_preset_is_a_classifier_on_its_network():
    torch.manual_seed(0)
    preset = MLPClassifier(**TINY, dropout=0.1)
    torch.manual_seed(0)
    whole = Classifier(partial(MLP, hidden=[16], dropout=0.1), SHAPE, 3)
    for (name, ours), (other, theirs) in zip(preset.state_dict().items(), whole.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(ours, theirs)


def test_every_part_is_named_in_yaml():
    """And what was parsed gives the same again after it was dumped, as a run's config.yaml is."""
    parser = LightningArgumentParser()
    parser.add_lightning_class_args(Classifier, "model", subclass_mode=True)
    text = """
        model:
          class_path: lightning_modules.classifier.Classifier
          init_args:
            network: {class_path: networks.mlp.MLP, init_args: {hidden: [5]}}
            optimizer: {class_path: optim.muon_with_sgd.MuonWithSGD, init_args: {bias_lr: 0.5, head: ["3"]}}
            lr_schedule: {class_path: optim.lr_schedule.WarmupLinear, init_args: {warmup: 0}}
            progressive_resizing:
              {class_path: optim.progressive_resizing.ProgressiveResizing, init_args: {size: 20, share: 0.5}}
            selection:
              class_path: optim.selection_via_proxy.SelectionViaProxy
              init_args: {share: 0.25, size: 14, proxy: {class_path: networks.mlp.MLP, init_args: {hidden: [3]}}}
    """
    config = parser.parse_string(text)
    for parsed in (config, parser.parse_string(parser.dump(config))):
        module = parser.instantiate(parsed).model
        assert [type(net) for net in (module.network, module.proxy)] == [MLP, MLP]
        assert module.network.first_filters().shape == (5, 1, 28, 28)
        assert module.proxy.first_filters().shape == (3, 1, 28, 28)
        assert (module.progressive_resizing.size, module.selection.share) == (20, 0.25)
        assert module.lr_schedule(0, 10) == 1
        optimizer = module.make_optimizer(no_decay_on_vectors(module), 0.1)
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5, 0.005]


@pytest.mark.parametrize("kind", [MLPClassifier, CNNClassifier, FastCNNClassifier])
def test_the_head_reads_the_features(kind):
    torch.manual_seed(0)
    options = {"hidden": [16]} if kind is MLPClassifier else {"widths": [8, 12, 16]}
    module = kind(shape=[3, 32, 32], num_classes=4, mean=[0.5] * 3, std=[0.2] * 3, **options).eval()
    torch.nn.init.normal_(module.head.weight)
    images = torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8)
    features = module.features(images)
    assert features.shape == (5, 16)
    torch.testing.assert_close(module.head(features), module(images))
    with pytest.raises(ValueError, match="takes uint8 images"):
        module.features(images.float())
