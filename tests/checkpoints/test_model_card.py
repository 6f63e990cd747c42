"""Cards of published models, read back by the Hub's own library."""

import json
from pathlib import Path

import pytest
from huggingface_hub import EvalResult, ModelCard

from checkpoints.load_trained import load_trained
from checkpoints.model_card import data_sets, model_card, without_places
from checkpoints.pretrained import SHIPPED, read_config
from tests.cli.toys import ToyModel

FOLDERS = sorted(path.parent.name for path in SHIPPED.glob("*/card.json"))
TASKS = {
    "Classifier": "image-classification",
    "GAN": "unconditional-image-generation",
    "DDPM": "unconditional-image-generation",
    "DiffusionPolicy": "robotics",
    "SequenceTagger": "token-classification",
    "LanguageModel": "text-generation",
    "Seq2Seq": "text-generation",
}


@pytest.mark.parametrize("name", FOLDERS)
def test_what_ships_has_a_card_that_the_hub_reads(name, tmp_path):
    folder = SHIPPED / name
    config, card = read_config(folder / "config.yaml"), json.loads((folder / "card.json").read_text())
    module = load_trained(folder)
    written = model_card(f"me/{name}", module, config, card, "mit", "sample.mp4")
    written.save(tmp_path / "README.md")
    read = ModelCard.load(tmp_path / "README.md").data
    assert (read.license, read.library_name, read.model_name) == ("mit", "firstlight", name)
    assert read.pipeline_tag in {TASKS.get(kind.__name__) for kind in type(module).__mro__}
    assert read.datasets == (data_sets(config) or None)
    assert all(isinstance(result, EvalResult) for result in read.eval_results)
    told = {result.metric_type: result.metric_value for result in read.eval_results}
    points = {key: value for key, value in card["metrics"].items() if not key.endswith(("/low", "/high"))}
    assert told == {key.removeprefix("test/"): value for key, value in points.items()}
    assert f"load_pretrained('me/{name}')" in written.text
    assert card["command"] in written.text
    assert '<video controls src="sample.mp4">' in written.text


def test_a_card_tells_intervals_means_and_what_is_not_measured():
    module = ToyModel([3], 2)
    config = {"data": {"class_path": "own.Data", "init_args": {"source": ["me/words", "fonts", "/home/me/x"]}}}
    metrics = {"test/score": 0.5, "test/score/low": 0.25, "test/score/high": 0.75, "test/bad": float("nan")}
    card = {"metrics": metrics, "command": "c", "seeds": [3, 4], "n": 8, "mean_over_seeds": {"test/score": 0.625}}
    text = str(model_card("toy", module, config, card, "apache-2.0", "sample.png"))
    assert "| test/score | 0.5 | 0.25 to 0.75 | 0.625 |" in text
    assert "![sample](sample.png)" in text
    assert "n: 8; seeds: 3, 4." in text
    assert "test/bad" not in text
    read = ModelCard(text).data
    assert (read.license, read.datasets, read.pipeline_tag) == ("apache-2.0", ["me/words"], None)
    assert [(result.dataset_type, result.task_type) for result in read.eval_results] == [("me/words", "other")]
    none = model_card("toy", module, config, card | {"metrics": {}}, "mit")
    assert none.data.eval_results is None
    assert "Not measured" in none.text


def test_a_config_that_is_shared_tells_no_place(tmp_path):
    config = {"data": {"source": [str(tmp_path / "digits"), "me/digits", "runs/x"], "n": 3}, "trainer": None}
    assert without_places(config) == {"data": {"source": ["digits", "me/digits", "runs/x"], "n": 3}, "trainer": None}
    assert data_sets({"data": {"class_path": "D", "init_args": {"source": str(Path("a/b"))}}}) == ["a/b"]
