import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs import t_block


def table(lengths=(40, 30), **changes):
    rng = np.random.default_rng(0)
    n = sum(lengths)
    pose = np.stack([rng.uniform(200, 300, n), rng.uniform(200, 300, n), rng.uniform(0, 6, n)], 1)
    columns = {
        "observation.state": rng.uniform(50, 450, (n, 2)).astype(np.float32).tolist(),
        "observation.environment_state": t_block.corners(pose).reshape(n, 16).astype(np.float32).tolist(),
        "action": rng.uniform(50, 450, (n, 2)).astype(np.float32).tolist(),
        "episode_index": np.repeat(np.arange(len(lengths)), lengths).tolist(),
    } | changes
    return pa.table({name: column for name, column in columns.items() if column is not None})


@pytest.fixture
def write_demonstrations(tmp_path):
    """Writes a file of demonstrations and returns its path."""

    def write(**options) -> str:
        path = tmp_path / "demos.parquet"
        pq.write_table(table(**options), path)
        return str(path)

    return write
