import copy
from functools import partial

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn, optim
from torch.utils.data import DataLoader

from lightning_modules.language_model import LanguageModel
from networks.transformer import AnswerDecoder, EncoderDecoder
from optim.muon import MuonWithAdamW
from optim.parameter_groups import no_decay_on_vectors

SIZE = {"width": 16, "depth": 2, "heads": 2, "max_length": 32}
LR, BETAS, DECAY = 0.02, (0.9, 0.98), 0.1


def network() -> EncoderDecoder:
    torch.manual_seed(0)
    return EncoderDecoder(12, **SIZE)


def batches(count: int = 3) -> list[dict[str, torch.Tensor]]:
    """Sequences that are their own targets."""
    sources = torch.randint(4, 12, (count, 8, 5), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(8, 5, dtype=torch.bool)
    return [{"source": x, "source_mask": mask, "target": x, "target_mask": mask} for x in sources]


def muon(net: nn.Module) -> MuonWithAdamW:
    return MuonWithAdamW(no_decay_on_vectors(net), LR, betas=BETAS, weight_decay=DECAY)


def steps(net: nn.Module, optimizers: list, count: int, first: int = 0, after=lambda: None) -> None:
    for step in range(first, first + count):
        tokens = torch.randint(4, 12, (4, 6), generator=torch.Generator().manual_seed(step))
        net.zero_grad()
        net(tokens, tokens.flip(1)).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
        after()


def same(net: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


def test_hidden_matrices_follow_torchs_muon_and_all_others_adamw_without_decay():
    ours, theirs = network(), network()
    hidden = [p for name, p in theirs.named_parameters() if "blocks" in name and p.ndim == 2]
    others = [p for name, p in theirs.named_parameters() if "blocks" not in name or p.ndim != 2]
    assert len(hidden) == 2 * 4 + 2 * 7
    parts = [
        optim.Muon(hidden, lr=LR, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"),
        optim.AdamW(others, lr=LR, betas=BETAS, weight_decay=0.0),
    ]
    steps(theirs, parts, 5)
    steps(ours, [muon(ours)], 5)
    assert same(ours, theirs)
    assert not same(ours, network())


def test_a_step_is_the_papers_in_closed_form():
    """Two steps of a tall matrix. Newton-Schulz changes singular values alone: five times s -> a s + b s^3 + c s^5.

    torch computes it in bfloat16, on which all releases agree to its 8 bits.
    """
    torch.manual_seed(0)
    net = nn.Linear(12, 30, bias=False)
    expected, momentum = net.weight.detach().double(), torch.zeros(30, 12, dtype=torch.float64)
    optimizer = MuonWithAdamW(no_decay_on_vectors(net), LR, weight_decay=DECAY)
    for _ in range(2):
        gradient = torch.randn(30, 12)
        net.weight.grad = gradient.clone()
        optimizer.step()
        momentum = 0.95 * momentum + 0.05 * gradient
        left, values, right = torch.linalg.svd(0.05 * gradient + 0.95 * momentum, full_matrices=False)
        values = values / values.norm()
        for _ in range(5):
            values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
        update = 0.2 * 30**0.5 * (left * values) @ right
        expected = (1 - LR * DECAY) * expected - LR * update
    assert (net.weight - expected).norm() < 0.05 * LR * update.norm()  # torch iterates in bfloat16


def test_a_schedule_and_the_state_reach_both_parts():
    def started(net):
        optimizer = muon(net)
        return optimizer, optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)

    whole = network()
    optimizer, schedule = started(whole)
    steps(whole, [optimizer], 2, after=schedule.step)
    assert [group["lr"] for part in optimizer.optimizers for group in part.param_groups] == [LR / 4] * 2
    kept = copy.deepcopy((whole.state_dict(), optimizer.state_dict(), schedule.state_dict()))
    steps(whole, [optimizer], 3, first=2, after=schedule.step)

    resumed = network()
    optimizer, schedule = started(resumed)
    for part, state in zip((resumed, optimizer, schedule), kept, strict=True):
        part.load_state_dict(state)
    steps(resumed, [optimizer], 3, first=2, after=schedule.step)
    assert same(whole, resumed)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_a_group_may_say_its_own_decay(decay):
    net = nn.Linear(3, 3)
    optimizer = MuonWithAdamW([{"params": list(net.named_parameters()), "weight_decay": decay}], LR)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [decay, 0.0]


@pytest.mark.parametrize("groups", [lambda net: [{"params": list(net.parameters())}], lambda net: net.parameters()])
def test_parameters_without_names_are_refused(groups):
    with pytest.raises(ValueError, match="MuonWithAdamW takes groups of named parameters"):
        MuonWithAdamW(groups(nn.Linear(2, 2)))


@pytest.mark.parametrize(
    ("option", "words"),
    [({"lr": -1.0}, "lr=-1.0"), ({"weight_decay": -0.1}, "weight_decay=-0.1"), ({"momentum": 1.0}, "momentum=1.0")],
)
def test_numbers_out_of_range_are_named(option, words):
    with pytest.raises(ValueError, match=words):
        MuonWithAdamW(no_decay_on_vectors(nn.Linear(2, 2)), **option)


def test_a_resumed_training_equals_one_that_never_stopped(tmp_path):
    """Weights, momenta and learning rates: after the first of two epochs of 3 steps; the rate changes in both."""

    def run(count, folder, resume=None):
        torch.manual_seed(0)
        module = LanguageModel(12, partial(AnswerDecoder, **SIZE), LR, MuonWithAdamW, lambda step, total: 0.8**step)
        trainer = L.Trainer(
            accelerator="cpu",
            max_steps=count,
            limit_val_batches=0,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[ModelCheckpoint(folder, "{step}", every_n_train_steps=3, save_top_k=-1)],
        )
        trainer.fit(module, DataLoader(batches(), batch_size=None), ckpt_path=resume)
        return torch.load(folder / f"step={count}.ckpt", weights_only=True)

    whole = run(6, tmp_path / "whole")
    run(3, tmp_path / "half")
    resumed = run(6, tmp_path / "resumed", tmp_path / "half" / "step=3.ckpt")
    assert whole["global_step"] == resumed["global_step"] == 6
    for name, value in whole["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][name]), name
    ours, theirs = resumed["optimizer_states"][0], whole["optimizer_states"][0]
    assert ours["param_groups"] == theirs["param_groups"]
    for index, state in theirs["state"].items():
        assert all(torch.equal(value, ours["state"][index][name]) for name, value in state.items())
    assert resumed["lr_schedulers"] == whole["lr_schedulers"]
