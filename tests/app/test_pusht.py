"""Push-T on the page: whose step it is, what is kept, and that it replays."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from app import recorder
from app.tab import FIRST_SEED
from callbacks.rollouts import FIRST_TEST_SEED, VAL_SEEDS
from datamodules.pusht import read_keypoints
from envs import t_block
from envs.arguments import FIRST_RECORDING_SEED
from envs.pusht import PushT
from tests.app.visitor import app_state, client, visit

NEARLY = [262.0, 262.0, t_block.TARGET_POSE[2] + 0.05]


BOTH = pytest.mark.parametrize("out", ["kept", "kept.parquet"], indirect=True)  # a folder, a file


@pytest.fixture
def out(tmp_path, request):
    return tmp_path / getattr(request, "param", "kept")


@pytest.fixture
def visitor(tmp_path, out):
    with visit(client(app_state(tmp_path, out)), "pusht") as visitor:
        yield visitor


def push(visitor, target=(300.0, 310.0)):
    return visitor.ask("step", "state", driver="you", target=list(target))


def test_starts_are_far_from_all_others(visitor):
    assert visitor.hello["state"]["seed"] == FIRST_SEED
    assert max(*VAL_SEEDS, FIRST_TEST_SEED + 10**6, FIRST_RECORDING_SEED + 10**6) < FIRST_SEED
    assert visitor.ask("reset", "state")["seed"] == FIRST_SEED + 1
    assert visitor.ask("reset", "state", seed=3)["seed"] == 3


def test_your_steps_are_those_of_the_environment(visitor):
    env, targets = PushT("state", legacy_resets=True), np.random.default_rng(0).uniform(0, 512, (20, 2))
    env.reset(seed=7)
    visitor.ask("reset", "state", seed=7)
    for target in targets:
        state, _, _, _, info = env.step(target.astype(np.float32))
        view = push(visitor, target.tolist())
    assert view["pointer"] == pytest.approx(state[:2], abs=0.01)
    assert view["pose"] == pytest.approx(state[2:], abs=1e-4)
    assert view["coverage"] == pytest.approx(info["coverage"], abs=1e-4)
    assert view["steps"] == 20


def test_a_position_far_outside_is_the_edge(visitor):
    for _ in range(40):
        view = push(visitor, (10**12, -1e299))
    assert view["pointer"] == pytest.approx([512, 0], abs=0.1)


def test_the_block_is_moved_by_hand_and_an_episode_begins_there(visitor):
    pointer = push(visitor)["pointer"]
    view = visitor.ask("place", "state", pose=[100, 200, -np.pi / 2])
    assert view["pose"] == pytest.approx([100, 200, 3 * np.pi / 2], abs=1e-4)
    assert view["pointer"] == pytest.approx(pointer, abs=0.01)
    assert (view["steps"], view["seed"]) == (0, None)
    far = visitor.ask("place", "state", pose=[1e200, -1e200, 1e200])  # cut off at the edge
    assert far["pose"][:2] == [512, 0]


@BOTH
def test_what_is_kept_is_what_was_done(visitor, out):
    for _ in range(5):
        push(visitor)
    view = visitor.ask("keep", "state", unsolved=True)
    assert (view["kept"], view["steps"], view["seed"]) == (1, 0, FIRST_SEED + 1)
    visitor.ask("place", "state", pose=NEARLY)
    push(visitor, (10.0, 20.0))
    assert visitor.ask("keep", "state", unsolved=True)["kept"] == 2
    demos = read_keypoints(str(out))
    assert demos.lengths.tolist() == [5, 1]
    assert demos.actions[[0, 5]].tolist() == [[300, 310], [10, 20]]


@BOTH
def test_the_last_one_is_taken_back(visitor, out):
    for target in ((300.0, 310.0), (100.0, 110.0)):
        push(visitor, target)
        visitor.ask("keep", "state", unsolved=True)
    assert visitor.ask("undo", "state")["kept"] == 1
    assert read_keypoints(str(out)).actions.tolist() == [[300, 310]]
    assert visitor.ask("undo", "state")["kept"] == 0
    assert not out.exists()
    assert "nothing to take back" in visitor.ask("undo", "error")["text"]
    push(visitor)
    assert visitor.ask("keep", "state", unsolved=True)["kept"] == 1


def test_an_unsolved_episode_is_kept_only_when_asked_for(visitor, out):
    assert "nothing has been done" in visitor.ask("keep", "error", unsolved=True)["text"]
    push(visitor)
    for fields in ({}, {"unsolved": False}, {"unsolved": 1}, {"unsolved": "true"}):
        assert "not solved" in visitor.ask("keep", "error", **fields)["text"]
    assert not out.exists()
    assert visitor.ask("keep", "state", unsolved=True)["kept"] == 1


def test_an_episode_is_kept_once_although_the_disk_was_full(visitor, monkeypatch):
    push(visitor)
    with monkeypatch.context() as full:
        full.setattr(recorder, "record", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert "No space left" in visitor.ask("keep", "error", unsolved=True)["text"]
    assert visitor.ask("keep", "state", unsolved=True)["kept"] == 1


def test_without_out_nothing_is_kept(tmp_path):
    with visit(client(app_state(tmp_path)), "pusht") as visitor:
        assert not visitor.hello["records"]
        push(visitor)
        assert "--out" in visitor.ask("keep", "error", unsolved=True)["text"]


@pytest.mark.slow  # the planner's process begins
def test_an_episode_ends_where_it_is_solved_and_is_solved_in_the_file(tmp_path):
    out = tmp_path / "kept.parquet"
    with visit(client(app_state(tmp_path, out)), "pusht") as visitor:
        visitor.ask("place", "state", pose=NEARLY)
        plan = visitor.ask("plan", "plan")
        assert len(plan["pushing"]) == len(plan["actions"])
        assert any(plan["pushing"])
        for _ in plan["actions"]:
            view = visitor.ask("step", "state", driver="planner")
        assert view["solved"]
        assert view["steps"] == len(plan["actions"])
        after = [push(visitor, (256, 256)) for _ in range(3)]
        assert all({**one, "action": None} == {**view, "action": None} for one in after)
        replay = visitor.ask("replay", "replay")
        assert replay["same"]
        assert replay["drivers"] == ["planner"] * len(plan["actions"])
        assert replay["frames"][-1][:5] == pytest.approx([*view["pointer"], *view["pose"]], abs=0.01)
        assert visitor.ask("keep", "state")["kept"] == 1
    success = pq.read_table(out)["next.success"].to_pylist()
    assert success == [False] * (len(success) - 1) + [True]


def test_the_planner_acts_only_on_a_plan(visitor):
    assert "no plan" in visitor.ask("step", "error", driver="planner")["text"]


def test_a_policy_acts_and_its_chunk_is_shown_as_it_forms(visitor):
    visitor.ask("reset", "state", seed=1)
    view = visitor.ask("step", "state", driver="policy", policy="pusht", n_action_steps=3)
    steps, others = np.array(view["fan"]["steps"]), np.array(view["fan"]["others"])
    assert (steps.shape, others.shape) == ((8, 16, 2), (7, 16, 2))
    assert view["action"] == pytest.approx(steps[-1][0], abs=0.1)
    assert np.array(view["chunk"]) == pytest.approx(steps[-1][1:3], abs=0.1)
    assert "fan" not in visitor.ask("step", "state", driver="policy", policy="pusht", n_action_steps=3)
    taken_over = push(visitor)
    assert taken_over["chunk"] == []
    assert "fan" in visitor.ask("step", "state", driver="policy", policy="pusht", n_action_steps=3)  # and handed back
    for field, wrong in {"temperature": -1, "n_action_steps": 0, "policy": "mnist_mlp"}.items():
        fields = {"policy": "pusht", "temperature": 1.0, "n_action_steps": 1, field: wrong}
        push(visitor)
        assert field in visitor.ask("step", "error", driver="policy", **fields)["text"]


def test_the_same_seed_and_policy_act_the_same(visitor):
    runs = []
    for _ in range(2):
        visitor.ask("reset", "state", seed=11)
        runs.append([visitor.ask("step", "state", driver="policy", policy="pusht")["pointer"] for _ in range(5)])
    assert runs[0] == runs[1]


@pytest.mark.slow
def test_a_policy_reaches_success(visitor):
    visitor.ask("reset", "state", seed=FIRST_SEED)
    for _ in range(300):
        view = visitor.ask("step", "state", driver="policy", policy="pusht")
        if view["solved"]:
            break
    assert view["solved"]
    assert visitor.ask("replay", "replay")["same"]


def test_a_demonstration_begins_where_it_did(visitor):
    visitor.socket.send_text('{"do": "demonstration", "source": "bundled", "number": 2}')
    shown, view = visitor.next("demonstration"), visitor.next("state")
    assert view["pose"] == pytest.approx(shown["frames"][0][2:5], abs=0.02)
    assert view["pointer"] == pytest.approx(shown["frames"][0][:2], abs=0.02)
    assert shown["frames"][-1][5] > 0.9  # the bundled ones end in success
    assert "number" in visitor.ask("demonstration", "error", source="bundled", number=10**6)["text"]
