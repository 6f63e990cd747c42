"""The script for a GPU goes on whatever fails, and says what did."""

import argparse
import json
import time

import pytest
import yaml

from benchmarks.gpu import report, steps
from benchmarks.gpu.__main__ import ROOT, Stay, _clock, _overlay, brought_out


@pytest.fixture
def stay(tmp_path):
    (tmp_path / "work").mkdir()
    given = argparse.Namespace(out=tmp_path, device="cpu", minutes=1.0, data=None)
    return Stay(given, tmp_path / "work")


def test_a_part_that_fails_leaves_its_last_words(stay):
    done = stay.run("broken", ["-c", "raise SystemExit('no such thing')"], 60)
    assert done["code"] == 1
    assert "no such thing" in done["error"]
    assert "no such thing" in (stay.out / "log.txt").read_text()
    assert "error" not in stay.run("whole", ["-c", "print(1)"], 60)


def test_a_part_that_takes_too_long_is_ended(stay):
    begin = time.monotonic()
    done = stay.run("long", ["-c", "import time; print('begun', flush=True); time.sleep(100)"], 3)
    assert time.monotonic() - begin < 60
    assert done["ended"] == "its 3 seconds were over"
    assert "begun" in done["error"]


def test_each_part_is_in_the_report(tmp_path):
    written = report.Report(tmp_path, "cpu", 1.0)
    row = {"name": "mnist_mlp", "how": "fit", "seconds": 0.002, "memory": 2**21}
    written.write("steps", {"seconds": 3.0, "figures": [row, {"name": "pusht", "how": "fit", "error": "no room"}]})
    written.write("cifar10", {"code": 1, "error": "no data", "figures": {}})
    written.write("tests", {"broken": True})
    page = (tmp_path / "gpu.md").read_text()
    assert "| mnist_mlp | fit | 2.00 | 500.0 | 2 |  |" in page
    assert "no room" in page
    assert "no data" in page
    assert "no table: KeyError" in page
    assert json.loads((tmp_path / "gpu.json").read_text())["steps"]["figures"][0] == row


def test_the_overlay_is_the_shipped_one_on_a_gpu(stay):
    shipped = yaml.safe_load((ROOT / "configs/with/gpu_ddpm.yaml").read_text())
    assert yaml.safe_load(_overlay(stay).read_text()) != shipped
    stay.on_gpu = stay.cifar10 = True
    assert yaml.safe_load(_overlay(stay).read_text()) == shipped


def test_time_as_lightning_wants_it():
    assert [_clock(seconds) for seconds in (59.9, 60, 245.5)] == ["00:00:00:59", "00:00:01:00", "00:00:04:05"]


def test_what_cannot_be_brought_out_leaves_what_is_there(stay, capsys):
    (stay.out / "model.safetensors").write_text("older")
    brought_out(stay.work / "no run", stay.out, stay.work)
    assert (stay.out / "model.safetensors").read_text() == "older"
    assert "weights not brought out" in capsys.readouterr().err


def test_each_family_is_measured():
    for device in steps.SIZES:
        measured = {(name, how) for name, how, _ in steps.contests(device)}
        for family in steps.step_time.FAMILIES:
            assert {(family, "fit"), (family, "bare loop")} <= measured
