"""The page in a real browser: what mouse and keyboard do, and what is then to be seen. Skipped where no Chromium is."""

import re
import shutil
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from PIL import Image

from app.server import TABS, make_app
from app.tab import FIRST_SEED
from datamodules.pusht import read_keypoints
from tests.app.visitor import app_state

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
OPTIONS += ["disable-component-update", "disable-sync"]
PATIENCE = 120  # seconds, far more than any of it takes on a machine that is not busy
SIZES = {"desk": (1280, 800), "phone": (390, 844)}


@pytest.fixture(scope="module")
def chromium():
    library = pytest.importorskip("playwright.sync_api", reason="no playwright to drive a browser")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with library.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=[f"--{option}" for option in OPTIONS])
        yield browser
        browser.close()


class Server:
    """The page's server in a thread."""

    def __init__(self, own_house, port=0):
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        app = make_app(own_house, [f"127.0.0.1:{self.port}"])
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.should_exit = True
        self.thread.join(20)
        self.socket.close()


@pytest.fixture
def out(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def server(tmp_path, out):
    server = Server(app_state(tmp_path, out))
    yield server
    server.stop()


class Page:
    """A tab in the browser."""

    def __init__(self, page, server, tab):
        self.page, self.tab, self.complaints = page, tab, []
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.port}/#{tab}")

    def until(self, condition):
        """Wait until a JavaScript expression is true, and give its value."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if value := self.page.evaluate(condition):
                return value
            self.page.wait_for_timeout(50)
        status = self.page.locator(f"#{self.tab} .status").inner_text()
        raise AssertionError(f"never: {condition}; the page says: {status!r}, {self.complaints}")

    def data(self, name):
        return self.page.evaluate(f"document.getElementById('{self.tab}').dataset.{name}")

    def pointer(self, x, y, distance):
        """Wait until the pointer's distance from a point of the world, in pixels, is such as "< 4"."""
        now = "document.querySelector('#pusht').dataset.pointer.split(',').map(Number)"
        self.until(f"(([x, y]) => Math.hypot(x - {x}, y - {y}) {distance})({now})")

    def at(self, canvas, x, y):
        """Where a point of a canvas is on the screen, by shares of its sides."""
        box = self.page.locator(canvas).bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]


@pytest.fixture
def opened(chromium, server):
    """Opens a tab; every page must have had nothing to complain of."""
    pages = []

    def opened(tab, size="desk", **options):
        width, height = SIZES[size]
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        pages.append(Page(context.new_page(), server, tab))
        return pages[-1]

    yield opened
    for page in pages:
        page.page.context.close()
        assert not page.complaints


def ready(page):
    page.until("document.querySelector('#pusht').dataset.steps !== undefined")


def test_you_push_and_the_pointer_goes_to_the_mouse(opened):
    page = opened("pusht")
    ready(page)
    page.page.click("[data-driver=you]")
    page.page.mouse.move(*page.at("#world", 0.1, 0.9))
    page.page.mouse.down()
    page.page.mouse.up()
    page.pointer(51.2, 460.8, "< 4")


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_tab_fits_its_screen_and_tells_how_it_works(opened, tab, size, scheme):
    page = opened(tab, size, color_scheme=scheme)
    page.until(f"document.querySelector('#{tab} [data-command]').textContent.startsWith('python ')")
    assert page.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    assert page.page.evaluate("document.documentElement.dataset.theme") == scheme
    how = page.page.locator(f"#{tab} .how")
    assert how.locator("math").is_visible()
    assert how.locator("a").count() >= 4
    unnamed = page.page.evaluate(
        f"""[...document.querySelectorAll('#{tab} input, #{tab} select, #{tab} button')].filter(
            one => !(one.closest('label') || one.ariaLabel || one.textContent.trim())).length"""
    )
    assert not unnamed


@pytest.mark.slow
def test_a_policy_solves_it_and_is_kept_and_replays(opened, out):
    page = opened("pusht")
    ready(page)
    page.page.locator("#speed").fill("4")
    page.page.keyboard.press("Tab")
    page.page.click("#run")
    page.until("document.querySelector('#pusht').dataset.solved === 'true'")
    steps = int(page.data("steps"))
    page.page.click("#replay")
    page.until("document.querySelector('#pusht .status').textContent.includes('the same to the last bit')")
    page.page.click("#keep")
    page.until("document.querySelector('#kept').textContent === '1 kept'")
    assert read_keypoints(str(out)).lengths.tolist() == [steps]
    assert int(page.page.input_value("#seed")) == FIRST_SEED + 1
    page.page.click("#undo")
    page.until("document.querySelector('#kept').textContent === '0 kept'")
    assert not out.exists()


@pytest.mark.slow
def test_taking_over_and_handing_back(opened):
    page = opened("pusht")
    ready(page)
    page.page.click("#run")
    page.until("Number(document.querySelector('#pusht').dataset.steps) > 3")
    page.page.mouse.move(*page.at("#world", 0.95, 0.05))
    page.page.mouse.down()
    page.pointer(486, 26, "< 8")
    page.page.mouse.up()
    page.pointer(486, 26, "> 30")


@pytest.mark.slow
def test_keys_push_and_begin_anew(opened):
    page = opened("pusht")
    ready(page)
    before = page.data("pointer")
    page.page.focus("#world")
    for _ in range(5):
        page.page.keyboard.press("ArrowLeft")
    page.until(f"document.querySelector('#pusht').dataset.pointer !== '{before}'")
    page.page.keyboard.press("r")
    page.until(f"document.querySelector('#seed').value === '{FIRST_SEED + 1}'")


@pytest.mark.slow
def test_the_planner_solves_it_from_here(opened):
    page = opened("pusht")
    ready(page)
    page.page.locator("#speed").fill("4")
    page.page.click("#plan")
    page.until("document.querySelector('#pusht').dataset.solved === 'true'")


@pytest.mark.slow
def test_a_drawn_seven_is_read(opened):
    page = opened("digits")
    page.until("document.querySelectorAll('.reader').length")
    page.page.mouse.move(*page.at("#paper", 0.3, 0.25))
    page.page.mouse.down()
    for x, y in ((0.7, 0.25), (0.45, 0.8)):
        page.page.mouse.move(*page.at("#paper", x, y), steps=10)
    page.page.mouse.up()
    page.until("[...document.querySelectorAll('.reader')].every(one => one.dataset.says === '7')")
    page.page.click("#clear")
    page.until("[...document.querySelectorAll('.reader')].every(one => !one.dataset.says)")


@pytest.mark.slow
def test_a_typed_list_comes_out_sorted(opened):
    page = opened("sequences")
    page.until("document.querySelectorAll('#sequence-model option').length")
    page.page.select_option("#sequence-model", "sorting_decoder")
    page.page.fill("#text", "9 81 3 55 27")
    page.page.keyboard.press("Enter")
    page.until("document.querySelector('#sequences').dataset.answer === '3 9 27 55 81'")
    assert page.page.locator("#tokens .token").all_inner_texts()[:5] == ["3", "9", "27", "55", "81"]
    page.until("document.querySelectorAll('#heads button').length")


@pytest.mark.slow
def test_a_sample_forms_and_its_steps_are_scrubbed(opened):
    page = opened("diffusion")
    page.until("document.querySelectorAll('#ddpm option').length")
    page.page.select_option("#ddpm", "mnist_ddpm")
    page.until("document.querySelector('.pane').dataset.state === 'drawn'")
    last = page.page.locator(".pane canvas").last
    whole = last.evaluate("canvas => canvas.toDataURL()")
    page.page.locator(".pane .scrub").first.fill("0")
    page.until("document.querySelector('.pane').dataset.step === '1'")
    assert page.page.locator(".pane canvas").nth(1).evaluate("canvas => canvas.toDataURL()") != whole


@pytest.mark.slow
def test_another_class_is_drawn_and_read(opened):
    page = opened("gan")
    page.until("document.querySelector('#reads').dataset.best")
    page.page.click("#of-all button:nth-child(1)")
    page.until("document.querySelector('#gan').dataset.label === '0'")
    page.until("document.querySelector('#reads').dataset.best === '0'")


@pytest.mark.slow
def test_a_photograph_is_read(opened, tmp_path):
    page = opened("photographs")
    page.until("document.querySelectorAll('#classifier option').length")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 140, 3), np.uint8)).save(tmp_path / "noise.png")
    page.page.set_input_files("#file", tmp_path / "noise.png")
    page.until("document.querySelector('#photographs').dataset.best")
    assert re.search("90 × 90, of 140 × 90", page.page.inner_text("#invite"))
    (tmp_path / "words.png").write_text("no image")
    page.page.set_input_files("#file", tmp_path / "words.png")
    page.until("document.querySelector('#photographs .status').dataset.mood === 'error'")


@pytest.mark.slow
def test_a_lost_connection_comes_back(chromium, tmp_path):
    server = Server(app_state(tmp_path))
    page = Page(chromium.new_page(), server, "pusht")
    ready(page)
    server.stop()
    page.until("document.querySelector('#pusht .status').textContent.includes('trying again')")
    again = Server(app_state(tmp_path, first_seed=5), server.port)
    page.until("document.querySelector('#seed').value === '5'")
    again.stop()
    page.page.context.close()


@pytest.mark.slow
def test_nothing_is_fetched_from_elsewhere(opened):
    page, asked = opened("digits"), []
    page.page.on("request", lambda request: asked.append(request.url))
    for tab in TABS:
        page.page.click(f"nav a[href='#{tab}']")
        page.tab = tab
        page.until(f"document.querySelector('#{tab} [data-command]').textContent.startsWith('python ')")
    assert asked
    assert all(url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:")) for url in asked)


def test_screens_are_kept():
    """Pictures of every tab at both sizes, small."""
    folder = Path(__file__).parents[2] / "docs" / "page"
    for tab in TABS:
        for size in SIZES:
            (found,) = folder.glob(f"{tab}_{size}.*")
            assert found.stat().st_size < 120_000
