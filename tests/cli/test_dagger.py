"""`python -m cli.dagger`: the planner goes on where a policy failed."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from cli import dagger
from datamodules.pusht import read_keypoints
from envs.episode import Episode
from planning import planner
from planning.dagger import states_after
from tests.planning.test_planner import SMALL_FIELDS

ASIDE = np.full((40, 2), 30.0, dtype=np.float32)  # the pointer goes into a corner of the world


def episode(seed, success):
    coverages = np.full(len(ASIDE), 0.1)
    coverages[-1] = 0.96 if success else 0.1
    return Episode(seed, ASIDE, coverages)


@pytest.mark.parametrize(("option", "corrected"), [([], 1), (["--successes"], 2)])
def test_the_command_writes_ways_to_the_target_from_where_the_policy_was(option, corrected, tmp_path, monkeypatch):
    monkeypatch.setattr(planner.BeamSearch, "__init__", lambda self: SMALL_FIELDS(self))
    monkeypatch.setattr(dagger, "run_checkpoint", lambda path, seeds: [episode(s, s % 2 == 0) for s in seeds])
    out = tmp_path / "corrections.parquet"
    call = ["--checkpoint", "x.ckpt", "--out", str(out), "--workers", "1", "--after-steps", "20"]
    dagger.main([*call, "--first-seed", "1000001", "--seeds", "2", *option])
    demos, rows = read_keypoints(str(out)), pq.read_table(out)
    facts = json.loads(rows.schema.metadata[b"firstlight"])
    assert (facts["episodes_tried"], facts["episodes_that_failed"], facts["solved"]) == (2, 1, corrected)
    assert len(demos.starts) == corrected
    start = states_after(episode(1_000_001, False), (20,))[0]
    np.testing.assert_allclose(rows["block_pose"][0].as_py(), start[2:], rtol=1e-6)
    np.testing.assert_allclose(demos.observations[0, :2], start[:2], atol=1 / 64)
    successes = np.flatnonzero(rows["next.success"].to_numpy())
    np.testing.assert_array_equal(successes, demos.ends.numpy() - 1)
    assert not out.with_suffix(".plans.jsonl").exists()


def test_a_policy_that_never_fails_leaves_nothing_to_correct(tmp_path, monkeypatch):
    monkeypatch.setattr(dagger, "run_checkpoint", lambda path, seeds: [episode(s, True) for s in seeds])
    out = tmp_path / "corrections.parquet"
    with pytest.raises(SystemExit, match="0 of 1 episodes to go on from"):
        dagger.main(["--checkpoint", "x", "--seeds", "1", "--out", str(out)])
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "x.csv"], ["x.csv", ".parquet"]),
        (["--out", "x.parquet", "--after-steps", "0"], ["0 is not a whole number from 1"]),
        (["--out", "x.parquet", "--after-steps", "301"], ["301 is not a whole number from 1 to 300"]),
        (["--out", "x.parquet", "--first-seed", "-5"], ["--first-seed: -5 is not a whole number from 0"]),
        (["--out", "x.parquet", "--first-seed", str(2**32 - 1)], ["1000 seeds from 4294967295 on"]),
        (["--out", "x.parquet", "--seeds", "many"], ["many is not a whole number from 1"]),
        (["--out", "x.parquet"], ["there are no weights nowhere.ckpt", "pusht_human"]),
    ],
)
def test_mistakes_are_one_line(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        dagger.main(["--checkpoint", "nowhere.ckpt", *arguments])
    assert caught.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert all(word in message for word in words), message
