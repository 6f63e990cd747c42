"""Every variant changes what its name says, trains and acts; what is done is not done again."""

import json
import multiprocessing

import numpy as np
import pytest
import torch

from benchmarks import pusht_ablation
from benchmarks.pusht_ablation import BASE, UNET, VARIANTS, AbsoluteActions, KeypointsOnly, LossPastTheEnd, config_of
from checkpoints.load_trained import build
from checkpoints.pretrained import read_config
from cli import own_process
from datamodules.pusht import PushTDemos
from envs.episode import Episode
from networks.pusht_features import PushTFeatures


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    """Demonstrations that need no download, and processes that need no imports, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(pusht_ablation.COMMON, "data.init_args.source", "bundled")
    monkeypatch.setitem(pusht_ablation.COMMON, "trainer.enable_progress_bar", False)
    monkeypatch.setattr(own_process, "CONTEXT", multiprocessing.get_context("fork"))


def flat(config, name=""):
    if isinstance(config, dict):
        return {key: value for part in config for key, value in flat(config[part], f"{name}.{part}").items()}
    return {name: str(config)}


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in (BASE, UNET)])
def test_a_variant_differs_in_one_place(name):
    base, own = flat(config_of(BASE, 10)), flat(config_of(name, 10))
    apart = [key for key in base.keys() | own.keys() if base.get(key) != own.get(key)]
    assert len(apart) + len(VARIANTS[name].acts) == 1


def test_the_variants_features():
    observed = torch.rand(3, 2, 18) * 512
    shipped, absolute, only = (kind(2) for kind in (PushTFeatures, AbsoluteActions, KeypointsOnly))
    assert torch.equal(absolute.origin(observed), torch.full((3, 1, 2), 256.0))
    assert torch.equal(absolute(observed), shipped(observed))
    assert torch.equal(only.origin(observed), shipped.origin(observed))
    np.testing.assert_allclose(only(observed), observed.numpy().reshape(3, 36) / 256 - 1, rtol=1e-6)
    assert only.dim == 36


def test_loss_past_the_end_is_on_the_last_action_again():
    demos, shipped = (kind("bundled", mirror=False) for kind in (LossPastTheEnd, PushTDemos))
    demos.setup("fit")
    batch = next(iter(demos.train_dataloader()))
    own, others = (one.on_after_batch_transfer(dict(batch), 0) for one in (demos, shipped))
    past = others["action_is_pad"]
    assert past.any()
    assert not own["action_is_pad"].any()
    row = int(past.any(1).nonzero()[0])
    actions, end = own["action"][row], int((~past[row]).sum())
    assert torch.equal(actions[end:], actions[end - 1].expand(len(actions) - end, 2))


@pytest.mark.parametrize("name", [name for name in VARIANTS if not VARIANTS[name].acts])
def test_models_are_built_and_learn(name):
    """Two steps on the same batch."""
    model = changed_for_no_data(config_of(name, 10)["model"])
    policy = build(model)
    policy.measured.set()
    batch = {
        "observation": torch.rand(4, 2, 18) * 512,
        "action": torch.rand(4, 16, 2) * 512,
        "action_is_pad": torch.zeros(4, 16, dtype=torch.bool),
    }
    policy.action_scale.fill_(100.0)
    optimizer, losses = torch.optim.SGD(policy.parameters(), 1e-3), []
    for _ in range(2):
        loss = policy._loss(batch, policy.timestep_distribution, generator=torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]


def changed_for_no_data(model):
    """What otherwise follows from the data."""
    return {**model, "init_args": {**model["init_args"], "observation_shape": [18], "action_dim": 2}}


def acted(policy, seeds, progress):
    """Solved at temperature 1 alone."""
    return [
        Episode(seed, np.zeros((1, 2)), np.array([0.5 + 0.48 * (policy.hparams.temperature == 1)])) for seed in seeds
    ]


def test_the_command_goes_on_where_it_was(bundled, capsys, monkeypatch):
    monkeypatch.setattr(pusht_ablation, "run_policy", acted)
    words = ["--only", BASE, "temperature_1", "eight_actions", "--steps=2", "--episodes=1", "--seeds=1"]
    pusht_ablation.main(words[:2] + words[4:])
    assert "| as it is | 2 | 0.0 % | 0.0 % [0.0, 79.3]" in capsys.readouterr().out
    weights, place = pusht_ablation.RUNS / "pusht_ablation/as_it_is/seed_0/checkpoints/last.ckpt", pusht_ablation.RUNS
    written = weights.stat().st_mtime_ns
    pusht_ablation.main(words)
    out, err = capsys.readouterr()
    assert "| temperature 1 | 2 | 100.0 % | 100.0 % [20.7, 100.0], 1.000 [" in out
    assert "| eight actions carried out | 2 | 0.0 % |" in out
    assert [line for line in err.splitlines() if "begins" in line] == ["as_it_is, seed 0 begins (1 of 1)"]
    assert weights.stat().st_mtime_ns == written
    pusht_ablation.main(words)
    assert "begins" not in capsys.readouterr().err
    figures = json.loads((place / "pusht_ablation/ablation.json").read_text())
    assert figures["steps"] == {BASE: 2, "temperature_1": 2, "eight_actions": 2}
    for other in ("--steps=3", "--episodes=2"):
        with pytest.raises(ValueError, match=f"begun with {other[2:-2]}=") as caught:
            pusht_ablation.main([*words, other])
        assert "\n" not in str(caught.value)


def test_the_unet_gets_the_same_minutes(monkeypatch, tmp_path):
    """0.06 s and 0.25 s a step: 100 steps and 24."""
    monkeypatch.setattr(own_process, "CONTEXT", multiprocessing.get_context("fork"))
    monkeypatch.setattr(pusht_ablation, "seconds_of_a_step", timed)
    assert pusht_ablation.equal_steps(tmp_path, 100, 1) == 24


def timed(config, steps, one_thread, ask):
    return 0.25 if "ChunkUNet" in read_config(config)["model"]["init_args"].get("network", "") else 0.06


@pytest.mark.slow
def test_every_variant_is_trained_and_acts(bundled, monkeypatch, capsys):
    monkeypatch.setattr(own_process, "CONTEXT", multiprocessing.get_context("spawn"))  # whatever ran in this process
    pusht_ablation.main(["--steps=2", "--episodes=1", "--seeds=1"])
    table = capsys.readouterr().out
    assert all(f"| {variant.says} | " in table for variant in VARIANTS.values())
    trained = {
        name: read_config(pusht_ablation.RUNS / f"pusht_ablation/{name}/seed_0/config.yaml") for name in ("unet",)
    }
    assert "chunk_unet" in str(trained["unet"]["model"]["init_args"]["network"])


@pytest.mark.parametrize("words", ["--only nothing", "--steps 0", "--episodes 1001", "--seeds 0", "--parallel 0"])
def test_mistakes_are_one_line(words, capsys):
    with pytest.raises(SystemExit):
        pusht_ablation.main(words.split())
    assert words.split()[0] in capsys.readouterr().err.splitlines()[-1]
