import os

import pytest

from datamodules.sources import DATA_VARIABLE


@pytest.fixture
def human_data() -> str:
    """The human Push-T demonstrations; tests that need them skip where they are absent."""
    folder = os.path.join(os.environ.get(DATA_VARIABLE, ""), "pusht")
    if not os.environ.get(DATA_VARIABLE) or not os.path.isdir(folder):
        pytest.skip(f"{DATA_VARIABLE} names no folder with pusht/")
    return folder
