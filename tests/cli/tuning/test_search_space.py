import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

import train
from cli.planned_fits import fit_config
from cli.tuning.search_space import read_search
from tests.test_train import ROOT

SEARCHES = sorted((ROOT / "configs/search").glob("*.yaml"))
WHOLE = """
fixed: {trainer.max_epochs: 3, trainer.callbacks: [{class_path: Some, init_args: {n: 2}}]}
space:
  model.lr: {float: [1e-4, 1e-2], log: true}
  model.depth: {int: [1, 5], step: 2}
  model.hidden: {choice: [[512], [512, 512]]}
  model.act: {choice: [relu, null, true]}
"""


def read(tmp_path, text):
    path = tmp_path / "search.yaml"
    path.write_text(text)
    return read_search(str(path))


def test_ranges_are_optunas(tmp_path):
    search = read(tmp_path, WHOLE)
    assert search.space == {
        "model.lr": FloatDistribution(1e-4, 1e-2, log=True),
        "model.depth": IntDistribution(1, 5, step=2),
        "model.hidden": CategoricalDistribution(["[512]", "[512, 512]"]),
        "model.act": CategoricalDistribution(["relu", None, True]),
    }
    assert (search.metric, search.direction) == (None, None)


def test_words_are_what_the_command_line_reads(tmp_path):
    search = read(tmp_path, WHOLE)
    assert search.fixed_words() == [
        "--trainer.max_epochs=3",
        '--trainer.callbacks=[{"class_path": "Some", "init_args": {"n": 2}}]',
    ]
    low, high, third = search.corners()
    assert low == ["--model.lr=0.0001", "--model.depth=1", "--model.hidden=[512]", "--model.act=relu"]
    assert high == ["--model.lr=0.01", "--model.depth=5", "--model.hidden=[512, 512]", "--model.act=null"]
    assert third[3] == "--model.act=true"


def test_a_trial_has_what_it_was_given(tmp_path):
    values = {"model.lr": 0.001, "model.depth": 3, "model.hidden": "[512]", "model.act": True}
    assert read(tmp_path, WHOLE).suggest(FixedTrial(values)) == values


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (
            {"lr": 0.001, "depth": 3, "hidden": [512], "act": "relu"},
            {"model.lr", "model.depth", "model.hidden", "model.act"},
        ),
        ({"lr": 1e-4, "depth": 5, "hidden": [64], "act": None}, {"model.lr", "model.depth", "model.act"}),
        ({"lr": 0.1, "depth": True, "hidden": None, "act": "tanh"}, set()),
    ],
)
def test_the_configs_own_values_where_they_are_in_range(model, given, tmp_path):
    config = {"model": {"class_path": "Some", "init_args": model}}
    assert read(tmp_path, WHOLE).given_by(config).keys() == given


def test_a_class_of_the_config_is_known_by_its_path(tmp_path):
    search = read(
        tmp_path, "space: {model.network.positions: {choice: [a.None, a.Sines]}, model.network.depth: {int: [1, 4]}}"
    )
    network = {
        "class_path": "a.Net",
        "init_args": {"depth": 2, "positions": {"class_path": "a.Sines", "init_args": {}}},
    }
    config = {"model": {"class_path": "M", "init_args": {"network": network}}}
    assert search.given_by(config) == {"model.network.positions": "a.Sines", "model.network.depth": 2}


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("", ["must be of metric, direction, fixed, space"]),
        ("[1, 2]", ["must be of metric"]),
        ("spaces: {}", ["spaces"]),
        ("space: {a: {float: [1, 2]}, b: [", ["no YAML"]),
        ("space: {}", ["at least one dotted key"]),
        ("space: [model.lr]", ["at least one dotted key"]),
        ("{space: {a: {int: [1, 2]}}, fixed: 3}", ["at least one"]),
        ("{space: {a: {int: [1, 2]}}, fixed: {a: 1}}", ["a cannot be both"]),
        ("{space: {a: {int: [1, 2]}}, direction: up}", ["direction='up'", "maximize or minimize"]),
        ("space: {a: 3}", ["a: 3 must be one of"]),
        ("space: {a: {float: [1, 2], int: [1, 2]}}", ["must be one of"]),
        ("space: {a: {range: [1, 2]}}", ["must be one of"]),
        ("space: {a: {float: [1]}}", ["float=[1] must be a list, [low, high]"]),
        ("space: {a: {float: 1}}", ["float=1 must be a list"]),
        ("space: {a: {float: [2, 1]}}", ["a:", "low"]),
        ("space: {a: {int: [2, 1]}}", ["a:", "low"]),
        ("space: {a: {float: [0, 1], log: true}}", ["a:", "low"]),
        ("space: {a: {float: [0.1, 1], log: yes please}}", ["log='yes please'"]),
        ("space: {a: {float: [.nan, 1]}}", ["low=nan"]),
        ("space: {a: {float: [0, .inf]}}", ["high=inf"]),
        ("space: {a: {float: [low, 1]}}", ["low='low'"]),
        ("space: {a: {int: [1.5, 2]}}", ["low=1.5", "whole number"]),
        ("space: {a: {int: [1, 4], step: 0}}", ["step=0"]),
        ("space: {a: {float: [1, 4], step: -1}}", ["step=-1"]),
        ("space: {a: {int: [1, 4], stride: 2}}", ["takes no stride"]),
        ("space: {a: {choice: [1, 2], log: true}}", ["takes no log"]),
        ("space: {a: {choice: []}}", ["a:", "choices"]),
        ("space: {a: {choice: b}}", ["choice='b' must be a list"]),
    ],
)
def test_what_is_no_search_is_refused_in_one_line(text, answers, tmp_path):
    with pytest.raises(ValueError, match=r"search\.yaml") as caught:
        read(tmp_path, text)
    for answer in answers:
        assert answer in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_range_of_one_value_is_one(tmp_path):
    assert read(tmp_path, "space: {a: {int: [2, 2]}}").space["a"].single()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="configs/search"):
        read_search(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    "path",
    [path if path.stem == "pusht" else pytest.param(path, marks=pytest.mark.slow) for path in SEARCHES],
    ids=lambda path: path.stem,
)
def test_shipped_searches_fit_their_configs(path):
    search = read_search(str(path))
    for corner in search.corners():
        words = ["--config", str(ROOT / "configs" / path.name), *search.fixed_words(), *corner]
        config = fit_config(train.main, words)
        assert search.given_by(config).keys() == search.space.keys()
        assert (search.metric or config["checkpoint"]["monitor"]).startswith("val/")
        assert search.metric in (None, config["checkpoint"]["monitor"])
