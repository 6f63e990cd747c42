"""`publish`: from a run to a folder, and from there to a Hub and back."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, constants
from PIL import Image
from safetensors.torch import load_file

import train
from checkpoints import hub
from checkpoints.load_pretrained import load_pretrained
from checkpoints.load_trained import load_trained
from cli.parser import CommandError
from tests.checkpoints.hub_server import TOKEN, hub_server
from tests.cli.runs import RUN, SHORT, TOYS, toy


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder of all runs, with one in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("trained"))
        toy("fit", "--data.size=6", "--seed_everything=3")
        return Path("runs").absolute()


@pytest.fixture(autouse=True)
def run(finished, tmp_path, monkeypatch) -> Path:
    """A finished run, in the current folder, and no Hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    shutil.copytree(finished, "runs")
    return RUN


def publish(*words) -> None:
    train.main(["publish", *map(str, words)])


def test_a_folder_holds_all_that_another_needs(run, capsys):
    publish(run, "--to", "./shared/toy")
    folder = Path("shared/toy")
    names = {"model.safetensors", "config.yaml", "training.yaml", "card.json", "README.md"}
    assert {file.name for file in folder.iterdir()} == names
    assert capsys.readouterr().err.endswith("published in ./shared/toy; open it with load_pretrained('./shared/toy')\n")
    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    weights = load_file(folder / "model.safetensors")
    assert weights.keys() == best.keys()
    assert all(torch.equal(weights[name], best[name]) for name in best)
    card = json.loads((folder / "card.json").read_text())
    tested = toy("test", "--data.size=6", f"--ckpt_path={run}/checkpoints/best.ckpt").trainer.callback_metrics
    assert card["metrics"] == {"test/loss": pytest.approx(float(tested["test/loss"]))}
    assert card["seeds"] == [3]
    assert ModelCard.load(folder / "README.md").data.eval_results[0].metric_value == card["metrics"]["test/loss"]
    again = load_pretrained(folder, trust_remote_config=True)
    assert torch.equal(again.network.layers[0].weight, best["network.layers.0.weight"])
    assert not list(Path("shared").glob("toy.*")), "nothing half done is left"
    assert {path.name for path in run.parent.iterdir()} == {"version_0", "version_1"}, "its own test leaves no run"


@pytest.mark.slow
def test_the_commands_of_a_card_work_where_it_lies(run, monkeypatch):
    publish(run, "--to", "toy")
    monkeypatch.chdir("toy")
    card = json.loads(Path("card.json").read_text())
    words = card["command"].split()
    assert words[0] == "firstlight"
    metrics = train.main(words[1:]).trainer.callback_metrics
    assert float(metrics["test/loss"]) == pytest.approx(card["metrics"]["test/loss"])
    train.main(["fit", "--config", "training.yaml"])
    trained, shared = load_trained(next(Path("runs").glob("*/*"))), load_trained(".")
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), shared.parameters(), strict=True))


def test_paths_of_this_machine_are_not_shared(run, tmp_path):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["trainer"]["default_root_dir"] = str(tmp_path)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    publish(run, "--to", "toy")
    for file in Path("toy").iterdir():
        assert str(tmp_path).encode() not in file.read_bytes(), file


def test_to_the_hub_and_back(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    Image.new("RGB", (4, 4)).save("drawn.PNG")
    with hub_server(str(tmp_path / "kept")) as server:
        publish(run, "--to", "me/toy", "--private", "--media", "drawn.PNG", "--licence", "cc-by-4.0")
        assert server.private == {"me/toy"}
        files = server.repositories["me/toy"]
        assert {"model.safetensors", "config.yaml", "card.json", "README.md", "sample.png"} <= files.keys()
        assert f"{server.endpoint}/me/toy/commit/" in capsys.readouterr().err
        loaded = load_pretrained("me/toy", trust_remote_config=True)
        ours = load_trained(run)
        assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), ours.parameters(), strict=True))
        read = ModelCard(files["README.md"].decode())
        assert (read.data.license, read.data.model_name) == ("cc-by-4.0", "toy")
        assert "![sample](sample.png)" in read.text
        publish(run / "published", "--to", "me/again")  # has its figures already
        again = server.repositories["me/again"]
        assert {name: again[name] for name in again if name != "README.md"} == {
            name: files[name] for name in files if name != "README.md"
        }
        assert "load_pretrained('me/again')" in again["README.md"].decode()


def test_weights_of_the_hub_begin_a_run(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with hub_server(str(tmp_path / "kept")):
        publish(run, "--to", "me/toy")
        toy("fit", "--data.size=6", "--init_from=me/toy", "--trainer.limit_train_batches=0")
        assert "a new run from the weights of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("offline", "said"),
    [
        (False, "train.py: there is no model me/nothing, neither here nor on the Hub; "),
        (True, "train.py: me/nothing is not on this machine, and the Hub cannot be reached; "),
    ],
)
def test_what_the_hub_does_not_have_begins_no_run(offline, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    before = sorted(Path("runs").rglob("*"))
    with hub_server(str(tmp_path / "kept")), pytest.raises(SystemExit) as ended:
        train.command_line(["fit", *TOYS, *SHORT, "--init_from=me/nothing"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(said)
    assert sorted(Path("runs").rglob("*")) == before


def test_what_is_written_stays_where_the_hub_refuses(run, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with hub_server(str(tmp_path / "kept")) as server:
        server.read_only = True
        with pytest.raises(
            PermissionError, match=r"does not let you write to me/toy.* publish runs/ToyModel/version_0"
        ):
            publish(run, "--to", "me/toy")
    assert (run / "published/README.md").is_file()
    with pytest.raises(ConnectionError, match=r"^the Hub cannot be reached: [^\n]*; nothing is lost"):
        publish(run, "--to", "me/toy")


def test_no_network(run, monkeypatch):
    with pytest.raises(ConnectionError, match=r"^the Hub cannot be reached"):
        hub.upload(run, "me/toy")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "--to", "x"], "there are no weights nowhere"),
        (["me/toy", "--to", "x"], "there are no weights me/toy"),
        ([RUN], "publish: the following arguments are required: --to; see python train.py publish --help"),
        ([RUN, "--to", "x", "--too", "y"], "publish: unrecognized arguments: --too y"),
        ([RUN, "--to", "runs"], "there is something in runs already; give --to a new folder"),
        ([RUN, "--to", "x", "--private"], "--private is for the Hub, and x is a folder"),
        ([RUN, "--to", "me/toy@main"], "--to me/toy@main must be OWNER/NAME alone"),
        ([RUN, "--to", "x", "--media", "none.png"], "--media none.png must be a file that ends in .png"),
        ([RUN, "--to", "x", "--media", RUN / "config.yaml"], "must be a file that ends in .png"),
    ],
)
def test_mistakes_are_one_line(words, said, capsys):
    before = sorted(Path().rglob("*"))
    with pytest.raises(SystemExit) as ended:
        train.command_line(["publish", *map(str, words)])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert sorted(Path().rglob("*")) == before, "nothing is written"


def test_a_run_without_checkpoints_and_a_machine_without_a_token(run, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(hub, "get_token", lambda: None)
    with pytest.raises(
        PermissionError,
        match="the Hub does not know you: log in with `hf auth login`",
    ):
        publish(run, "--to", "me/toy")
    assert not (run / "published").exists()
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(FileNotFoundError, match="there are no weights"):
        publish(run, "--to", "x")
    with pytest.raises(CommandError, match="did you mean 'publish'"):
        train.main(["publsh", str(run)])
    assert not Path("x").exists()
