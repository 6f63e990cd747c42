"""Which values of the config the words of a command line set."""

import re


def split(args: list[str], *parts: str) -> tuple[list[str], list[str]]:
    """The words of a command line that do not set these parts of the config, and those that do."""
    others, own, words = [], [], iter(args)
    for word in words:
        if re.match(rf"--({'|'.join(parts)})([.+=]|$)", word):
            own += [word] if "=" in word else [word, next(words, "")]
        else:
            others.append(word)
    return others, own


def says(args: list[str], name: str) -> bool:
    """Whether a command line sets this value, such as "model.lr", a part of it, or something that holds it."""
    for word in args:
        key, _, value = word.partition("=")
        key = key.removeprefix("--").removesuffix("+").replace(".init_args", "")
        if word.startswith("--") and (key == name or key.startswith(f"{name}.")):
            return True
        if word.startswith("--") and name.startswith(f"{key}.") and ("." in key or value.startswith("{")):
            return True
    return False
