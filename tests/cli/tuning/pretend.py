"""A pretend `train.main`, quick to run, for what commands do around a training."""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import yaml

KNOWN = {"model.lr", "model.kind", "run", "ckpt_path", "seed_everything", "checkpoint.monitor"}
KNOWN |= {f"trainer.{name}" for name in ("default_root_dir", "devices", "max_epochs", "fast_dev_run")}
BY_NUMBER = {"1": "diverges", "2": "too large", "3": "killed"}  # of a trial
VALIDATIONS = 3


def pretend(words, callbacks=()):
    """Validates a few times, with values that follow from lr; goes on where a run of the same name was cut short."""
    options = {word.split("=")[0].removeprefix("--"): word.partition("=")[2] for word in words[1:] if "=" in word}
    if unknown := options.keys() - KNOWN:
        raise ValueError(f"unknown {unknown}")
    if words[0] == "test":
        return tested(Path(words[2]).parent)
    lr, seed = float(options.get("model.lr", 0.1)), int(options.get("seed_everything", 0))
    config = {
        "seed_everything": seed,
        "model": {"class_path": "tests.Model", "init_args": {"lr": lr, "kind": options.get("model.kind", "good")}},
        "checkpoint": {"monitor": options.get("checkpoint.monitor", "val/accuracy"), "mode": "max"},
        "trainer": {
            "default_root_dir": options.get("trainer.default_root_dir"),
            "devices": yaml.safe_load(options.get("trainer.devices", "auto")),
            "num_nodes": 1,
            "max_epochs": int(options.get("trainer.max_epochs", 1)),
            "fast_dev_run": options.get("trainer.fast_dev_run") == "true",
        },
    }
    if "--print_config" in words:
        print(yaml.safe_dump(config))
        return None
    run = Path(options["trainer.default_root_dir"], "Model", options["run"])
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    (run / "checkpoints").mkdir(exist_ok=True)
    last = run / "checkpoints/last.ckpt"
    for validation in range(int(last.read_text()) if last.exists() else 0, VALIDATIONS):
        misbehave(options.get("model.kind", "good"), run)
        value = value_of(lr, validation)
        if any(callback.tell(10 * validation, value) for callback in callbacks):
            break
        last.write_text(str(validation + 1))
    return None


def value_of(lr, validation):
    """Best at lr = 0.1, and at the last validation but one."""
    return (1 - abs(lr - 0.1)) * (1 - 0.1 * abs(validation - VALIDATIONS + 2))


def misbehave(kind, run):
    tries = run / "tries"
    kind = BY_NUMBER.get(run.name[-1]) if kind == "by number" else kind
    tries.write_text(tries.read_text() + "." if tries.exists() else ".")
    if kind == "slow":
        time.sleep(0.02)
    if kind == "diverges":
        raise ValueError("the loss is nan at step 3")
    if kind == "too large":
        raise MemoryError("cannot allocate 8 TB")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)


def tested(run):
    seed = yaml.safe_load((run / "config.yaml").read_text())["seed_everything"]
    return SimpleNamespace(trainer=SimpleNamespace(callback_metrics={"test/accuracy": 0.9 + 0.01 * seed}))
