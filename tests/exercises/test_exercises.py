"""Every exercise is started, fails, is filled in by the project's own solution, and passes."""

import ast

import pytest

from exercises.__main__ import main
from exercises.hole import EMPTY, Hole
from exercises.road import EXERCISES, ROAD

TRAINING = {"two_layer_mlp", "training_step"}  # take seconds
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in TRAINING else ()) for name in EXERCISES]


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def run(capsys, *args: str) -> tuple[int, str, str]:
    """Exit code, and what was printed."""
    code = 0
    try:
        main(list(args))
    except SystemExit as stop:
        code = stop.code
    return (code, *capsys.readouterr())


@pytest.mark.parametrize("name", NAMES)
def test_start_check_solve_check(name, capsys):
    exercise = EXERCISES[name]
    code, told, _ = run(capsys, "start", name)
    assert code == 0
    assert exercise.title in told
    assert exercise.task in told
    started = exercise.path.read_text()
    code, told, _ = run(capsys, "check", name)
    assert code == 1
    assert EMPTY in told
    assert told.count("\n") == 1
    _, solution, _ = run(capsys, "solution", name)
    solved = filled(started, exercise.function.__qualname__, solution)
    assert solved.endswith(Hole(exercise.function).source)
    exercise.path.write_text(solved)
    code, told, _ = run(capsys, "check", name)
    assert (code, told.splitlines()[0]) == (0, f"{name}: right")


def filled(started: str, name: str, solution: str) -> str:
    """The file with the function of this name replaced."""
    node = ast.parse(started)
    for part in name.split("."):
        node = next(n for n in node.body if getattr(n, "name", None) == part)
    lines = started.splitlines(keepends=True)
    return "".join([*lines[: node.lineno - 1], solution, *lines[node.end_lineno :]])


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_that_returns_nothing_fails_in_one_line(name, capsys):
    """Each grader says what it expected of an answer that only passes."""
    run(capsys, "start", name)
    path = EXERCISES[name].path
    path.write_text(path.read_text().replace(f'raise NotImplementedError("{EMPTY}")', "pass"))
    code, told, _ = run(capsys, "check", name)
    assert code == 1
    assert told.startswith(f"{name}: ")
    assert told.count("\n") == 1
    assert "expected" in told
    assert "got" in told


def test_there_are_enough_and_each_says_what_to_do():
    assert len(EXERCISES) == sum(len(stage.exercises) for stage in ROAD) >= 24
    for exercise in EXERCISES.values():
        assert exercise.title
        assert exercise.task
        assert exercise.level in (1, 2, 3)
        assert exercise.grader.__doc__


def test_the_road_is_listed(capsys):
    run(capsys, "start", "relu")
    code, told, _ = run(capsys, "list")
    assert code == 0
    lines = told.splitlines()
    assert all(len(line) <= 100 for line in lines)
    begun = [line for line in lines if line.endswith("started")]
    assert len(begun) == 1
    assert "relu" in begun[0]
    for stage in ROAD:
        assert stage.title in lines
