"""A trained model of anybody's, ready to use: by its name, from a folder, or from the Hugging Face Hub.

Weights hold numbers alone, but a config names classes, and importing and making one runs code. So a config that comes
from elsewhere may name Firstlight's own parts and PyTorch's layers and optimizers, and nothing else.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, overload

import lightning as L
from jsonargparse import _common, set_parsing_settings

from checkpoints import hub
from checkpoints.load_trained import load_trained
from checkpoints.pretrained import trained_file
from checkpoints.run_model import model_beside

# Of what a model is made.
ALLOWED = ["lightning_modules", "networks", "diffusion", "decoding", "adversarial", "optim", "torch.nn", "torch.optim"]
REFUSED = re.compile(r"Importing '([\w.]+)' is not allowed")

Module = TypeVar("Module", bound=L.LightningModule)


@overload
def load_pretrained(given: str | Path, *, trust_remote_config: bool = False) -> L.LightningModule: ...


@overload
def load_pretrained(given: str | Path, kind: type[Module], *, trust_remote_config: bool = False) -> Module: ...


def load_pretrained(
    given: str | Path, kind: type[L.LightningModule] = L.LightningModule, *, trust_remote_config: bool = False
) -> L.LightningModule:
    """The trained module, in eval mode on the CPU.

    >>> policy = load_pretrained("pusht")

    Of a model on the Hub, config.yaml, card.json, README.md and .safetensors are read, and no other file.

    Args:
        given: the name of a model that ships with Firstlight; a folder with model.safetensors and config.yaml, or that
            of a run; "owner/name" on the Hub, or "owner/name@revision".
        kind: the class that it must be of.
        trust_remote_config: allow the config's classes that are not Firstlight's or PyTorch's, where their modules are
            imported already: you decide what code runs.

    Raises as `load_trained` and `hub.fetch`, and ValueError for a config that names other classes.
    """
    path = weights_of(given)
    trusted = [name for name in _class_paths(model_beside(path)) if name.rpartition(".")[0] in sys.modules]
    try:
        with _importing_only(ALLOWED + (trusted if trust_remote_config else [])):
            return load_trained(path, kind)
    except ValueError as error:
        if refused := REFUSED.search(str(error)):
            raise ValueError(
                f"the config of {given} names {refused[1]}, which is not Firstlight's and could run any code; if you "
                f"trust it, import {refused[1].rpartition('.')[0] or 'it'} and say trust_remote_config=True"
            ) from error
        raise


def weights_of(given: str | Path) -> Path:
    """The file of weights that is meant: as `trained_file`, and what is not here may be on the Hub. Raises as both."""
    try:
        return trained_file(given)
    except FileNotFoundError:
        if hub.is_hub_id(given):
            return hub.fetch(str(given))
        raise


def _class_paths(config: Any) -> Iterator[str]:
    """Every class that a config names."""
    if isinstance(config, dict):
        if isinstance(named := config.get("class_path"), str):
            yield named
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from _class_paths(part)


@contextmanager
def _importing_only(allowed: list[str]) -> Iterator[None]:
    """While it lasts, what a parser reads may name these modules and classes to import, and no others.

    jsonargparse has one such rule for the whole process, and no way back from it.
    """
    before = dict(_common.parsing_settings)
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=allowed)
    try:
        yield
    finally:
        _common.parsing_settings.update(before)
