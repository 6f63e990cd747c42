from functools import partial

import lightning as L
import numpy as np
import pyarrow.parquet as pq
import torch

from callbacks.action_prediction_writer import ActionPredictionWriter
from datamodules.pusht import PushTDemos
from lightning_modules.diffusion_policy import DiffusionPolicy
from networks.chunk_mlp import ChunkMLP
from networks.pusht_features import PushTFeatures


def test_a_row_for_each_window_in_raw_units(tmp_path, capsys):
    torch.manual_seed(0)
    policy = DiffusionPolicy(partial(ChunkMLP, width=16, depth=1, encoder_width=16, encoder_depth=1), PushTFeatures)
    data = PushTDemos("bundled", batch_size=40)
    quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary"], False)
    trainer = L.Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        callbacks=[ActionPredictionWriter()],
        limit_predict_batches=2,
        **quiet,
    )
    predicted = torch.cat(trainer.predict(policy, data))
    assert "actions for 80 observations in" in capsys.readouterr().out
    rows = pq.read_table(tmp_path / "actions.parquet").to_pydict()
    assert rows["index"] == list(range(80))
    assert np.array_equal(np.float32(rows["predicted"]), predicted)
    shown = data.val_windows.__getitems__(list(range(80)))
    assert np.array_equal(np.float32(rows["observation"]), shown["observation"])
    assert np.array_equal(np.float32(rows["target"]), shown["action"])
