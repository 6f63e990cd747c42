import json
import math

import numpy as np
import pytest

from numpy_core import (
    SGD,
    AdamW,
    Dropout,
    Flatten,
    Linear,
    Sequential,
    Trainer,
    constant,
    cosine,
    evaluate,
    predict,
    small_cnn,
    softmax_cross_entropy,
    storage,
    two_layer_mlp,
)

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((50, 1, 6, 6)).astype(np.float32), RNG.integers(0, 3, 50)
X_VAL, Y_VAL = RNG.standard_normal((20, 1, 6, 6)).astype(np.float32), RNG.integers(0, 3, 20)


def jitter(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return x + rng.normal(0, 0.1, x.shape).astype(x.dtype)


def new_trainer(seed: int = 0, bits=np.random.PCG64, **options) -> Trainer:
    """With all that has a memory: momentum, running statistics, and two generators."""
    rng = np.random.Generator(bits(seed))
    model = small_cnn((1, 6, 6), 3, np.random.default_rng(seed + 100), (4, 5), dropout=0.3)
    optimizer = AdamW(model.parameters().values())
    return Trainer(model, optimizer, cosine(3e-3, 35, warmup=3), rng, augment=jitter, max_norm=1.0, **options)


def assert_same(first: Trainer, second: Trainer) -> None:
    """To the last bit."""
    for one, two in [
        (first.model.state(), second.model.state()),
        (first.optimizer.state(), second.optimizer.state()),
    ]:
        assert one.keys() == two.keys()
        for name, array in one.items():
            np.testing.assert_array_equal(array, two[name], err_msg=name)
    assert first.history == second.history
    assert first.rng.bit_generator.state["state"] == second.rng.bit_generator.state["state"]


def test_resume_is_exact(tmp_path):
    """Five epochs in one go, and two, then three more by new objects that start from other weights."""
    path = tmp_path / "checkpoint.npz"
    whole = new_trainer()
    whole.fit((X, Y), (X_VAL, Y_VAL), epochs=5, batch_size=8)
    new_trainer().fit((X, Y), (X_VAL, Y_VAL), epochs=2, batch_size=8, checkpoint=path)
    resumed = new_trainer(seed=1)
    resumed.load(path)
    assert len(resumed.history) == 2
    resumed.fit((X, Y), (X_VAL, Y_VAL), epochs=5, batch_size=8)
    assert_same(whole, resumed)
    assert [entry["epoch"] for entry in resumed.history] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM])
def test_any_generator_can_be_saved(bits, tmp_path):
    first, second = new_trainer(0, bits), new_trainer(1, bits)
    first.rng.random(7)
    first.save(tmp_path / "checkpoint.npz")
    second.load(tmp_path / "checkpoint.npz")
    np.testing.assert_array_equal(first.rng.random(1000), second.rng.random(1000))


def test_a_seed_decides_everything():
    first, second, third = new_trainer(0), new_trainer(0), new_trainer(1)
    for trainer in (first, second, third):
        trainer.fit((X, Y), (X_VAL, Y_VAL), epochs=1, batch_size=8)
    assert_same(first, second)
    assert first.history != third.history


def test_a_crash_while_saving_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.npz"
    trainer = new_trainer()
    trainer.fit((X, Y), (X_VAL, Y_VAL), epochs=1, batch_size=8, checkpoint=path)

    def crash(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", crash)
    with pytest.raises(OSError, match="no space left"):
        trainer.fit((X, Y), (X_VAL, Y_VAL), epochs=2, batch_size=8, checkpoint=path)
    resumed = new_trainer(seed=1)
    resumed.load(path)
    assert len(resumed.history) == 1


def test_a_torn_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.npz"
    new_trainer().save(path)
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"checkpoint\.npz is not a whole \.npz file"):
            new_trainer().load(path)


def test_checkpoints_that_do_not_fit(tmp_path):
    path = tmp_path / "checkpoint.npz"
    storage.save(path, {"a": np.zeros(3)})
    with pytest.raises(ValueError, match=r"is no checkpoint of a Trainer: it holds \['a'\]"):
        new_trainer().load(path)

    new_trainer().save(path)
    wider = small_cnn((1, 6, 6), 3, np.random.default_rng(0), (4, 6), dropout=0.3)
    trainer = Trainer(wider, AdamW(wider.parameters().values()), constant(0.1), np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"weight in the state is float32 of shape \(5, 4, 3, 3\).*\(6, 4, 3, 3\)"):
        trainer.load(path)

    model = new_trainer().model
    trainer = Trainer(model, SGD(model.parameters().values(), 0.1), constant(0.1), np.random.default_rng(0))
    with pytest.raises(ValueError, match="does not fit this SGD over 8 parameters"):
        trainer.load(path)

    trainer = new_trainer()
    trainer.model.layers[-2] = Dropout(0.3, trainer.rng)
    with pytest.raises(ValueError, match="has 2 random generators; this trainer has 1"):
        trainer.load(path)


def regression(rng: np.random.Generator) -> Sequential:
    return Sequential(Flatten(), Linear(36, 3, rng))


def test_batches_are_shuffled_by_the_generator():
    """Every example once in each epoch, in an order of its own, which the seed decides."""

    class Watched(Trainer):
        def step(self, x, y):
            self.seen.append(x[:, 0, 0, 0])
            return super().step(x, y)

    orders = []
    for seed in (0, 0, 1):
        model = regression(np.random.default_rng(0))
        trainer = Watched(model, SGD(model.parameters().values(), 0.1), constant(0.1), np.random.default_rng(seed))
        for epochs in (1, 2):
            trainer.seen = []
            trainer.fit((X, Y), (X_VAL, Y_VAL), epochs, batch_size=8)
            assert [len(batch) for batch in trainer.seen] == [8] * 6 + [2]
            orders.append(np.concatenate(trainer.seen))
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.sort(X[:, 0, 0, 0]))
    assert (orders[0] != orders[1]).any()
    assert (orders[0] != orders[4]).any()
    np.testing.assert_array_equal(orders[:2], orders[2:4])


def test_history_by_hand():
    """With a learning rate of 0, an epoch's figures are those of the whole set, also with a shorter last batch."""
    model = regression(np.random.default_rng(0))
    trainer = Trainer(model, SGD(model.parameters().values(), 0.1), constant(0.0), np.random.default_rng(0))
    told = []
    (entry,) = trainer.fit((X, Y), (X_VAL, Y_VAL), 1, batch_size=8, on_epoch=told.append)
    assert told == [entry]
    logits, val_logits = model(X), model(X_VAL)
    assert entry == pytest.approx(
        {
            "epoch": 1,
            "lr": 0.0,
            "train_loss": softmax_cross_entropy(logits, Y)[0],
            "train_accuracy": np.mean(logits.argmax(1) == Y),
            "val_loss": softmax_cross_entropy(val_logits, Y_VAL)[0],
            "val_accuracy": np.mean(val_logits.argmax(1) == Y_VAL),
        },
        rel=1e-5,
    )
    assert json.loads(json.dumps(entry)) == entry, "plain numbers"


def test_the_schedule_is_asked_at_every_step():
    model, asked = regression(np.random.default_rng(0)), []
    schedule = lambda step: asked.append(step) or 0.1 / (step + 1)  # noqa: E731
    trainer = Trainer(model, SGD(model.parameters().values(), 5.0), schedule, np.random.default_rng(0))
    trainer.fit((X, Y), (X_VAL, Y_VAL), epochs=2, batch_size=8)
    assert asked == list(range(14))
    assert [entry["lr"] for entry in trainer.history] == [0.1 / 7, 0.1 / 14]


def test_clips_to_the_given_norm():
    """One step of plain SGD with rate 1 moves the weights by the clipped gradient."""
    model = regression(np.random.default_rng(0))
    before = model.state()
    trainer = Trainer(
        model, SGD(model.parameters().values(), 1.0), constant(1.0), np.random.default_rng(0), max_norm=1e-2
    )
    trainer.step(X, Y)
    moved = [array - before[name] for name, array in model.state().items()]
    assert math.sqrt(sum(np.square(step).sum() for step in moved)) == pytest.approx(1e-2, rel=1e-3)


@pytest.mark.parametrize("training", [True, False])
def test_predict_leaves_the_mode(training):
    rng = np.random.default_rng(0)
    model = two_layer_mlp(36, 8, 3, rng, dropout=0.5).train(training)
    logits = predict(model, X, batch_size=7)
    assert all(module.training == training for module in model.modules())
    np.testing.assert_allclose(logits, model.eval()(X), rtol=1e-5, atol=1e-6)
    loss, accuracy = evaluate(model, X, Y, batch_size=11)
    assert loss == pytest.approx(softmax_cross_entropy(logits, Y)[0], rel=1e-5)
    assert accuracy == np.mean(logits.argmax(1) == Y)


def modes(model) -> list[bool]:
    return [module.training for module in model.modules()]


def test_frozen_layers_stay_frozen():
    """Through training, evaluation and prediction, also one that fails: as fine-tuning needs it."""
    trainer = new_trainer()
    frozen = trainer.model.layers[2].eval()
    before, mean = modes(trainer.model), frozen.running_mean.copy()
    trainer.fit((X, Y), (X_VAL, Y_VAL), epochs=2, batch_size=8)
    assert modes(trainer.model) == before
    assert (frozen.running_mean == mean).all()
    evaluate(trainer.model, X, Y)
    with pytest.raises(ValueError, match="dtype"):
        predict(trainer.model, X.astype(int))
    assert modes(trainer.model) == before


def test_a_model_in_use_is_trained_all_the_same():
    trainer = new_trainer()
    trainer.model.eval()
    trainer.fit((X, Y), (X_VAL, Y_VAL), epochs=1, batch_size=8)
    assert all(modes(trainer.model))


def test_a_loss_that_is_not_finite_stops():
    x = X.copy()
    x[3] = np.nan
    trainer = new_trainer()
    with pytest.raises(ValueError, match="the loss is nan at step 0; lower the learning rate or check x"):
        trainer.step(x, Y)
