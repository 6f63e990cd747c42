"""Media in the run's folder and in the loggers, of which W&B's and MLflow's are stand-ins with their methods."""

import inspect
import sys
from pathlib import Path

import imageio.v3 as iio
import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks import log_media
from callbacks.log_media import log_image, log_table, log_video

IMAGE = torch.randint(256, (3, 6, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
FRAMES = np.random.default_rng(0).integers(0, 256, (6, 17, 33, 3), np.uint8)
COLUMNS, ROWS = ("question", "answer"), [("1 + 1", "2"), ("a | b", "c")]


class Fake(Logger):
    """Notes what it is given."""

    name, version = "fake", "0"

    def __init__(self):
        self.given = []

    def log_metrics(self, metrics, step=None):
        pass

    def log_hyperparams(self, *_, **__):
        pass


class FakeWandb(Fake):
    """Methods as `lightning.pytorch.loggers.WandbLogger` has them."""

    def log_image(self, key, images, step=None, **kwargs):
        self.given.append((key, [Path(image) for image in images], step))

    def log_table(self, key, columns=None, data=None, dataframe=None, step=None):
        self.given.append((key, columns, data, step))

    def log_video(self, key, videos, step=None, **kwargs):
        self.given.append((key, [Path(video) for video in videos], step))


class FakeMLFlow(Fake):
    """As `lightning.pytorch.loggers.MLFlowLogger`: `experiment` is a `mlflow.MlflowClient`."""

    @property
    def run_id(self):
        return "a run"

    @property
    def experiment(self):
        return self

    def log_image(self, run_id, image, artifact_file=None, key=None, step=None):
        self.given.append((run_id, image, key, step))

    def log_text(self, run_id, text, artifact_file):
        self.given.append((run_id, text, artifact_file))

    def log_artifact(self, run_id, local_path, artifact_path=None):
        self.given.append((run_id, Path(local_path), artifact_path))


def trainer(folder, logger, step: int = 7) -> L.Trainer:
    runner = L.Trainer(accelerator="cpu", logger=logger, default_root_dir=folder, enable_progress_bar=False)
    runner.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.completed = step
    return runner


def logged(folder, logger) -> tuple[Path, Path, Path]:
    runner = trainer(folder, logger)
    return (
        log_image(runner, "val/image", IMAGE),
        log_table(runner, "val/table", COLUMNS, ROWS),
        log_video(runner, "val/video", FRAMES),
    )


def test_files_lie_in_the_runs_folder_without_a_logger(tmp_path):
    image, table, video = logged(tmp_path, False)
    assert image == tmp_path / "images/val/image/0000007.png"
    assert torch.equal(torch.from_numpy(iio.imread(image)).permute(2, 0, 1), IMAGE)
    assert table == tmp_path / "text/val/table/0000007.md"
    assert table.read_text().splitlines() == [
        "| question | answer |",
        "| --- | --- |",
        "| `` 1 + 1 `` | `` 2 `` |",
        "| `` a ¦ b `` | `` c `` |",
    ]
    assert video == tmp_path / "videos/val/video/0000007.mp4"
    assert iio.imread(video).shape == (6, 16, 32, 3)  # even sides


def test_tensorboard_shows_all(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", version="")
    logged(tmp_path, logger)
    logger.experiment.flush()
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0, "tensors": 0}).Reload()
    (image,), (video,) = events.Images("val/image"), events.Images("val/video")
    assert image.step == video.step == 7
    assert np.array_equal(iio.imread(image.encoded_image_string), IMAGE.permute(1, 2, 0))
    assert video.encoded_image_string.startswith(b"GIF89a")
    assert len(iio.imread(video.encoded_image_string, index=None, extension=".gif")) == 3
    (table,) = events.Tensors("val/table/text_summary")
    assert b"a \xc2\xa6 b" in table.tensor_proto.string_val[0]


def test_wandb_is_given_files_and_rows(tmp_path):
    logger = FakeWandb()
    image, _, video = logged(tmp_path, logger)
    assert logger.given == [
        ("val/image", [image], 7),
        ("val/table", list(COLUMNS), [list(row) for row in ROWS], 7),
        ("val/video", [video], 7),
    ]


def test_mlflow_is_given_an_image_of_a_step_and_artifacts(tmp_path):
    logger = FakeMLFlow()
    _, table, video = logged(tmp_path, logger)
    (run, pixels, key, step), text, artifact = logger.given
    assert (run, key, step) == ("a run", "val/image", 7)
    assert np.array_equal(pixels, IMAGE.permute(1, 2, 0))
    assert text == ("a run", table.read_text().rstrip("\n"), "text/val/table/0000007.md")
    assert artifact == ("a run", video, "videos/val/video")


def test_others_are_given_nothing(tmp_path):
    plain, csv = Fake(), CSVLogger(tmp_path, name="", version="csv")
    logged(tmp_path, [plain, csv])
    assert plain.given == []
    assert not (tmp_path / "csv/metrics.csv").exists()


def test_every_logger_is_given_its_own(tmp_path):
    loggers = [FakeWandb(), Fake(), FakeMLFlow()]
    logged(tmp_path, loggers)
    assert [len(logger.given) for logger in loggers] == [3, 0, 3]


def test_the_stand_ins_are_lightnings_loggers():
    """Lightning's own can be told apart and called as they are, without their packages."""
    assert log_media._is_wandb(WandbLogger.__new__(WandbLogger))
    assert isinstance(MLFlowLogger.run_id, property)
    for method in log_media.WANDB:
        theirs, ours = (inspect.signature(getattr(kind, method)).parameters for kind in (WandbLogger, FakeWandb))
        assert list(theirs) == list(ours)
    assert not {"wandb", "mlflow"} & sys.modules.keys()


def test_a_long_run_keeps_its_first_and_its_late_images(tmp_path, monkeypatch):
    monkeypatch.setattr(log_media, "KEPT", 10)
    most = 0
    for step in range(100):
        log_image(trainer(tmp_path, False, step), "samples", IMAGE)
        names = [int(path.stem) for path in sorted((tmp_path / "images/samples").iterdir())]
        most = max(most, len(names))
        assert names[0] == 0
        assert names[-1] == step
    assert most == 10
    assert len(names) >= 5
    assert names[-2] >= 97


@pytest.mark.parametrize("fps", [0, 101])
def test_an_impossible_rate_is_named(fps, tmp_path):
    with pytest.raises(ValueError, match=f"fps={fps}"):
        log_video(trainer(tmp_path, False), "video", FRAMES, fps)
