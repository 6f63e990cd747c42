"""Sets on a device against the same sets on the CPU; "meta" stands for a GPU where no value is looked at."""

from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch import nn

from callbacks.resume.data_loader_state import DataLoaderState
from callbacks.resume.random_state import RandomState
from datamodules.device_resident import ResidentDataModule, index_on
from datamodules.episodes import Episodes
from datamodules.image_files import ImageFiles
from datamodules.images import ImageSet
from datamodules.mnist import MNIST
from datamodules.pairs import EpochPairs, Pairs
from datamodules.pig_latin import PigLatin
from datamodules.published_images import PublishedImages
from datamodules.pusht import PushTDemos
from datamodules.sorting import Sorting
from datamodules.windows import Windows
from tests.datamodules.one_device import copies

META = torch.device("meta")
GPU = torch.device("cuda", 0)


def image_set(n=10):
    pixels = torch.randint(256, (n, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return ImageSet(pixels, torch.arange(n) % 3)


def pairs(first=4):
    return Pairs.from_lists([[first], [6, 7, 8, 9], [4, 4], [5]], [[5, 5], [6], [7], [8, 9]])


def windows():
    steps = torch.arange(9.0)
    episodes = torch.tensor([0, 5]), torch.tensor([5, 9])
    demos = Episodes(steps[:, None].repeat(1, 18), steps[:, None].repeat(1, 2), *episodes)
    return Windows(demos, torch.arange(2), n_obs_steps=2, horizon=3, pad_after=2)


SETS = {
    "images": image_set,
    "own images": lambda: ImageFiles(["a", "b", "c"], torch.zeros(3, 1, 4, 4, dtype=torch.uint8)),
    "pairs": pairs,
    "pairs of an epoch": lambda: EpochPairs(lambda epoch: pairs(), lambda: 0, 4),
    "windows": windows,
}
every_set = pytest.mark.parametrize("make", SETS.values(), ids=SETS)


@every_set
def test_a_batch_is_made_where_the_set_is_and_only_its_indices_go_there(make):
    rows = make()
    moved = rows.to(META)
    moved.__getitems__([0])  # an epoch's pairs are moved when they are first read
    with copies() as noted:
        batch = moved.__getitems__([2, 0])
    assert noted == ["aten._to_copy.default (2,)"]
    expected = rows.__getitems__([2, 0])
    assert list(batch) == list(expected)
    for name, values in expected.items():
        if isinstance(values, torch.Tensor):
            assert (batch[name].shape, batch[name].dtype) == (values.shape, values.dtype)
            assert (batch[name].device, values.device.type) == (META, "cpu")
        else:
            assert batch[name] == values
    assert len(moved) == len(rows)


def test_indices_go_to_a_gpu_from_pinned_memory(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda index: calls.append("pinned") or index)
    monkeypatch.setattr(torch.Tensor, "to", lambda index, *args, **options: calls.append((args, options)) or index)
    assert index_on(GPU, range(2)).equal(torch.arange(2))
    assert calls == ["pinned", ((GPU,), {"non_blocking": True})]


def test_the_memory_that_a_set_takes():
    assert image_set().nbytes == 10 * 60 + 10 * 8
    assert pairs().nbytes == EpochPairs(lambda epoch: pairs(), lambda: 0, 4).nbytes == 4 * 4 * 8 + 4 * 2 * 8
    assert windows().nbytes == 9 * 20 * 4 + 9 * 3 * 8


class Images(PublishedImages):
    shape = (3, 4, 5)
    class_names = ("a", "b", "c")

    def __init__(self, **options):
        super().__init__("nowhere", **{"batch_size": 4} | options)

    def setup(self, stage=None):
        self.train_set = self.val_set = self.test_set = image_set()


def on(device: torch.device, data):
    """The datamodule in the hands of a trainer on that device."""
    data.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=device), overfit_batches=0, current_epoch=0)
    data.setup("fit")
    return data


@pytest.fixture
def memory(monkeypatch):
    """Says how much of the GPU's memory is free, and keeps sets from really going there."""

    def free(count):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: {GPU: (count, 10 * count)}[device])

    monkeypatch.setattr(ImageSet, "to", lambda rows, device: (rows, device))
    return free


@pytest.mark.parametrize(
    ("on_device", "free", "resident"),
    [
        ("auto", 4 * 680, True),
        ("auto", 4 * 680 - 1, False),
        ("auto", 0, False),
        (True, 0, True),
        (False, 10**12, False),
    ],
)
def test_a_set_takes_at_most_a_quarter_of_what_is_free_and_else_is_pinned(on_device, free, resident, memory):
    memory(free)
    data = on(GPU, Images(on_device=on_device))
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert loader.dataset == ((data.train_set, GPU) if resident else data.train_set)
        assert loader.pin_memory is not resident


def test_pairs_of_an_epoch_are_measured_as_the_others(memory):
    data = on(GPU, Sorting(max_length=8, train_size=20, batch_size=8, val_size=4, test_size=4))
    memory(4 * 20 * 8 * 2 * 8)
    assert not data.train_dataloader().pin_memory
    memory(4 * 20 * 8 * 2 * 8 - 1)
    assert data.train_dataloader().pin_memory


def test_without_a_gpu_nothing_is_moved_or_pinned(monkeypatch):
    monkeypatch.setattr(ImageSet, "to", lambda rows, device: pytest.fail("moved"))
    alone = Images()
    alone.setup()
    for data in (alone, on(torch.device("cpu"), Images()), on(torch.device("cpu"), Images(on_device=True))):
        loader = data.train_dataloader()
        assert loader.dataset is data.train_set
        assert not loader.pin_memory


def test_of_other_devices_memory_nothing_is_known():
    assert on(META, Images()).train_dataloader().dataset.images.device.type == "cpu"
    assert on(META, Images(on_device=True)).train_dataloader().dataset.images.device == META


def test_no_room_is_said_in_one_line(monkeypatch):
    def full(rows, device):
        raise torch.OutOfMemoryError("CUDA out of memory, in many\nlines")

    monkeypatch.setattr(ImageSet, "to", full)
    with pytest.raises(
        ValueError, match=r"^on_device=True: a set of 0\.0 GB finds no room on cuda:0; take false.*CPU$"
    ):
        on(GPU, Images(on_device=True)).train_dataloader()


@pytest.mark.parametrize("value", ["yes", None, 1, 0.5])
@pytest.mark.parametrize("data", [MNIST, Sorting, PigLatin, PushTDemos])
def test_another_word_is_named(data, value):
    with pytest.raises(ValueError, match=f"on_device={value!r} is unknown; use true .* false .* or auto"):
        data(on_device=value)


class Reads(L.LightningModule):
    """Notes what each step sees."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(1, 1), []

    def training_step(self, batch, batch_idx):
        self.seen.append({name: values.tolist() for name, values in batch.items()})
        return self.layer(torch.ones(1, 1)).mean()

    def validation_step(self, batch, batch_idx):
        self.seen.append({name: values.tolist() for name, values in batch.items()})

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def read(data, resume=None, **options):
    L.seed_everything(0 if resume is None else 1, verbose=False)
    quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"], False)
    callbacks = [RandomState(), DataLoaderState()]
    trainer = L.Trainer(accelerator="cpu", callbacks=callbacks, max_epochs=2, num_sanity_val_steps=0, **quiet | options)
    module = Reads()
    trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    return module.seen, trainer


@pytest.mark.parametrize(
    "make", [Images, lambda: Sorting(max_length=8, train_size=20, batch_size=8, val_size=4, test_size=4)]
)
def test_batches_order_and_resuming_are_the_same_for_a_set_that_was_moved(make, monkeypatch, tmp_path):
    """Both ways, from each side of the interruption to the other."""
    expected, _ = read(make())

    def moved(data, rows, device):
        return rows.to(device)

    for first, second in [(True, False), (False, True), (True, True)]:
        with monkeypatch.context() as patch:
            if first:
                patch.setattr(ResidentDataModule, "_placed", moved)
            begun, trainer = read(make(), max_steps=3)
            trainer.save_checkpoint(tmp_path / "last.ckpt")
        with monkeypatch.context() as patch:
            if second:
                patch.setattr(ResidentDataModule, "_placed", moved)
            rest, _ = read(make(), tmp_path / "last.ckpt")
        assert min(len(begun), len(rest)) > 1
        assert begun + rest == expected


def test_of_several_processes_one_reads_first_and_sets_nothing():
    made = []

    class Made(Images):
        def setup(self, stage=None):
            made.append(stage)
            super().setup(stage)

    data = Made()
    for trainer in (None, SimpleNamespace(num_devices=1, state=SimpleNamespace(fn="fit"))):
        data.trainer = trainer
        data.prepare_data()
        assert not made
    data.trainer = SimpleNamespace(num_devices=2, state=SimpleNamespace(fn="fit"))
    before = dict(vars(data))
    data.prepare_data()
    assert made == ["fit"]
    assert vars(data) == before
    own = Made(images="folder")
    own.trainer = data.trainer
    own.prepare_data()
    assert made == ["fit"]
