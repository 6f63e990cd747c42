import multiprocessing
import os
import signal
import time
from functools import partial

import pytest
from filelock import FileLock

from cli import own_process
from cli.own_process import Failed, OwnProcess, Returned, Stopped, call_all, outcomes, stopping_by_signals


@pytest.fixture(autouse=True)
def forked(monkeypatch):
    """Processes that need no imports."""
    monkeypatch.setattr(own_process, "CONTEXT", multiprocessing.get_context("fork"))


def outcome(work, *arguments, output, answer=lambda message: None):
    with OwnProcess(work, arguments, output, answer) as process:
        while not (ended := outcomes([process], 10)):
            pass
    return ended[process]


def add(a, b, ask):
    print("adding")
    return a + b


def test_a_call_returns_and_what_it_prints_goes_to_a_file(tmp_path):
    assert outcome(add, 1, 2, output=tmp_path / "output.txt") == Returned(3)
    assert (tmp_path / "output.txt").read_text() == "adding\n"


def count_down(start, ask):
    while start := ask(start):
        pass
    return "zero"


def test_it_asks_and_is_answered(tmp_path):
    asked = []

    def answer(number):
        asked.append(number)
        return number - 1

    assert outcome(count_down, 3, output=tmp_path / "o", answer=answer) == Returned("zero")
    assert asked == [3, 2, 1]


def fail(error, ask):
    raise error


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("the loss\nis nan"), "the loss is nan"),
        (OSError("disk full"), "disk full"),
        (MemoryError("8 TB"), "MemoryError: 8 TB"),
        (RuntimeError(), "RuntimeError: "),
        (ValueError(), "ValueError: "),
    ],
)
def test_an_error_is_one_line_and_its_trace_is_kept(error, reason, tmp_path):
    assert outcome(fail, error, output=tmp_path / "o") == Failed(reason)
    assert "Traceback" in (tmp_path / "o").read_text()


def die(number, ask):
    if number == signal.SIGINT:  # which a shell's background job ignores
        signal.signal(number, signal.default_int_handler)
    os.kill(os.getpid(), number)
    time.sleep(60)


def test_one_that_the_system_kills_failed(tmp_path):
    assert "signal 9" in outcome(die, signal.SIGKILL, output=tmp_path / "o").reason


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_is_told_to_stop_was_stopped(number, tmp_path):
    assert outcome(die, number, output=tmp_path / "o") == Stopped(128 + number)


def leave(ask):
    raise SystemExit(143)


def test_one_that_stops_by_itself_was_stopped(tmp_path):
    assert outcome(leave, output=tmp_path / "o") == Stopped(143)


def hold(path, ask):
    with FileLock(path):
        ask("holding")
        time.sleep(60)


def start_and_hold(path, output):
    with OwnProcess(hold, (path,), output, lambda message: output.with_name("held").touch()) as process:
        outcomes([process], 60)


def test_it_dies_with_the_process_that_started_it(tmp_path):
    parent = multiprocessing.get_context("fork").Process(
        target=start_and_hold, args=(tmp_path / "lock", tmp_path / "o")
    )
    parent.start()
    while not (tmp_path / "held").exists():
        assert parent.is_alive()
        time.sleep(0.01)
    parent.kill()
    parent.join()
    with FileLock(tmp_path / "lock", timeout=30):
        pass


def test_leaving_ends_it(tmp_path):
    with OwnProcess(hold, (tmp_path / "lock",), tmp_path / "o") as process:
        assert outcomes([process], 10) == {}  # it holds the lock
    FileLock(tmp_path / "lock").acquire(timeout=0)


def test_several_are_served_at_once(tmp_path):
    with (
        OwnProcess(count_down, (2,), tmp_path / "a", lambda n: n - 1) as a,
        OwnProcess(add, (1, 2), tmp_path / "b") as b,
    ):
        ended = {}
        while len(ended) < 2:
            ended |= outcomes([p for p in (a, b) if p not in ended], 10)
    assert ended == {a: Returned("zero"), b: Returned(3)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_block_with_its_number(number):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as exit_, stopping_by_signals():
        signal.raise_signal(number)
    assert exit_.value.code == 128 + number
    assert signal.getsignal(number) == before


def meet(name, other, folder, ask):
    (folder / name).touch()
    while not (folder / other).exists():
        time.sleep(0.01)
    if name == "c":
        raise ValueError("no")
    return name


def test_all_are_called_so_many_at_once(tmp_path):
    """Each waits for the one beside it."""
    place, ended = tmp_path / "place", {}
    place.mkdir()
    others = {"a": "b", "b": "a", "c": "d", "d": "c"}
    waiting = {name: partial(OwnProcess, meet, (name, others[name], place), tmp_path / name) for name in others}
    call_all(waiting, 2, lambda name, outcome: ended.update({name: outcome}))
    assert ended == {name: Failed("no") if name == "c" else Returned(name) for name in "abcd"}


def stop(ask):
    raise SystemExit(143)


def test_where_one_is_told_to_stop_all_are(tmp_path):
    waiting = {"a": partial(OwnProcess, stop, (), tmp_path / "a"), "b": partial(OwnProcess, fail, (), tmp_path / "b")}
    ended = []
    with pytest.raises(SystemExit) as caught:
        call_all(waiting, 1, lambda *told: ended.append(told))
    assert (caught.value.code, ended) == (143, [])
