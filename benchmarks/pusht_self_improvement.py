"""Learning curves over the rounds of self-improvement, as a figure.

    python -m benchmarks.pusht_self_improvement RUN_OF_ROUND_1 RUN_OF_ROUND_2 --out docs/pusht_self_improvement.png

Each run starts from the weights of the one before; its curves go on where those end. Drawn is what `callbacks.rollouts`
logged on validation seeds, with 95 % intervals.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.command import as_command

PANELS = {"success_rate": "success rate", "score": "score", "mean_steps": "steps of an episode"}


def curve(run: Path, metric: str) -> list[tuple[int, float]]:
    """(optimizer steps, value) of each validation; empty where a run did not log the metric."""
    events = EventAccumulator(str(run))
    events.Reload()
    tag = f"val/{metric}"
    return [(event.step + 1, event.value) for event in events.Scalars(tag)] if tag in events.Tags()["scalars"] else []


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pusht_self_improvement", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("runs", type=Path, nargs="+", help="the rounds' run folders, in their order")
    parser.add_argument("--out", type=Path, required=True, help="the figure, .png")
    options = parser.parse_args()
    figure, axes = plt.subplots(1, len(PANELS), figsize=(11, 3.2), layout="constrained")
    figure.suptitle("200 validation starts; shaded: 95 % intervals", fontsize=9)
    begin = 0
    for number, run in enumerate(options.runs, 1):
        for axis, (metric, label) in zip(axes, PANELS.items(), strict=True):
            values, low, high = (curve(run, metric + suffix) for suffix in ("", "/low", "/high"))
            if values:
                steps = [begin + step for step, _ in values]
                axis.plot(steps, [value for _, value in values], f"C{number}o-", ms=3, label=f"round {number}")
                band = [value for _, value in low], [value for _, value in high]
                axis.fill_between(steps, *band, color=f"C{number}", alpha=0.2, linewidth=0)
            axis.set(xlabel="optimizer steps", ylabel=label)
        trained = curve(run, "score")
        if not trained:
            parser.error(f"{run} holds no validation of a Push-T policy; name run folders, runs/CONFIG/VERSION")
        begin += trained[-1][0]
    axes[0].legend(loc="lower right")
    figure.savefig(options.out, dpi=110)
    print(options.out)


if __name__ == "__main__":
    as_command(main)
