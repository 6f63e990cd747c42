import lightning as L
import pytest
import torch

from datamodules.pig_latin import PigLatin
from datamodules.sorting import Sorting, draw
from networks.vocabulary import PAD, SPECIAL


def rows(batch, name) -> list[list[int]]:
    return [row[mask].tolist() for row, mask in zip(batch[name], batch[f"{name}_mask"], strict=True)]


@pytest.fixture
def data() -> Sorting:
    data = Sorting(max_length=64, train_size=200, val_size=50, test_size=100, batch_size=64, test_long=True)
    data.setup()
    return data


def test_targets_are_what_python_sorts(data):
    loaders = [data.train_dataloader(), data.val_dataloader(), *data.test_dataloader()]
    for loader in loaders:
        for batch in loader:
            assert rows(batch, "target") == [sorted(row) for row in rows(batch, "source")]
            for name in ("source", "target"):
                assert batch[name].dtype == torch.long
                assert torch.equal(batch[f"{name}_mask"], batch[name] != PAD)
                assert batch[f"{name}_mask"].any(0).all(), "a column of padding alone"


def test_numbers_and_lengths_cover_their_ranges():
    source, _ = draw(20_000, 2, 32, seed=0)
    lengths = (source != PAD).sum(1)
    assert lengths.unique().tolist() == list(range(2, 33))
    assert source[source != PAD].unique().tolist() == list(range(SPECIAL, SPECIAL + 100))
    # 31 lengths, 20,000 draws: each about 645 times, within five standard deviations of 25
    assert (lengths.bincount()[2:] - 20_000 / 31).abs().max() < 125
    assert any(len(set(row)) < len(row) for row in source[lengths == 32].tolist())


def test_crowded_lists_hold_a_number_often():
    """As often as long lists do, and as near to its neighbours; the others are drawn as without them."""
    usual, _ = draw(2_000, 2, 32, seed=0)
    crowded, target = draw(2_000, 2, 32, seed=0, crowded_share=0.5)
    same = (usual == crowded).all(1)
    assert 0.45 < same.float().mean() < 0.6
    assert torch.equal((usual != PAD).sum(1), (crowded != PAD).sum(1))
    assert [row[row != PAD].tolist() for row in target] == [sorted(row[row != PAD].tolist()) for row in crowded]

    def most(source):
        return torch.tensor([max(row.count(number) for number in set(row) - {PAD}) for row in source.tolist()])

    assert (most(crowded) >= 6).float().mean() > 0.05 > 0.01 > (most(usual) >= 6).float().mean()
    everything, _ = draw(20_000, 32, 32, seed=0, crowded_share=1.0)
    assert everything.unique().tolist() == list(range(SPECIAL, SPECIAL + 100))


def test_every_epoch_is_another_one_and_each_is_the_same_again(data):
    again = Sorting(max_length=64, train_size=200, batch_size=64)
    first, second = data.train_pairs(0), data.train_pairs(1)
    assert torch.equal(first.source, again.train_pairs(0).source)
    assert not torch.equal(first.source, second.source)
    assert not torch.equal(first.source, Sorting(max_length=64, train_size=200, seed=7).train_pairs(0).source)


def test_long_lists_of_training_are_in_no_other_set(data):
    train = {tuple(row) for epoch in range(5) for row in data.train_pairs(epoch).source.tolist() if row[8] != PAD}
    for pairs in [data.val_pairs, *data.test_pairs]:
        assert not train & {tuple(row) for row in pairs.source.tolist()}


def test_the_test_set_is_the_same_everywhere():
    data = Sorting()
    data.setup()
    source = data.test_pairs[0].source
    assert source.shape == (10_000, 32)
    shortest = min((row[row != PAD].tolist() for row in source[:20]), key=len)
    assert [number - SPECIAL for number in shortest] == [96, 31, 78]
    assert int(source.sum()) == 9045580


def test_the_second_test_set_is_longer():
    data = Sorting(max_length=32, test_size=500, test_long=True)
    data.setup()
    assert data.test_names == ["exact_match", "exact_match_long"]
    assert data.test_pairs[0].source_lengths.max() <= 32
    assert data.test_pairs[1].source_lengths.unique().tolist() == list(range(33, 65))
    assert Sorting().test_names == ["exact_match"]


@pytest.mark.parametrize("given", [{"numbers": [5, 3, 9]}, {"text": "5 3 9"}, {"text": "5, 3,9"}])
def test_a_user_may_give_numbers(given):
    (batch,) = Sorting(**given).predict_dataloader()
    assert rows(batch, "source") == [[9, 7, 13]]
    assert rows(batch, "target") == [[7, 9, 13]]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"min_length": 1}, "min_length=1"),
        ({"max_length": 65}, "max_length=65"),
        ({"min_length": 9, "max_length": 8}, "min_length=9 and max_length=8"),
        ({"numbers": [3, 100]}, "got 100"),
        ({"text": "3 -1"}, "got -1"),
        ({"text": "3 x"}, "got x"),
        ({"numbers": []}, "got 0"),
        ({"text": "  "}, "got 0"),
        ({"numbers": list(range(65))}, "got 65"),
    ],
)
def test_bad_input_is_named(given, words):
    with pytest.raises(ValueError, match=words):
        Sorting(**given)


def test_nothing_to_sort_is_said():
    with pytest.raises(ValueError, match=r"--data\.numbers"):
        Sorting().predict_dataloader()


class Reader(L.LightningModule):
    """Keeps what it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[list] = []

    def on_train_epoch_start(self):
        self.seen.append([])

    def training_step(self, batch, batch_idx):
        self.seen[-1] += rows(batch, "source")
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("data", [Sorting(train_size=24, batch_size=8), PigLatin(train_size=24, batch_size=8)])
def test_a_trainer_sees_another_epoch_each_time(data, tmp_path):
    def fit(epochs: int, checkpoint: str | None = None) -> Reader:
        reader = Reader()
        trainer = L.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            limit_val_batches=0,
        )
        trainer.fit(reader, data, ckpt_path=checkpoint)
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        return reader

    data.setup()
    expected = [[row[row != PAD].tolist() for row in data.train_pairs(epoch).source] for epoch in range(3)]
    assert fit(2).seen == expected[:2]
    assert fit(3, str(tmp_path / "last.ckpt")).seen == expected[2:], "a resumed run does not go on with the next epoch"


def test_lengths_are_tested_one_by_one():
    data = Sorting(max_length=8, val_size=4, test_size=30, test_long=True, test_lengths=[160, 5])
    data.setup()
    assert data.test_names == ["exact_match", "exact_match_long", "exact_match_160", "exact_match_5"]
    lengths = [set(pairs.source_lengths.tolist()) for pairs in data.test_pairs]
    assert lengths[2:] == [{160}, {5}]
    assert lengths[1] <= set(range(33, 65))
    alone = Sorting(max_length=8, val_size=4, test_size=30, test_lengths=[5])
    alone.setup()
    assert torch.equal(alone.test_pairs[1].source, data.test_pairs[3].source), "the same lists beside others"
    for wrong in ([0], [161], [5, 5], [2.5]):
        with pytest.raises(ValueError, match="test_lengths="):
            Sorting(test_lengths=wrong)
