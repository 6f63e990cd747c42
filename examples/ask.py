"""Ask a shipped Transformer: English becomes Pig Latin, a list of numbers is sorted.

    python -m examples.ask "the quick brown fox"
    python -m examples.ask 5 3 9
    python -m examples.ask 5 3 9 --model sorting_encoder

Nothing is downloaded, and no data set is read.
"""

import argparse
import re

from checkpoints.load_trained import load_trained
from cli.quiet import keep_quiet
from datamodules.sentences import plain
from lightning_modules.sequence_model import SequenceModel

TRANSLATOR, SORTER = "pig_latin_encoder_decoder", "sorting_encoder_decoder"
EXAMPLES = {TRANSLATOR: 'python -m examples.ask "the quick brown fox"', SORTER: "python -m examples.ask 5 3 9"}


def is_list(text: str) -> bool:
    """Whether a text is a list of whole numbers, set apart by blanks or commas, in brackets or without."""
    return re.fullmatch(r"\s*\[?\s*-?\d+([\s,]+-?\d+)*\s*\]?\s*", text) is not None


def main(args: list[str] | None = None) -> None:
    """`python -m examples.ask`."""
    parser = argparse.ArgumentParser(prog="python -m examples.ask", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("words", nargs="+", help="a text, or whole numbers from 0 to 99")
    parser.add_argument("--model", help=f"a name in pretrained/, or a run's folder (default {TRANSLATOR} or {SORTER})")
    options = parser.parse_args(args)
    keep_quiet()
    text = plain(" ".join(options.words))
    numbers = is_list(text)
    chosen = options.model or (SORTER if numbers else TRANSLATOR)
    asked = " ".join(re.findall(r"-?\d+", text)) if numbers else text.strip()
    try:
        (answer,) = load_trained(chosen, SequenceModel).answer([asked])
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    print(f"{asked} -> {answer}")
    print(f"model   {chosen}")
    print(f"next    {EXAMPLES[TRANSLATOR if numbers else SORTER]}")


if __name__ == "__main__":
    main()
