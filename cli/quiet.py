"""What libraries say in a run that tells its user nothing, left out by Python's filters of warnings and of logs.

Everything that is not named here is shown: what a user can do something about is theirs to read.
"""

import logging
import re
import warnings

LOGGERS = tuple(f"lightning.{part}" for part in ("pytorch.utilities.rank_zero", "fabric.utilities.seed"))
# Lightning's notes: advertisements, and what the first and the last lines of a run say better.
NOTES = re.compile(
    "|".join(
        (
            r"💡 Tip",
            r"(GPU|TPU|HPU) available: ",
            r"Seed set to ",
            r"Using (16bit|bfloat16) (None )?Automatic Mixed Precision",
            r"`Trainer\.fit` stopped: `max_(epochs|steps)=",
            r"`Trainer\(.*\)` was configured so ",
            r"Loading `train_dataloader` to estimate number of stepping batches",
            r"Found current_model_state in the checkpoint\. This will be used to initialize the model",
            r"Restoring states from the checkpoint path at ",
            r"(Restored all states|Loaded model weights) from the checkpoint at ",
        )
    )
)
# Beginnings of warnings, as regular expressions.
WARNINGS = (
    # Data sets live in memory as tensors: worker processes would only copy them.
    r"The '\w+' does not have many workers",
    r"LightningCLI's args parameter is intended to run from within Python",
    r"Precision .* is not supported by the model summary",
    r"Total length of `list` across ranks is zero",  # nothing is held out, so there is no validation
    r"When using the `ThroughputMonitor`, you need to define a `flops_per_batch`",  # batches a second are asked for
    # Averaged weights, and metrics that are networks, stay in eval mode.
    r"Found \d+ module\(s\) in eval mode at the start of training",
    r"Checkpoint directory .* exists and is not empty",
    r"The dirpath has changed from ",  # a test has a folder of its own
    # The averaged weights are those that a checkpoint holds for use.
    r"You're using the WeightAveraging callback, but loading a checkpoint outside the 'fit' stage",
)
# What becomes of a library's functions is for those to know who call them; of these, none is a user's own code.
LIBRARIES = (
    r"(lightning|lightning_utilities|torch|torchvision|torchmetrics|jsonargparse|datasets|gymnasium|pymunk)(\.|$)"
)
DEPRECATIONS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


def keep_quiet() -> None:
    """Leave out what is named above, in this process and from now on."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_tells_something)
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message)
    for category in DEPRECATIONS:
        warnings.filterwarnings("ignore", category=category, module=LIBRARIES)


def _tells_something(record: logging.LogRecord) -> bool:
    return not NOTES.match(record.getMessage())
