"""What the other tabs answer, against the models themselves."""

import base64
import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from app.tabs import diffusion
from app.tabs.digits import BUILD, DIGIT, SIDE, WEIGHTS, as_mnist, numpy_model
from checkpoints.load_trained import load_trained
from checkpoints.pretrained import SHIPPED
from datamodules.tokenization import LearnedCharacterTokenizer
from diffusion.noise import generators
from diffusion.noise_schedule import SquaredCosineSchedule
from diffusion.samplers import DDIMSampler
from diffusion.scheduler import NoiseScheduler
from diffusion.thresholding import StaticThresholding
from lightning_modules.language_model import LanguageModel
from networks.transformer import Decoder
from tests.app.visitor import app_state, client, visit


@pytest.fixture
def page(tmp_path):
    return client(app_state(tmp_path))


def image(packed):
    flat = np.frombuffer(base64.b64decode(packed["bytes"]), np.uint8)
    return flat.reshape(packed["height"], packed["width"], packed["channels"])


def encoded(array):
    return base64.b64encode(np.ascontiguousarray(array, np.uint8).tobytes()).decode()


def seven(shift=(0, 0), size=1.0, width=9):
    """A 7 as somebody draws it."""
    canvas = Image.new("L", (SIDE, SIDE))
    points = [
        ((SIDE * (0.5 + size * (x - 0.5))) + shift[0], (SIDE * (0.5 + size * (y - 0.5))) + shift[1])
        for x, y in ((0.3, 0.25), (0.7, 0.25), (0.45, 0.8))
    ]
    ImageDraw.Draw(canvas).line(points, fill=255, width=width, joint="curve")
    return np.asarray(canvas)


# Digits


def test_a_drawing_becomes_a_digit_of_mnist_wherever_it_is_drawn():
    digit = as_mnist(seven())
    rows, columns = np.nonzero(digit)
    assert (rows.max() - rows.min() + 1, max(rows.max() - rows.min(), columns.max() - columns.min()) + 1) == (20, 20)
    centre = (np.indices(digit.shape) * digit).sum((1, 2)) / digit.sum()
    assert centre == pytest.approx([13.5, 13.5], abs=0.51)
    assert (as_mnist(seven(shift=(15, -12))) == digit).all()
    assert np.abs(as_mnist(seven(size=0.5, width=5)).astype(int) - digit).mean() < 12


@pytest.mark.parametrize("drawing", [np.zeros((SIDE, SIDE), np.uint8), np.full((SIDE, SIDE), 20, np.uint8)])
def test_nothing_is_no_digit(drawing):
    assert as_mnist(drawing) is None


@pytest.mark.parametrize("drawing", [np.eye(SIDE), np.ones((SIDE, SIDE)), np.pad([[1]], ((0, SIDE - 1),) * 2)])
def test_odd_drawings_are_scaled_too(drawing):
    digit = as_mnist((255 * drawing).astype(np.uint8))
    assert digit.shape == (DIGIT, DIGIT)
    assert digit.max() > 0


def test_a_seven_is_read_by_all(page):
    with visit(page, "digits") as visitor:
        names = [reader["name"] for reader in visitor.hello["readers"]]
        shipped = [f"NumPy {name}" for name in BUILD if (WEIGHTS / f"{name}.npz").is_file()]
        assert names == [*shipped, "mnist_mlp"]
        assert len(visitor.hello["templates"]) == 10
        shown = visitor.ask("read", "digit", drawing=encoded(seven()))
        assert (image(shown["image"])[..., 0] == as_mnist(seven())).all()
        for name in names:
            reading = visitor.next("reading")
            assert reading["reader"] == name
            assert int(np.argmax(reading["probabilities"])) == 7, name
            assert sum(reading["probabilities"]) == pytest.approx(1, abs=1e-3)
            assert image(reading["gradient"]).std() > 0
        assert visitor.ask("read", "nothing", drawing=encoded(np.zeros((SIDE, SIDE))))
        assert "112 x 112" in visitor.ask("read", "error", drawing=encoded(np.zeros(7)))["text"]


def test_the_map_is_the_gradient():
    """Of NumPy's softmax regression it is the class's weights; mind that they were scaled for the page."""
    model = numpy_model("softmax", WEIGHTS / "softmax.npz")
    weight = model.state()["1.weight"]
    x = np.random.default_rng(0).normal(size=(1, 1, DIGIT, DIGIT)).astype(np.float32)
    model.forward(x)
    assert model.backward(np.eye(10, dtype=np.float32)[[3]]).ravel() == pytest.approx(weight[3], abs=1e-6)


# Sequences


def test_a_list_is_sorted_token_by_token(page):
    with visit(page, "sequences") as visitor:
        assert {one["name"] for one in visitor.hello["models"]} >= {"sorting_encoder", "pig_latin_decoder"}
        for model in ("sorting_encoder", "sorting_decoder", "sorting_encoder_decoder"):
            visitor.ask("answer", "reading", model=model, text="31 4 15 92 6")
            tokens = [visitor.next("token") for _ in range(5)]
            assert [one["token"] for one in tokens] == ["4", "6", "15", "31", "92"]
            for one in tokens:
                assert one["candidates"][0] == [one["token"], one["probability"]]
            assert visitor.next("answer")["text"].split() == ["4", "6", "15", "31", "92"]
            maps = visitor.next("attention")["maps"]
            assert maps
            for one in maps:
                weights = np.frombuffer(base64.b64decode(one["bytes"]), np.uint8)
                weights = weights.reshape(one["heads"], len(one["asking"]), len(one["attended"]))
                assert weights.sum(-1) / 255 == pytest.approx(1, abs=0.05)  # rounded to 1/255 each
                assert set(one["asking"]) <= {"<bos>", "<sep>", "31", "4", "15", "92", "6"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"text": ""}, "nothing to answer"),
        ({"text": "31 x"}, "not known"),
        ({"text": "1 " * 2000}, "2000"),
        ({"text": "1 " * 600}, "max_length"),
        ({"text": 7}, "text"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 1e999}, "temperature"),
        ({"temperature": 1, "beams": 2}, "beams"),
        ({"top_k": 3}, "temperature=0"),
        ({"top_p": 0, "temperature": 1}, "top_p"),
        ({"seed": -1}, "seed"),
        ({"model": "pusht"}, "model"),
    ],
)
def test_what_cannot_be_answered_is_said(page, fields, words):
    with visit(page, "sequences") as visitor:
        fields = {"model": "sorting_decoder", "text": "3 1", **fields}
        visitor.socket.send_text(json.dumps({"do": "answer", **fields}).replace("Infinity", "1e999"))
        assert words in visitor.next("error")["text"]


@pytest.mark.slow
def test_pig_latin_by_sampling_and_by_beams(page):
    with visit(page, "sequences") as visitor:
        for options in ({}, {"beams": 3}, {"temperature": 0.2, "seed": 3}):
            answer = visitor.ask("answer", "answer", model="pig_latin_decoder", text="the cat", **options)
            assert answer["text"] == "ethay atcay"
            assert answer["ended"]


# Diffusion


def test_in_two_dimensions_the_prediction_is_the_mean_of_the_posterior():
    """Against Monte Carlo: points mixed with noise as in training, and those of them that fell near x."""
    scheduler, t, x = NoiseScheduler(SquaredCosineSchedule()(1000)), 500, torch.tensor([[0.3, 0.1]]).double()
    data = torch.from_numpy(diffusion.spiral())
    alone = diffusion.expected_data(x, torch.tensor([0]), data[:1], scheduler)
    assert alone == pytest.approx(data[:1])
    drawn = data[torch.randint(len(data), (400_000,), generator=torch.Generator().manual_seed(0))]
    noise = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mixed = scheduler.add_noise(drawn, noise, torch.full((len(drawn),), t))
    near = drawn[(mixed - x).norm(dim=1) < 0.08]
    expected = diffusion.expected_data(x, torch.tensor([t]), data, scheduler)
    assert near.mean(0).numpy() == pytest.approx(expected[0].numpy(), abs=4 / math.sqrt(len(near)))


def test_particles_walk_to_the_spiral(page):
    with visit(page, "diffusion") as visitor:
        for sampler in diffusion.SAMPLERS:
            paths = np.array(visitor.ask("walk", "paths", sampler=sampler, steps=20, seed=1)["paths"])
            assert paths.shape == (diffusion.PARTICLES, 21, 2)
            nearest = np.linalg.norm(paths[:, -1, None] - diffusion.spiral(), axis=-1).min(1)
            assert nearest.max() < 0.06, sampler
        for field, wrong in {"steps": 0, "seed": 0.5, "sampler": "none"}.items():
            fields = {"steps": 5, "seed": 0, "sampler": "DDIM", field: wrong}
            assert field in visitor.ask("walk", "error", **fields)["text"]


def test_every_step_of_a_sample_is_shown(page):
    fields = {"model": "mnist_ddpm", "label": 3, "seed": 5, "guidance_scale": 1, "steps": 2}
    with visit(page, "diffusion") as visitor:
        assert visitor.hello["models"][0]["classes"][0] == "airplane"
        visitor.socket.send_text(json.dumps({"do": "draw", "sampler": "DDIM", "thresholding": "static", **fields}))
        steps = [visitor.next("step") for _ in range(2)]
        drawn = image(visitor.next("image")["image"])
    assert [(step["number"], step["of"], step["side"]) for step in steps] == [(1, 2, "draw"), (2, 2, "draw")]
    assert steps[0]["t"] > steps[1]["t"]
    assert (image(steps[-1]["x_0"]) == drawn).all()
    model = load_trained("mnist_ddpm")
    own = model.sample([3], 1.0, StaticThresholding(), DDIMSampler(), 2, generators(5, [0]))
    assert (own[0, 0].numpy() == drawn[..., 0]).all()


def test_a_sample_that_nobody_waits_for_is_given_up(page):
    fields = {
        "model": "mnist_ddpm",
        "label": 0,
        "seed": 0,
        "guidance_scale": 1,
        "sampler": "DDIM",
        "thresholding": "none",
    }
    with visit(page, "diffusion") as visitor:
        visitor.ask("draw", "step", steps=250, **fields)
        visitor.socket.send_text(json.dumps({"do": "draw", "steps": 1, **fields}))
        steps = 0
        while (answer := visitor.next("step", "image"))["kind"] == "step":
            steps += answer["of"] == 250
        assert steps < 100  # the second image came, long before the first one's 250 steps
        assert answer["kind"] == "image"


def test_what_is_rubbed_out_is_drawn_anew_and_the_rest_stays(page):
    fields = {"model": "mnist_ddpm", "label": 3, "seed": 5, "guidance_scale": 1, "sampler": "DDIM", "steps": 2}
    fields["thresholding"] = "static"
    lower = np.zeros((28, 28))
    lower[14:] = 1
    with visit(page, "diffusion") as visitor:
        assert "nothing to fill in" in visitor.ask("draw", "error", rubbed_out=encoded(lower), **fields)["text"]
        whole = image(visitor.ask("draw", "image", **fields)["image"])
        assert "28 x 28" in visitor.ask("draw", "error", rubbed_out=encoded(lower[:14]), **fields)["text"]
        for wrong in (0, 21, 1.5):
            answer = visitor.ask("draw", "error", rubbed_out=encoded(lower), resampling=wrong, **fields)
            assert "resampling" in answer["text"]
        other = {**fields, "model": "cifar10_ddpm"}
        assert "nothing to fill in" in visitor.ask("draw beside", "error", rubbed_out=encoded(lower), **other)["text"]
        fills = []
        for resampling in (1, 3):
            visitor.socket.send_text(
                json.dumps({"do": "draw", "rubbed_out": encoded(lower), "resampling": resampling, **fields})
            )
            steps = [visitor.next("step") for _ in range(resampling + 1)]
            assert {step["of"] for step in steps} == {len(steps)}
            assert all((image(step["x_0"])[:14] == whole[:14]).all() for step in steps)
            fills.append(image(visitor.next("image")["image"]))
            assert (image(steps[-1]["x_0"]) == fills[-1]).all()
    for one in fills:
        assert (one[:14] == whole[:14]).all()
        assert (one[14:] != whole[14:]).any()
    assert (fills[0] != fills[1]).any()


# GAN


def test_a_walk_between_two_latents(page):
    model = load_trained("svhn_gan")
    start, end = (model.latents(1, generators(seed, [0])) for seed in (4, 9))
    ends = [model.sample([7], latents=latents)[0].permute(1, 2, 0).numpy() for latents in (start, end)]
    fields = {"model": "svhn_gan", "label": 7, "start": 4, "end": 9, "share": 1, "truncation": 1}
    with visit(page, "gan") as visitor:
        shown = visitor.ask("draw", "images", **fields)
        assert np.abs(image(shown["walk"][0]).astype(int) - ends[0]).max() <= 1  # in a batch, rounding differs
        assert np.abs(image(shown["walk"][-1]).astype(int) - ends[1]).max() <= 1
        assert np.abs(image(shown["image"]).astype(int) - ends[1]).max() <= 1
        assert (image(shown["classes"][7]) == image(shown["image"])).all()
        assert shown["discriminator"] is None
        assert len(visitor.next("classifier")["probabilities"]) == 10
        same = visitor.ask("draw", "images", **{**fields, "end": 4})  # no great circle: nothing to walk
        assert same["walk"][0] == same["walk"][-1]
        visitor.next("classifier")
        visitor.ask("draw", "images", **{**fields, "truncation": 0})
        visitor.next("classifier")
        for field, wrong in {"share": 1.5, "truncation": -1, "label": 10, "start": 2**32, "model": "pusht"}.items():
            assert field in visitor.ask("draw", "error", **{**fields, field: wrong})["text"]


# Photographs


def test_a_photograph_is_classified_in_every_view(page):
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    model = load_trained("cifar10_fast")
    with torch.inference_mode():
        own = model.view_logits(torch.from_numpy(picture).permute(2, 0, 1)[None])[:, 0]
    with visit(page, "photographs") as visitor:
        answer = visitor.ask("classify", "classes", model="cifar10_fast", image=encoded(picture))
        assert answer["probabilities"] == pytest.approx(own.mean(0).softmax(0).tolist(), abs=1e-3)
        assert answer["names"][:2] == ["airplane", "automobile"]
        assert len(answer["views"]) == len(own)
        assert (image(answer["views"][0]["image"]) == picture).all()
        for wrong in (picture[:31], picture[..., 0], np.zeros(0)):
            assert "32 x 32 x 3" in visitor.ask("classify", "error", model="cifar10_fast", image=encoded(wrong))["text"]
        assert "model" in visitor.ask("classify", "error", model="mnist_mlp", image=encoded(picture))["text"]


# Runs


def own_run(tmp_path, name, config, state=None):
    """A run with such a config, and a checkpoint as Lightning writes it."""
    run = tmp_path / "runs" / name / "version_0"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(config)
    checkpoint = {"state_dict": state or {}, "pytorch-lightning_version": "2.6.0"}
    torch.save(checkpoint, run / "checkpoints" / "last.ckpt")
    return f"runs/{name}/version_0"


@pytest.mark.parametrize(
    ("tab", "shipped", "offered"),
    [
        ("pusht", "pusht_human", "policies"),
        ("digits", "mnist_mlp", "readers"),
        ("sequences", "pig_latin_decoder", "models"),
        ("diffusion", "mnist_ddpm", "models"),
        ("gan", "svhn_gan", "models"),
        ("photographs", "cifar10_fast", "models"),
    ],
)
def test_own_runs_stand_beside_what_ships_in_every_tab(tmp_path, tab, shipped, offered):
    own_run(tmp_path, "mine", (SHIPPED / shipped / "config.yaml").read_text())
    (tmp_path / "runs" / "broken" / "version_0" / "checkpoints").mkdir(parents=True)
    (tmp_path / "runs" / "broken" / "version_0" / "checkpoints" / "last.ckpt").write_bytes(b"")
    with visit(client(app_state(tmp_path)), tab) as visitor:
        names = [one["name"] for one in visitor.hello[offered]]
    assert shipped in names
    assert [name for name in names if name.startswith("runs/")] == ["runs/mine/version_0"]


def test_a_run_is_read_from_its_checkpoint(tmp_path):
    name = own_run(
        tmp_path, "mine", (SHIPPED / "mnist_mlp" / "config.yaml").read_text(), load_trained("mnist_mlp").state_dict()
    )
    with visit(client(app_state(tmp_path)), "digits") as visitor:
        visitor.ask("read", "digit", drawing=encoded(seven()))
        readings = {
            reading["reader"]: reading for reading in (visitor.next("reading") for _ in visitor.hello["readers"])
        }
        assert readings[name]["probabilities"] == readings["mnist_mlp"]["probabilities"]


@pytest.mark.slow  # two GANs
def test_the_discriminator_of_a_run_gives_its_opinion(tmp_path):
    gan = load_trained("svhn_gan")
    name = own_run(tmp_path, "mine", (SHIPPED / "svhn_gan" / "config.yaml").read_text(), gan.state_dict())
    fields = {"model": name, "label": 7, "start": 4, "end": 9, "share": 0.5, "truncation": 1}
    with visit(client(app_state(tmp_path)), "gan") as visitor:
        shown = visitor.ask("draw", "images", **fields)
        pixels = torch.from_numpy(image(shown["image"]).copy()).permute(2, 0, 1)[None]
        with torch.inference_mode():
            own = gan.discriminator(pixels.float() / 127.5 - 1, torch.tensor([7]))
        assert shown["discriminator"] == pytest.approx(float(own), abs=2e-3)


WRITER = """
model:
  class_path: lightning_modules.language_model.LanguageModel
  init_args:
    vocab_size: {vocab_size}
    network:
      class_path: networks.transformer.Decoder
      init_args: {{width: 16, depth: 2, heads: 2, max_length: 64}}
data:
  class_path: datamodules.text.Text
"""


def test_a_model_of_text_goes_on_writing(tmp_path):
    tokenizer = LearnedCharacterTokenizer().train(["Once upon a time there was a robot."])
    module = LanguageModel(
        tokenizer.get_vocab_size(), partial(Decoder, width=16, depth=2, heads=2, max_length=64)
    ).eval()
    module.vocabulary.adopt(tokenizer)
    name = own_run(tmp_path, "mine", WRITER.format(vocab_size=tokenizer.get_vocab_size()), module.state_dict())
    with visit(client(app_state(tmp_path)), "sequences") as visitor:
        (own,) = (one for one in visitor.hello["models"] if one["name"] == name)
        assert own["writes"]
        options = {"temperature": 0.9, "seed": 3, "max_new_tokens": 12, "top_k": 5, "top_p": 0.9}
        answer = visitor.ask("answer", "answer", model=name, text="Once upon", **options)
        (whole,) = module.write(["Once upon"], **options)
        assert "Once upon" + answer["text"] == whole
        (first, *_) = visitor.next("attention")["maps"]
        assert first["heads"] == 2
        assert "".join(first["asking"]).startswith("Once")
