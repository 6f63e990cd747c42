"""The planner and its command: plans succeed where they are replayed, files go on where they stopped."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from datamodules.pusht import read_keypoints
from envs import t_block
from envs.physics import get_state
from envs.pusht import PushT
from planning import planner
from planning.beam_search import BeamSearch
from planning.planner import main, plan, plan_episode, plan_episodes, steps_to_success

SMALL = BeamSearch(beam=8, samples=24, first_samples=128, refinements=8, depth=6)


def test_a_plan_from_the_middle_of_an_episode_succeeds():
    env = PushT("state")
    env.reset(options={"reset_to_state": [330, 150, 280, 235, np.pi / 4 + 0.2]})
    for step in range(14):
        env.step([330 - 4 * step, 150 + 8 * step])
    state = get_state(env)
    assert np.abs(state[7:]).max() > 1, "the block should be moving"
    found = plan(state, seed=0, search=SMALL)
    assert steps_to_success(env, found.actions) is not None  # in the very environment that it was asked for


def test_an_episode_is_planned_for_its_own_reset():
    found = plan_episode({"seed": 100_002}, search=SMALL)
    env = PushT("state", legacy_resets=True)
    env.reset(seed=100_002)
    assert steps_to_success(env, found.actions) == len(found.actions)


def test_attempts_are_counted_and_failures_are_none(monkeypatch):
    state = np.array([50, 60, 0, 0, *t_block.TARGET_POSE, 0, 0, 0])
    searched = []

    class Stubborn(BeamSearch):
        def plans(self, state, seed):
            searched.append(seed)
            return [] if len(searched) < 3 else super().plans(state, seed)

    assert plan(state, seed=7, search=Stubborn()).attempts == 3
    assert searched == [[7, 0], [7, 1], [7, 2]]
    searched.clear()
    assert plan(state, seed=7, attempts=2, search=Stubborn()) is None


def test_a_plan_that_fails_in_the_environment_is_not_returned():
    class Wrong(BeamSearch):
        def plans(self, state, seed):
            return [np.full((5, 2), 20.0)]

    state = np.array([50, 60, 0, 0, 200, 200, 0, 0, 0, 0.0])
    assert plan(state, search=Wrong()) is None


def test_the_command_writes_demonstrations_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(planner.BeamSearch, "__init__", lambda self: SMALL_FIELDS(self))
    out, unfinished = tmp_path / "new" / "demos.parquet", tmp_path / "new" / "demos.plans.jsonl"
    call = ["--first-seed", "100001", "--workers", "1", "--out", str(out)]
    settings = {"legacy_resets": True, "attempts": planner.ATTEMPTS}
    first = plan_episodes([{"seed": 100_002}], unfinished, 1, **settings)
    with unfinished.open("a") as file:
        file.write('{"seed": 100001, "torn')
    main([*call, "--episodes", "2"])
    output = capsys.readouterr()
    assert "1 of 2 episodes were planned before" in " ".join(output.err.split())
    assert "solved 2" in output.out
    assert not unfinished.exists()
    table = pq.read_table(out)
    facts = json.loads(table.schema.metadata[b"firstlight"])
    assert facts["seed_of_each_episode"] == [100_001, 100_002]
    assert facts["mean_cpu_seconds"] > 0
    demos = read_keypoints(str(out))
    assert len(demos.starts) == 2
    # Every episode succeeds with its last step, and only there.
    successes = np.flatnonzero(table["next.success"].to_numpy())
    np.testing.assert_array_equal(successes, demos.ends.numpy() - 1)
    np.testing.assert_array_equal(demos.actions[demos.starts[1] :].numpy(), first[0]["actions"])


def SMALL_FIELDS(search):
    for name, value in vars(SMALL).items():
        object.__setattr__(search, name, value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "demos.csv"], ["demos.csv", ".parquet"]),
        (["--out", "x.parquet", "--episodes", "0"], ["0 is not a whole number from 1"]),
        (["--out", "x.parquet", "--workers", "two"], ["two is not a whole number from 1"]),
        (["--out", "x.parquet", "--first-seed", "-3"], ["--first-seed: -3 is not a whole number from 0"]),
        (["--out", "x.parquet", "--first-seed", str(2**32)], ["is not a whole number from 0 to 4294967295"]),
        (["--out", "x.parquet", "--first-seed", str(2**32 - 1), "--episodes", "2"], ["2 seeds from 4294967295 on"]),
        (["--out", "x.parquet", "--episodes", str(10**12)], ["is not a whole number from 1 to 1000000"]),
        (["--out", "x.parquet", "--episodes", "9" * 5000], ["is not a whole number from 1 to 1000000"]),
        (["--out", "x.parquet", "--workers", "100000"], ["is not a whole number from 1 to 1024"]),
        ([], ["--out"]),
    ],
)
def test_mistakes_are_one_line(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert all(word in message for word in words)


def test_other_settings_do_not_continue_a_file(tmp_path, capsys):
    (tmp_path / "demos.plans.jsonl").write_text(
        json.dumps({"search": {}, "legacy_resets": False, "attempts": 4}) + "\n"
    )
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path / "demos.parquet"), "--episodes", "1"])
    message = capsys.readouterr().err.splitlines()[-1]
    assert "legacy_resets=False" in message
    assert "delete it" in message


def test_a_state_of_another_size_is_named():
    with pytest.raises(ValueError, match="10 finite numbers"):
        plan(np.zeros(5))


def test_no_attempt_is_no_plan():
    with pytest.raises(ValueError, match="attempts=0"):
        plan(np.zeros(10), attempts=0)
