"""The parser of a subcommand that is not one of Lightning's, such as `export`."""

import argparse
from typing import NoReturn

from cli.parser import CommandError


class SubcommandParser(argparse.ArgumentParser):
    """Raises CommandError, in one line, for a mistake; accepts no abbreviated options.

    Args:
        name: of the subcommand.
        doc: of its module, whose first paragraph is the description.
        epilog: what `--help` ends with.
    """

    def __init__(self, name: str, doc: str | None, epilog: str | None = None):
        description = (doc or "").split("\n\n")[0]
        super().__init__(f"python train.py {name}", description=description, epilog=epilog, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        command = self.prog.split()[-1]
        raise CommandError(f"{command}: {message}; see {self.prog} --help")
