"""Everything in pretrained/ as ONNX files: ONNX Runtime gives what PyTorch gives, on random and on real inputs.

    python -m pytest -m slow -s tests/test_exported.py

prints the differences that `docs/export.md` tells.
"""

import re

import numpy as np
import pytest
import torch

import train
from checkpoints.load_trained import load_trained
from checkpoints.pretrained import read_config
from diffusion.noise import generators, randn
from lightning_modules.diffusion_policy import DiffusionPolicy
from networks.vocabulary import EOS, SEP, after_bos
from tests.exported import run, session, step_by_step
from tests.test_train import ROOT

pytestmark = pytest.mark.slow
CLASSES = {
    path.parent.name: read_config(path)["model"]["class_path"].rpartition(".")[2]
    for path in sorted((ROOT / "pretrained").glob("*/config.yaml"))
}
INT8 = ("--batch_size=1", "--int8")  # for one robot
TEXTS = {"sorting": ["5 3 9", "12 7 88 1 1"], "pig_latin": ["the quick brown fox", "stop"]}


def of(*endings):
    """The shipped models of classes whose names end so."""
    return pytest.mark.parametrize("name", [name for name, kind in CLASSES.items() if kind.endswith(endings)])


@pytest.fixture
def model(name):
    return load_trained(name)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A session of a shipped model's function, as the command writes it with these words, once."""
    folder = tmp_path_factory.mktemp("exported")

    def found(name: str, added: str = "", words: tuple = ()):
        path = folder / f"{name}{''.join(words)}.onnx"
        if not path.exists():
            train.main(["export", str(ROOT / "pretrained" / name), "--out", str(path), *words])
        return session(path.with_stem(path.stem + added))

    return found


def check(what, found, expected, allowed):
    """Prints and checks the largest difference of two arrays; returns all."""
    differences = np.abs(np.asarray(found, np.float64) - np.asarray(expected, np.float64))
    print(f"\n{what}: at most {differences.max():.1e} apart")
    assert found.shape == expected.shape
    assert differences.max() <= allowed
    return differences


def acted(own, noise, observation, rows=1):
    """Actions for so many rows at a time."""
    starts = range(0, len(noise), rows)
    parts = [run(own, noise=noise[at : at + rows], observation=observation[at : at + rows]) for at in starts]
    return np.concatenate([part["action"] for part in parts])


@torch.no_grad()
@of("Classifier")
@pytest.mark.parametrize("real", [False, True])
def test_classifiers(name, model, real, exported, request):
    if real:
        source = request.getfixturevalue(f"{name.partition('_')[0]}_data")
        from datamodules.cifar10 import CIFAR10
        from datamodules.mnist import MNIST
        from datamodules.svhn import SVHN

        data = {"mnist_mlp": MNIST, "cifar10_fast": CIFAR10, "svhn_classifier": SVHN}[name](source)
        data.setup("test")
        images = data.test_set.images[:200]
    else:
        images = torch.randint(256, (37, *model.hparams.shape), dtype=torch.uint8)
    expected = model.predict_step({"image": images}, 0)["probability"].numpy()
    found = run(exported(name), image=images)["probability"]
    check(f"{name}, {'test' if real else 'random'} images, probability", found, expected, 1e-5)


@torch.no_grad()
@of("GAN")
def test_gans(name, model, exported):
    labels = torch.arange(20) % 10
    latents = model.latents(20, torch.Generator().manual_seed(0))
    found = run(exported(name), latents=latents, labels=labels)["image"]
    check(f"{name}, levels of 256", found, model.sample(labels, latents=latents).numpy(), 1)


@torch.no_grad()
@of("DDPM")
def test_ddpms(name, model, exported):
    labels = torch.arange(5)
    noise = randn((5, *model.hparams.shape), generators(0, range(5)))
    expected = model.sample(labels, generator=generators(0, range(5))).numpy()
    found = run(exported(name), noise=noise, labels=labels)["image"]
    share = (check(f"{name}, levels of 256", found, expected, 1) > 0).mean()
    print(f"{name}: {share:.2%} of the levels differ")
    assert share < 1e-2


@torch.no_grad()
@of("Policy")
@pytest.mark.parametrize("real", [False, True])
def test_policies(name, model, real, exported):
    from datamodules.pusht import PushTDemos

    if real:
        data = PushTDemos("bundled", batch_size=200, val_share=0.1)
        data.setup("fit")
        observation = next(iter(data.val_dataloader()))["observation"]
    else:
        observation = 512 * torch.rand(200, 2, 18)
    count = len(observation)
    expected = model.act(observation, generators(0, range(count))).numpy()
    noise = randn((count, 16, 2), generators(0, range(count)))
    found = acted(exported(name), noise, observation, count)
    check(f"{name}, {'held-out' if real else 'random'} observations, pixels of 512", found, expected, 1e-2)


@torch.no_grad()
@of("LanguageModel", "Seq2Seq", "Tagger")
def test_texts_are_answered_alike(name, model, exported):
    for text in TEXTS[re.match("sorting|pig_latin", name)[0]]:
        source = torch.tensor(model.vocabulary.encode([text]))
        mask = torch.ones_like(source, dtype=torch.bool)
        read, read_mask = after_bos(source, mask)
        if name.endswith("_encoder"):
            logits = run(exported(name), tokens=read, tokens_mask=read_mask)["logits"]
            check(f"{name}, logits", logits, model.network(read, read_mask).numpy(), 1e-4)
            continue
        answer = torch.tensor([[*model.vocabulary.encode(model.answer([text]))[0], EOS]])
        if name.endswith("_encoder_decoder"):
            target = after_bos(answer[:, :-1], torch.ones_like(answer[:, :-1], dtype=torch.bool))[0]
            memory = run(exported(name, "_encode"), source=read, source_mask=read_mask)["memory"]
            more = {"memory": memory, "source_mask": read_mask}
            expected = model.network(read, target, read_mask).numpy()
            places = slice(0, None)
        else:
            target = torch.cat([source, torch.tensor([[SEP]]), answer[:, :-1]], 1)
            more, expected = {}, model.network(target).numpy()
            places = slice(source.shape[1], None)
        found, _ = step_by_step(exported(name, "_step"), target.numpy(), [2, *[1] * (target.shape[1] - 2)], **more)
        check(f"{name}, logits, step by step", found, expected, 1e-4)
        assert found[0, places].argmax(-1).tolist() == answer[0].tolist()


@of("Policy")
@pytest.mark.parametrize("words", [(), INT8])
def test_a_hundred_episodes_of_push_t(name, words, exported):
    """Same seeds and noise: an action of another last bit may end an episode elsewhere, and the score stays."""
    from callbacks.rollouts import run_policy

    policy, seeds = load_trained(name, DiffusionPolicy), range(100_000, 100_100)
    ours = run_policy(policy, seeds, progress=False)
    own = exported(name, words=words)

    def act(observations, noise, *_):
        noise = noise / policy.hparams.temperature  # which the file multiplies by
        return torch.from_numpy(acted(own, noise, observations, 1 if words else len(noise)))

    policy._act = act
    theirs = run_policy(policy, seeds, progress=False)
    scores = np.array([[episode.score for episode in episodes] for episodes in (ours, theirs)])
    successes = [sum(episode.success for episode in episodes) for episodes in (ours, theirs)]
    same = (scores[0] == scores[1]).sum()
    print(
        f"\n{' '.join((name, *words))}: mean scores {scores.mean(1)}, successes {successes}, {same} scores are the same"
    )
    assert scores[0].mean() == pytest.approx(scores[1].mean(), abs=2e-2 if words else 5e-3)


@torch.no_grad()
@of("Policy")
def test_policies_in_8_bit_integers(name, model, exported):
    """Of one observation at a time: a layer's inputs are rounded with one scale for all that come together."""
    from datamodules.pusht import PushTDemos

    data = PushTDemos("bundled", batch_size=200, val_share=0.1)
    data.setup("fit")
    observation = next(iter(data.val_dataloader()))["observation"]
    expected = model.act(observation, generators(0, range(200))).numpy()
    found = acted(exported(name, words=INT8), randn((200, 16, 2), generators(0, range(200))), observation)
    differences = check(f"{name} --int8, held-out observations, pixels of 512", found, expected, 20)
    print(f"{name} --int8: {differences.mean():.2f} pixels on average")
    assert differences.mean() < 1


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    """A line that ends in a text says what it gives."""
    page = (ROOT / "docs/export.md").read_text()
    monkeypatch.chdir(tmp_path)
    for name in ("mnist_mlp", "pusht", "sorting_decoder"):
        train.main(["export", name])
    names: dict = {"torch": torch}
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(block, names)
        for line, said in re.findall(r'^(\S.*)  # "(.*)"$', block, re.M):
            assert eval(line, names) == said
    assert names["probability"].shape == (5, 10)
    assert names["action"].shape == (1, 16, 2)
