"""Test every model in `pretrained/` again and hold the figures against its card: `make results`.

Exits with 1 where a figure differs by more than rounding between machines can explain (TOLERANCE).
"""

import json
import sys

from rich.console import Console
from rich.table import Table

from benchmarks.command import as_command
from benchmarks.publish import PRETRAINED, test

TOLERANCE = 0.02


def main() -> None:
    table = Table("model", "metric", "card", "now", title="pretrained models, tested again")
    off = []
    for path in sorted(PRETRAINED.glob("*/card.json")):
        card = json.loads(path.read_text())
        now, _ = test(path.parent)
        for metric, value in card["metrics"].items():
            table.add_row(path.parent.name, metric, f"{value:.4f}", f"{now[metric]:.4f}")
            if abs(now[metric] - value) > TOLERANCE:
                off.append(f"{path.parent.name} {metric}: {value:.4f} in the card, {now[metric]:.4f} now")
    Console().print(table)
    if off:
        sys.exit("\n".join(["figures that do not hold:", *off]))


if __name__ == "__main__":
    as_command(main)
