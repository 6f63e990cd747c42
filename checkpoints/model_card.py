"""The card of a published model: a README.md whose YAML header the Hugging Face Hub reads."""

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from checkpoints.hub import NAMED

LIBRARY = "firstlight"
BOUNDS = ("/low", "/high")  # of a metric's 95 % interval, as in test/score/low
KNOWN = ("n", "seeds", "minutes", "date", "commit", "machine", "versions")  # what a card may tell of its figures
VIDEOS = (".mp4", ".webm")


def model_card(
    name: str,
    module: L.LightningModule,
    config: Mapping[str, Any],
    card: dict[str, Any],
    licence: str,
    media: str | None = None,
    training: str | None = None,
) -> ModelCard:
    """What a published model is, what it reaches, and how to use it.

    A module's task on the Hub, such as "robotics", is its attribute `hub_task`, a line that uses it is `usage`.

    Args:
        name: of the model: "owner/name" where it goes to the Hub.
        module: that is published.
        config: its config.yaml.
        card: its card.json: `metrics`, and with them what is known of n, seeds, minutes, date, machine and versions.
        licence: as the Hub names it, such as "mit".
        media: an image or a video that lies beside it.
        training: the command that trains it again.
    """
    datasets = data_sets(config)
    data = datasets[0] if datasets else (config["data"] or {"class_path": "its own"})["class_path"].rpartition(".")[2]
    metrics = {key: value for key, value in card["metrics"].items() if math.isfinite(value)}
    task = getattr(module, "hub_task", None)
    header = ModelCardData(
        license=licence,
        library_name=LIBRARY,
        pipeline_tag=task,
        tags=[LIBRARY, "pytorch-lightning", type(module).__name__],
        datasets=datasets or None,
        model_name=name.rpartition("/")[2],
        eval_results=[
            EvalResult(
                task_type=task or "other",
                dataset_type=datasets[0] if datasets else "other",
                dataset_name=data,
                dataset_split="test",
                metric_type=key.removeprefix("test/"),
                metric_value=value,
            )
            for key, value in metrics.items()
            if not key.endswith(BOUNDS)
        ]
        or None,
    )
    body = [_about(name, module, datasets), *([_shown(media)] if media else []), _figures(metrics, card)]
    body += [f"## Train it again\n\n```\n{training}\n```"] if training else []
    return ModelCard(f"---\n{header.to_yaml()}\n---\n" + "\n\n".join(body) + "\n")


def data_sets(config: Mapping[str, Any]) -> list[str]:
    """The Hub ids of the data sets that a config names as sources."""
    sources = ((config["data"] or {}).get("init_args") or {}).get("source")
    given = sources if isinstance(sources, list) else [sources]
    return [one for one in given if isinstance(one, str) and NAMED.fullmatch(one) and not Path(one).exists()]


def _about(name: str, module: L.LightningModule, datasets: list[str]) -> str:
    """What it is, and how it is used."""
    kind = type(module)
    about = (inspect.getdoc(kind) or "").partition("\n")[0]
    usage = f"{module.usage}\n" if hasattr(module, "usage") else ""
    learned = ", ".join(f"[{one}](https://huggingface.co/datasets/{one})" for one in datasets)
    return (
        f"# {name.rpartition('/')[2]}\n\n`{kind.__name__}`: {about}"
        + (f" Trained on {learned}." if learned else "")
        + "\n\n```python\nfrom firstlight import load_pretrained\n\n"
        + f"model = load_pretrained({name!r})\n{usage}```\n\n"
        + "`model.safetensors` holds the weights alone, `config.yaml` the model that they belong to. The module comes "
        + "in eval mode, on the CPU."
    )


def _shown(media: str) -> str:
    return f'<video controls src="{media}"></video>' if media.endswith(VIDEOS) else f"![{Path(media).stem}]({media})"


def _figures(metrics: Mapping[str, float], card: dict[str, Any]) -> str:
    """Metrics with their intervals, and how they were measured."""
    if not metrics:
        return "## Figures\n\nNot measured."
    means = card.get("mean_over_seeds", {})
    rows = ["| metric | these weights | 95 % interval |" + (" mean of the seeds |" if means else "")]
    rows.append("| --- " * (4 if means else 3) + "|")
    for key, value in metrics.items():
        if not key.endswith(BOUNDS):
            low, high = (metrics.get(key + bound) for bound in BOUNDS)
            interval = f"{low:.4g} to {high:.4g}" if low is not None and high is not None else ""
            mean = f" {means[key]:.4g} |" if means else ""
            rows.append(f"| {key} | {value:.4g} | {interval} |{mean}")
    told = card | {"seeds": ", ".join(map(str, card.get("seeds", [])))}
    how = "; ".join(f"{name}: {told[name]}" for name in KNOWN if name in card)
    return "## Figures\n\n" + "\n".join(rows) + f"\n\nMeasured with `{card['command']}`. {how}."


def without_places(config: Any) -> Any:
    """A config in which paths of this machine are their last parts: /home/me/digits is digits."""
    if isinstance(config, dict):
        return {key: without_places(value) for key, value in config.items()}
    if isinstance(config, list):
        return [without_places(value) for value in config]
    return Path(config).name if isinstance(config, str) and Path(config).is_absolute() else config
