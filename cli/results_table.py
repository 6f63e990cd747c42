"""The metrics of a test or a validation as one table."""

from collections.abc import Mapping

from rich import box
from rich.table import Table


def results_table(metrics: Mapping[str, float]) -> Table:
    """A row for each metric, by its name; NAME/low and NAME/high stand beside NAME as its 95 % interval."""
    ends = {f"{name}/{end}" for name in metrics for end in ("low", "high")}
    intervals = any(f"{name}/low" in metrics and f"{name}/high" in metrics for name in metrics)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("metric", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    if intervals:
        table.add_column("95 % interval", no_wrap=True)
    for name, value in sorted(metrics.items()):
        if name in ends:
            continue
        low, high = (metrics.get(f"{name}/{end}") for end in ("low", "high"))
        interval = "" if low is None or high is None else f"[{_rounded(low)}, {_rounded(high)}]"
        table.add_row(name, _rounded(value), *([interval] if intervals else []))
    return table


def _rounded(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}"
