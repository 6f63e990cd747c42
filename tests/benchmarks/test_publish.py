import json
from pathlib import Path

from benchmarks.publish import runs_in


def test_the_runs_of_repeat(tmp_path):
    """As they lie beside its report, wherever that was begun."""
    assert runs_in(tmp_path) == [tmp_path]
    runs = [f"elsewhere/runs/repeat/mnist_mlp/seed_{seed}" for seed in (3, 4)]
    Path(tmp_path, "repeat.json").write_text(json.dumps({"runs": runs}))
    assert runs_in(tmp_path) == [tmp_path / "seed_3", tmp_path / "seed_4"]
