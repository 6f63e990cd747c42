import logging
import warnings

import pytest

from cli.quiet import LOGGERS, keep_quiet


@pytest.fixture(autouse=True)
def restored():
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [list(logger.filters) for logger in loggers]
    with warnings.catch_warnings():
        yield
    for logger, filters in zip(loggers, before, strict=True):
        logger.filters[:] = filters


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("💡 Tip: For seamless cloud logging", False),
        ("TPU available: False, using: 0 TPU cores", False),
        ("GPU available: True (cuda), used: True", False),
        ("Seed set to 0", False),
        ("Using bfloat16 Automatic Mixed Precision (AMP)", False),
        ("`Trainer.fit` stopped: `max_epochs=2` reached.", False),
        ("`Trainer.fit` stopped: No training batches.", True),
        ("Time limit reached. Elapsed time is 0:01:00. Signaling Trainer to stop.", True),
        ("Metric val/loss improved by 0.1", True),
    ],
)
def test_what_lightning_notes(message, shown, caplog):
    keep_quiet()
    for name in LOGGERS:
        logger = logging.getLogger(name)
        with caplog.at_level(logging.INFO, name):
            caplog.clear()
            logger.addHandler(caplog.handler)
            logger.info(message)
            logger.removeHandler(caplog.handler)
            assert (message in caplog.messages) == shown


def warned(message: str, category: type[Warning], module: str) -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        keep_quiet()
        warnings.warn_explicit(message, category, "file.py", 1, module)
    return bool(caught)


@pytest.mark.parametrize("kind", [DeprecationWarning, FutureWarning, PendingDeprecationWarning])
def test_outdated_calls_within_libraries_are_theirs_to_mend_and_those_of_a_user_are_told(kind):
    assert not warned("`LeafSpec` is outdated", kind, "lightning.pytorch.utilities._pytree")
    assert not warned("soon gone", kind, "torch")
    assert warned("soon gone", kind, "torchy")
    assert warned("soon gone", kind, "mine")


def test_what_a_user_can_change_is_told():
    module = "lightning.pytorch.trainer"
    assert not warned("The 'train_dataloader' does not have many workers", UserWarning, module)
    assert not warned("Precision bf16-mixed is not supported by the model summary.", UserWarning, module)
    assert warned("3 of 8 answers were cut off before they ended", UserWarning, module)
    assert warned("GPU available but not used. You can set it", UserWarning, module)


def test_it_can_be_asked_for_again():
    keep_quiet()
    filters = list(warnings.filters)
    keep_quiet()
    assert len(warnings.filters) == len(filters)
    assert all(len(logging.getLogger(name).filters) <= 1 for name in LOGGERS)
