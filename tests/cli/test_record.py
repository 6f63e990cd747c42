"""`python -m cli.record`: a policy's best episodes in a file."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from cli import record
from envs.episode import Episode


def episode(seed, length, success):
    rng = np.random.default_rng(seed)
    coverages = np.full(length, 0.5)
    coverages[-1] = 0.97 if success else 0.5
    return Episode(seed, rng.uniform(100, 400, (length, 2)).astype(np.float32), coverages)


def test_record_command(tmp_path, monkeypatch, capsys):
    def run(path, seeds):
        return [episode(s, 20, s % 2 == 0) for s in seeds]

    monkeypatch.setattr(record, "run_checkpoint", run)
    out = tmp_path / "demos.parquet"
    args = [
        "--checkpoint",
        "x.ckpt",
        "--out",
        str(out),
        "--seeds",
        "3",
        "--attempts",
        "2",
        "--keep",
        "1",
    ]
    record.main(args)
    assert "4 of 6 episodes succeeded" in capsys.readouterr().out
    provenance = json.loads(pq.read_schema(out).metadata[b"firstlight"])
    assert provenance["episodes_that_succeeded"] == 4
    assert provenance["episodes_kept"] == 1


def test_record_keeps_nothing_where_nothing_succeeds(tmp_path, monkeypatch):
    def run(path, seeds):
        return [episode(s, 20, False) for s in seeds]

    monkeypatch.setattr(record, "run_checkpoint", run)
    out = tmp_path / "demos.parquet"
    with pytest.raises(SystemExit, match="none of 3 episodes succeeded"):
        record.main(["--checkpoint", "x", "--out", str(out), "--seeds", "3", "--attempts", "1"])
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--first-seed", "-5"], "--first-seed: -5 is not a whole number from 0 to 4294967295"),
        (["--first-seed", str(2**32 - 100)], "350 seeds from 4294967196 on go past"),
        (["--attempts", "0"], "0 is not a whole number from 1"),
        (["--attempts", "1000000", "--seeds", "2"], "--seeds 2 with --attempts 1000000"),
        (["--seeds", "-1"], "-1 is not a whole number from 1"),
        (["--keep", "1e3"], "1e3 is not a whole number"),
    ],
)
def test_record_refuses_in_one_line(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        record.main(["--checkpoint", "nowhere.ckpt", "--out", "x.parquet", *arguments])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
