import io

import pytest
from rich.console import Console

from cli.results_table import results_table

METRICS = {
    "test/score": 0.99612,
    "test/score/low": 0.98,
    "test/score/high": 1.0,
    "test/mean_steps": 163.25,
    "test/mean_steps/low": 150.0,
    "test/mean_steps/high": 180.0,
    "test/a_metric_with_a_long_name/of_class": float("nan"),
}


def printed(metrics: dict[str, float], width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(results_table(metrics))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_every_metric_is_there_once_and_whole(width):
    lines = printed(METRICS, width).splitlines()
    assert max(map(len, lines)) <= width
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if "test/" in line}
    assert rows == {
        "test/score": "0.9961 [0.9800, 1.0000]",
        "test/mean_steps": "163.2 [150.0, 180.0]",
        "test/a_metric_with_a_long_name/of_class": "nan",
    }


def test_a_name_is_folded_where_it_does_not_fit():
    name = "test/" + "name" * 30
    assert name in "".join(part for line in printed({name: 1.0}, 60).splitlines() for part in line.split()[:1])


def test_without_intervals_there_is_no_column_for_them():
    assert "interval" not in printed({"test/loss": 0.5}, 80)
    assert "test/score/low" in printed({"test/score/low": 0.5}, 80)
