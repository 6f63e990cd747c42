"""Test every model in `pretrained/` again and hold the figures against its card: `make results`.

Exits with 1 where a figure is missing, or differs from that of the shipped weights by more than rounding explains: the
order of additions, and bfloat16 where the processor has it, in place of float32.
"""

import json
import math
import sys

from rich.console import Console
from rich.table import Table

from benchmarks.command import as_command
from benchmarks.publish import PRETRAINED, test

# Rounding turns a decision only where two answers are nearly as likely. Digits in float32 and in bfloat16: none of
# 10,000; photographs with the weights in 16 and in 32 bits: 5 of 10,000.
DECISIONS, SHARE = 3, 0.001
COUNTED = ("accuracy", "exact_match")  # in the names of metrics
# Drawn samples are rounded themselves. In float32 in place of bfloat16, 87.0 in place of 86.4 % of a GAN's 500 digits
# are classified as what was asked for (in 10,000, a fifth of that); FID moves by 0.3 %, KID by 0.4 %.
DRAWN, OF_SAMPLES = 0.005, "test/class_accuracy"
RELATIVE = 0.02  # of a loss, or a distance between sets of samples


def tolerance(metric: str, metrics: dict[str, float], n: int) -> float:
    """How far from a card's `metrics`, of n samples, a metric may lie when it is measured again."""
    base = metric.removesuffix("/low").removesuffix("/high")
    if f"{base}/low" in metrics:
        # Contacts let small differences grow: an episode that is rounded otherwise is another draw from its start.
        # Were every episode drawn anew, five of six such means would lie as near; most episodes go as they went.
        return (metrics[f"{base}/high"] - metrics[f"{base}/low"]) / 2
    if is_counted(metric):
        return max(DECISIONS / n, SHARE)
    return DRAWN if metric == OF_SAMPLES else RELATIVE * abs(metrics[metric])


def is_counted(metric: str) -> bool:
    """Whether a metric is a share of right decisions about given data."""
    return metric != OF_SAMPLES and any(word in metric for word in COUNTED)


def compare(card: dict, now: dict[str, float]) -> dict[str, tuple[float, float, bool]]:
    """Of each metric of a card: its figure there, its figure now (NaN where there is none), and whether it holds."""
    figures = {metric: (value, now.get(metric, math.nan)) for metric, value in card["metrics"].items()}
    return {
        metric: (then, value, abs(value - then) <= tolerance(metric, card["metrics"], card["n"]))
        for metric, (then, value) in figures.items()
    }


def main() -> None:
    table = Table("model", "metric", "card", "now", title="pretrained models, tested again")
    off = []
    for path in sorted(PRETRAINED.glob("*/card.json")):
        card = json.loads(path.read_text())
        for metric, (then, now, holds) in compare(card, test(path.parent)[0]).items():
            table.add_row(path.parent.name, metric, f"{then:.4f}", f"{now:.4f}")
            if not holds:
                off.append(f"{path.parent.name} {metric}: {then:.4f} in the card, {now:.4f} now")
    Console().print(table)
    if off:
        sys.exit("\n".join(["figures that do not hold:", *off]))


if __name__ == "__main__":
    as_command(main)
