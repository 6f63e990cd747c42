"""`configs/cifar10_fast.yaml` from the command to the test, by the clock.

    python -m benchmarks.gpu.cifar10 --out cifar10.json -- --config configs/with/gpu.yaml

Words after -- are train.py's. The clock of "training" stands still while the test images are looked at after each
epoch; "seconds to 94 %" is its time after the first epoch at whose end 94 % of them are right, without views of them.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import train
from benchmarks.cifar10_speed import CONFIG, Clock

GOAL = 0.94


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.cifar10", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--begin", type=float, default=time.time(), help="when the command was given, seconds of Unix")
    parser.add_argument("words", nargs="*", help="of train.py, after --")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = ["--config", str(CONFIG), *given.words, "--trainer.default_root_dir", folder]
        noted = "--trainer.callbacks+=benchmarks.cifar10_speed.Clock"
        trainer = train.main(["fit", *words, "--run", "timed", noted]).trainer
        command = time.time() - given.begin
        (clock,) = (callback for callback in trainer.callbacks if isinstance(callback, Clock))
        reached = [s for s, share in zip(clock.seconds, clock.accuracies, strict=True) if share >= GOAL]
        figures = {
            "seconds_to_94_%": round(reached[0], 2) if reached else "not reached without views",
            "seconds_of_training": round(clock.elapsed, 2),
            "seconds_of_the_command_fit": round(command, 1),
            "seconds": clock.seconds,
            "accuracies": clock.accuracies,
        }
        given.out.write_text(json.dumps(figures))
        last = f"{folder}/{CONFIG.stem}/timed/checkpoints/last.ckpt"
        begin = time.perf_counter()
        metrics = train.main(["test", *words, "--ckpt_path", last]).trainer.callback_metrics
        figures["seconds_of_the_test"] = round(time.perf_counter() - begin, 2)
        figures |= {name: round(float(metrics[name]), 4) for name in ("test/accuracy", "test/accuracy_plain")}
        given.out.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
