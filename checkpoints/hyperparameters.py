"""The arguments of a model that a checkpoint names, and those that a command line does."""

import json
import re


def of_model(checkpoint: dict, model: dict) -> tuple[dict, list[str]]:
    """What the checkpoint says of the config's part `model`, and the names of what the model no longer takes.

    Raises ValueError where it is of another class.
    """
    arguments = dict(checkpoint.get("hyper_parameters") or {})
    arguments.pop("_instantiator", None)
    kind = arguments.pop("_class_path", model["class_path"])
    if kind != model["class_path"]:
        raise ValueError(
            f"the checkpoint is of another model, {kind}, than the config, {model['class_path']}; use the config.yaml "
            "of the run that it comes from"
        )
    known = {**model.get("init_args", {}), **model.get("dict_kwargs", {})}
    taken = {name: value for name, value in arguments.items() if name in known}
    plain = json.loads(json.dumps(taken, default=str))  # tuples are lists in configs
    return {"class_path": kind, "init_args": plain}, sorted(arguments.keys() - taken.keys())


def split(args: list[str], *parts: str) -> tuple[list[str], list[str]]:
    """The words of a command line that are not of these parts of the config, and those that are."""
    others, own, words = [], [], iter(args)
    for word in words:
        if re.match(rf"--({'|'.join(parts)})([.+=]|$)", word):
            own += [word] if "=" in word else [word, next(words, "")]
        else:
            others.append(word)
    return others, own


def says(args: list[str], name: str) -> bool:
    """Whether a command line gives this value itself, such as "model.lr", or a part or the whole of it."""
    for word in args:
        key, _, value = word.partition("=")
        key = key.removeprefix("--").removesuffix("+").replace(".init_args", "")
        if word.startswith("--") and (key == name or key.startswith(f"{name}.")):
            return True
        if word.startswith("--") and name.startswith(f"{key}.") and ("." in key or value.startswith("{")):
            return True
    return False
