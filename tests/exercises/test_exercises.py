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
    assert all(len(line) <= 80 for line in lines)
    begun = [line for line in lines if line[3:6] == " > "]
    assert len(begun) == 1
    assert "relu" in begun[0]
    for stage in ROAD:
        assert stage.title in lines


def answered(name: str, code: str, capsys) -> str:
    """What `check` says of an exercise whose hole was filled with this line."""
    run(capsys, "start", name)
    path = EXERCISES[name].path
    path.write_text(path.read_text().replace(f'raise NotImplementedError("{EMPTY}")', code))
    code, told, _ = run(capsys, "check", name)
    assert code == 1
    assert told.count("\n") == 1
    path.unlink()
    return told


def test_what_is_wrong_is_said_with_expected_and_got(capsys):
    said = answered("relu", "return dy", capsys)
    assert said.startswith("relu: gradient of the input: expected 0, got ")
    assert "] differ" not in said
    assert "differ" in said
    said = answered("relu", "return dy[:2]", capsys)
    assert said == "relu: gradient of the input: expected an array of shape (3, 4), got an array of shape (2, 4)\n"
    said = answered("relu", "return 'nothing'", capsys)
    assert said == "relu: gradient of the input: expected an array of shape (3, 4), got a str\n"
    said = answered("linear", "return dy @ self.weight.value", capsys)
    assert said == ("linear: gradient of weight: expected an array of shape (3, 4), got None: is a return missing?\n")


def test_an_answer_that_stops_says_where(capsys):
    run(capsys, "start", "relu")
    lines = EXERCISES["relu"].path.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "raise NotImplementedError" in text)
    EXERCISES["relu"].path.unlink()
    assert answered("relu", "return dy / nothing", capsys) == (
        f"relu: my_exercises/relu.py, line {line}: NameError: name 'nothing' is not defined\n"
    )
    assert f"relu: my_exercises/relu.py, line {line}: " in answered("relu", "return dy ** ** 2", capsys)


def test_start_says_which_line_to_open(capsys):
    _, told, _ = run(capsys, "start", "causal_mask")
    line = int(told.split("line ")[1].split()[0])
    assert "your code" in EXERCISES["causal_mask"].path.read_text().splitlines()[line - 1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["start", "lineer"], "there is no exercise 'lineer'; did you mean linear"),
        (["check", "xyz"], "there is no exercise 'xyz'; did you mean one of: python -m exercises list?"),
        (["solution", "xyz"], "there is no exercise 'xyz'"),
        (["check", "relu"], "my_exercises/relu.py cannot be read; begin with python -m exercises start relu"),
        (["check"], "no exercise was started yet; python -m exercises list shows them"),
    ],
)
def test_wrong_words_get_one_line(words, message, capsys):
    code, _, said = run(capsys, *words)
    assert code == 2
    assert said.count("\n") == 1
    assert message in said


def test_what_was_written_is_not_written_over(capsys):
    run(capsys, "start", "relu")
    before = EXERCISES["relu"].path.read_text()
    code, _, said = run(capsys, "start", "relu")
    assert code == 2
    assert said == "exercises: my_exercises/relu.py is there already; delete it to start again\n"
    assert EXERCISES["relu"].path.read_text() == before


def test_all_that_were_started_are_checked(capsys):
    run(capsys, "start", "relu")
    run(capsys, "start", "alibi")
    code, told, _ = run(capsys, "check")
    assert code == 1
    assert [line.split(":")[0] for line in told.splitlines()] == ["relu", "alibi"]
