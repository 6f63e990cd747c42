"""The report of `benchmarks.gpu`: gpu.json with all that was found, gpu.md with its tables."""

import json
import platform
from pathlib import Path
from typing import Any

import lightning
import torch

from cli.publication import machine


class Report:
    """Written anew after each part.

    Args:
        out: the folder.
        device: "cuda" or "cpu".
        minutes: of all parts.
    """

    def __init__(self, out: Path, device: str, minutes: float):
        name = torch.cuda.get_device_name() if device == "cuda" else "no GPU"
        versions = f"torch {torch.__version__}, lightning {lightning.__version__}, Python {platform.python_version()}"
        self.out = out
        self.found: dict[str, Any] = {"device": name, "machine": machine(), "versions": versions, "minutes": minutes}

    def write(self, part: str, found: Any) -> None:
        self.found[part] = found
        (self.out / "gpu.json").write_text(json.dumps(self.found, indent=1) + "\n")
        lines = [f"# {self.found['device']}, {self.found['machine']}", "", self.found["versions"]]
        for name, table in TABLES.items():
            if name in self.found:
                lines += ["", f"## {name}", "", *_shown(table, self.found[name])]
        (self.out / "gpu.md").write_text("\n".join(lines) + "\n")


def _shown(table, found: dict) -> list[str]:
    try:
        lines = table(found)
    except Exception as error:  # a part that broke off; gpu.json holds what there is
        lines = [f"no table: {type(error).__name__}: {error}"]
    took = [f"{key}: {found[key]}" for key in ("seconds", "code", "ended") if key in found]
    return [*lines, "", ", ".join(took), *_said(found)]


def _said(found: dict) -> list[str]:
    return ["", "```", found["error"].strip(), "```"] if found.get("error") else []


def _rows(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _of_tests(found: dict) -> list[str]:
    lines = [", ".join(f"{found[key]} {key}" for key in ("passed", "skipped", "failed") if key in found)]
    for kind in ("failures", "skips"):
        for one in found.get(kind, ()):
            lines += ["", f"{kind}: `{one['test']}`", "", "```", str(one["said"]).strip(), "```"]
    for name, done in found["shares"].items():
        if done["code"] not in (0, 1) or "ended" in done:  # pytest's 1: tests failed, which are named above
            before = ", ".join(f"{test} {outcome}" for test, outcome in done.get("before_the_end", ()))
            lines += ["", f"share {name}: {done.get('ended', '')}; before: {before}", *_said(done)]
    measured = [[name, str(values)] for name, values in found["measured"].items()]
    return [*lines, "", *_rows(["test", "measured"], measured)]


def _of_steps(found: dict) -> list[str]:
    rows, said = [], []
    for one in found["figures"]:
        if "error" in one:
            said += ["", f"{one['name']}, {one['how']}:", *_said(one)]
            continue
        memory = f"{one['memory'] / 2**20:.0f}" if one["memory"] else ""
        milliseconds = f"{1000 * one['seconds']:.2f}"
        rate = f"{1 / one['seconds']:.1f}"
        rows.append([one["name"], one["how"], milliseconds, rate, memory, one.get("note", "")])
    return [*_rows(["config", "how", "ms a step", "steps/s", "peak memory, MiB", ""], rows), *said]


def _of_cifar10(found: dict) -> list[str]:
    figures = found["figures"]
    rows = [[key.replace("_", " "), str(value)] for key, value in figures.items() if not isinstance(value, list)]
    epochs = zip(figures.get("seconds", ()), figures.get("accuracies", ()), strict=True)
    curve = [[str(number), f"{second:.2f}", f"{share:.4f}"] for number, (second, share) in enumerate(epochs, 1)]
    return [*_rows(["", "figure"], rows), "", *_rows(["epoch", "seconds of training", "accuracy"], curve)]


def _of_ddpm(found: dict) -> list[str]:
    lines = [f"max_time {found.get('max_time')}, {found.get('steps')} steps"]
    samples = found.get("samples", {})
    figures = samples.get("figures", {})
    lines += ["", ", ".join(f"{key}: {value}" for key, value in figures.items() if key != "scales")] if figures else []
    scales = figures.get("scales", {}) if figures else {}
    names = sorted({name for metrics in scales.values() for name in metrics})
    rows = [[scale, *(f"{metrics.get(name, float('nan')):.4f}" for name in names)] for scale, metrics in scales.items()]
    lines += ["", *_rows(["guidance scale", *names], rows)] if rows else []
    return [*lines, *_said(samples)]


TABLES = {"tests": _of_tests, "steps": _of_steps, "cifar10": _of_cifar10, "ddpm": _of_ddpm}
