"""Read as TensorBoard's own plugins read it."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata
from torch.utils.tensorboard import SummaryWriter

from callbacks.tensorboard_tabs import hyperparameters_of, layout
from tests.cli.runs import RUN, toy


@pytest.fixture
def board(tmp_path, monkeypatch):
    """What TensorBoard reads of a run of the toys."""
    monkeypatch.chdir(tmp_path)
    toy("fit", "--trainer.max_epochs", "3", "--model.lr", "0.25", "--trainer.log_every_n_steps", "1")
    return EventAccumulator(str(RUN), size_guidance={"tensors": 0, "scalars": 0}).Reload()


def test_a_run_has_its_hyperparameters_and_its_metrics(board):
    content = board.summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    hyperparameters = metadata.parse_session_start_info_plugin_data(content).hparams
    assert hyperparameters["model.lr"].number_value == 0.25
    assert hyperparameters["seed_everything"].number_value == 0
    assert hyperparameters["trainer.max_epochs"].number_value == 3
    assert hyperparameters["model.class_path"].string_value == "tests.cli.toys.ToyModel"
    assert not [name for name in hyperparameters if "instantiator" in name]
    content = board.summary_metadata[metadata.EXPERIMENT_TAG].plugin_data.content
    experiment = metadata.parse_experiment_plugin_data(content)
    assert [metric.name.tag for metric in experiment.metric_infos] == ["val/loss"]
    assert len(board.Scalars("val/loss")) == 3  # whose last is the one that is compared
    assert "hp_metric" not in board.Tags()["scalars"]


def test_a_test_is_compared_by_its_metrics_and_predict_by_none(board):
    toy("test", "--ckpt_path", str(RUN / "checkpoints/last.ckpt"))
    tested = EventAccumulator(str(RUN.with_name("version_1"))).Reload()
    content = tested.summary_metadata[metadata.EXPERIMENT_TAG].plugin_data.content
    assert [one.name.tag for one in metadata.parse_experiment_plugin_data(content).metric_infos] == ["test/loss"]


def test_config_as_plain_values():
    model = {"class_path": "A", "init_args": {"lr": 0.1, "widths": [1, 2], "clip": None, "part": {"class_path": "B"}}}
    config = {"seed_everything": 3, "model": model, "trainer": {"max_epochs": 2, "precision": "32-true"}}
    assert hyperparameters_of(config) == {
        "seed_everything": 3,
        "model.class_path": "A",
        "model.lr": 0.1,
        "model.widths": "[1, 2]",
        "model.part.class_path": "B",
        "trainer.max_epochs": 2,
        "trainer.precision": "32-true",
    }
    assert hyperparameters_of({}) == {}


def test_charts_have_both_curves_or_an_interval():
    ends = ["val/score", "val/score/low", "val/score/high"]
    charts = layout(["train/loss", "train/accuracy", "val/loss", *ends])
    assert charts == {
        "training and validation": {"loss": ["Multiline", ["train/loss", "val/loss"]]},
        "intervals": {"val/score": ["Margin", ends]},
    }
    assert layout(["train/loss"]) == {}


def test_tensorboard_reads_the_charts(tmp_path):
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_custom_scalars(layout(["train/loss", "val/loss", "val/s", "val/s/low", "val/s/high"]))
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    (tag,) = events.Tags()["tensors"]
    read = layout_pb2.Layout.FromString(events.Tensors(tag)[0].tensor_proto.string_val[0])
    both, within = read.category
    assert list(both.chart[0].multiline.tag) == ["train/loss", "val/loss"]
    assert within.chart[0].margin.series[0].lower == "val/s/low"
