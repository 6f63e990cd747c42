"""The README's way from demonstrations of one's own to a policy: from one demonstration on, beginning as the shipped
policy, without a validation that has nothing to look at."""

import numpy as np
import pytest
import torch
import yaml

import train
from checkpoints.load_trained import load_trained
from envs.recording import EpisodeActions, record
from tests.runs import ROOT


@pytest.mark.parametrize("episodes", [1, 3])
def test_a_few_demonstrations_are_enough(episodes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    actions = np.random.default_rng(0).uniform(100, 400, (episodes, 40, 2)).astype(np.float32)
    record((EpisodeActions({"seed": seed}, own) for seed, own in enumerate(actions)), "mine.parquet", {})
    configs = [f"--config={ROOT / 'configs' / name}" for name in ("pusht.yaml", "with/own.yaml")]
    cli = train.main(
        [
            "fit",
            *configs,
            "--data.source=mine.parquet",
            f"--init_from={ROOT / 'pretrained' / 'pusht'}",
            "--trainer.max_steps=1",
            "--trainer.enable_progress_bar=false",
            "--model.lr=0.0",
        ]
    )
    assert cli.trainer.global_step == 1
    assert len(cli.datamodule.train_windows.recorded.starts) == episodes
    shipped = load_trained(ROOT / "pretrained" / "pusht")
    for name, value in shipped.network.state_dict().items():
        torch.testing.assert_close(cli.model.network.state_dict()[name], value, rtol=1e-5, atol=1e-6)
    assert list(tmp_path.glob("runs/pusht/*/checkpoints/last.ckpt"))


def test_the_overlay_is_short_and_keeps_averaging():
    overlay = yaml.safe_load((ROOT / "configs/with/own.yaml").read_text())
    assert overlay["trainer"]["max_steps"] <= 1000
    assert overlay["data"]["init_args"]["val_share"] == 0
    assert "callbacks" not in overlay["trainer"], "a list would replace the config's, averaging with it"
