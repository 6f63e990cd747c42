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
PATIENCE = 300  # seconds, far more than any of it takes on a machine that is not busy
SIZES = {"desk": (1280, 800), "phone": (390, 844)}
# How far the layout has moved by itself: Cumulative Layout Shift, of which 0.1 is called good (web.dev/articles/cls).
SHIFTED = """new Promise(done => new PerformanceObserver(list => done(list.getEntries().reduce(
    (sum, one) => sum + (one.hadRecentInput ? 0 : one.value), 0))).observe({ type: "layout-shift", buffered: true })
    || setTimeout(() => done(0), 300))"""


# How many pixels of the world have the colour of your hand, of pushes, and of demonstrations.
WARM = """(() => {
    const rgb = [1, 3, 5].map(i => parseInt(
        getComputedStyle(document.documentElement).getPropertyValue("--warm").trim().slice(i, i + 2), 16));
    const canvas = document.querySelector("#world");
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let found = 0;
    for (let i = 0; i < data.length; i += 4)
        found += data[i + 3] > 100 && rgb.every((value, k) => Math.abs(data[i + k] - value) < 60);
    return found;
})()"""


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
        page.goto(f"http://127.0.0.1:{server.port}/#{tab}", timeout=1000 * PATIENCE)

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
        box = self.page.locator(canvas).first.bounding_box()
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
    page.page.wait_for_timeout(500)
    assert page.page.evaluate(SHIFTED) < 0.1
    assert page.page.evaluate("document.documentElement.dataset.theme") == scheme
    how = page.page.locator(f"#{tab} .how")
    assert how.locator("math").first.is_visible()
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
def test_a_finger_pushes(opened):
    page = opened("pusht", "phone", has_touch=True)
    ready(page)
    page.page.tap("[data-driver=you]")
    page.page.locator("#world").scroll_into_view_if_needed()
    page.page.touchscreen.tap(*page.at("#world", 0.8, 0.2))
    page.pointer(409.6, 102.4, "< 4")


@pytest.mark.slow
def test_the_block_is_dragged_and_turned_by_hand(opened):
    page = opened("pusht")
    ready(page)

    def pose():
        return [float(number) for number in page.data("pose").split(",")]

    def drag(start, end):
        page.page.mouse.move(*page.at("#world", *(value / 512 for value in start)))
        page.page.mouse.down()
        page.page.mouse.move(*page.at("#world", *(value / 512 for value in end)), steps=8)
        page.page.mouse.up()

    page.page.check("#hand")
    x, y, angle = pose()
    inside = x - 20 * np.sin(angle), y + 20 * np.cos(angle)
    drag(inside, (inside[0] + 256 - x, inside[1] + 200 - y))
    near = "(([x, y]) => Math.hypot(x - 256, y - 200) < 2)"
    page.until(f"{near}(document.querySelector('#pusht').dataset.pose.split(','))")
    assert page.data("steps") == "0"
    x, y, angle = pose()
    handle = [np.clip(value, 12, 500) for value in (x - 165 * np.sin(angle), y + 165 * np.cos(angle))]
    drag(handle, (x + 100, y))  # the handle lies below the T where its angle is 0
    page.until(f"Math.abs(document.querySelector('#pusht').dataset.pose.split(',')[2] - {1.5 * np.pi}) < 0.02")


@pytest.mark.slow
def test_a_demonstration_runs_beside(opened):
    page = opened("pusht")
    ready(page)
    page.page.select_option("#demonstrations", "bundled")
    page.page.click("#beside")
    page.until("Number(document.querySelector('#pusht').dataset.steps) > 5")
    assert re.search(r"theirs \d+ %", page.page.inner_text("#facts"))
    warm = page.page.evaluate(WARM)
    page.page.click("#again")
    page.until("document.querySelector('#facts').textContent.includes('theirs') === false")
    assert warm > page.page.evaluate(WARM)


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
def test_the_planner_solves_it_from_here_and_its_pushes_are_drawn(opened):
    page = opened("pusht")
    ready(page)
    page.page.locator("#speed").fill("4")
    before = page.page.evaluate(WARM)
    page.page.click("#plan")
    page.until("Number(document.querySelector('#pusht').dataset.steps) > 1")
    assert page.page.evaluate(WARM) > before + 100
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
def test_a_one_is_drawn_by_keys(opened):
    page = opened("digits")
    page.until("document.querySelectorAll('.reader').length")
    page.page.focus("#theme")
    page.page.keyboard.press("Shift+Tab")  # so that the focus is seen
    page.page.focus("#paper")
    for key, count in {"ArrowUp": 9, " ": 1, "ArrowDown": 18}.items():
        for _ in range(count):
            page.page.keyboard.press(key)
    assert page.page.locator("#pen").is_visible()
    page.until("[...document.querySelectorAll('.reader')].every(one => one.dataset.says === '1')")


@pytest.mark.slow
def test_a_typed_list_comes_out_sorted(opened):
    page = opened("sequences")
    page.until("document.querySelectorAll('#sequence-model option').length")
    page.page.select_option("#sequence-model", "sorting_decoder")
    page.page.fill("#text", "9 81 3 55 27")
    page.page.keyboard.press("Enter")
    page.until("document.querySelector('#sequences').dataset.answer === '3 9 27 55 81'")
    assert page.page.locator("#tokens .token").all_inner_texts()[:5] == ["3", "9", "27", "55", "81"]
    page.page.hover("#tokens .token:nth-child(2)")
    assert "“9”" in page.page.inner_text("#candidates-of")
    assert page.page.locator("#candidates .bar").first.inner_text().startswith("9")


@pytest.mark.slow
def test_every_head_is_seen_and_beams_and_sampling_answer(opened):
    page = opened("sequences")
    page.until("document.querySelectorAll('#sequence-model option').length")
    page.page.select_option("#sequence-model", "sorting_encoder_decoder")
    page.until("document.querySelectorAll('#heads button').length > 1")
    pictures = set()
    for layer in page.page.locator("#layer option").all_inner_texts():
        page.page.select_option("#layer", layer)
        for number in range(page.page.locator("#heads button").count()):
            page.page.locator("#heads button").nth(number).click()
            pictures.add(page.page.evaluate("document.querySelector('#attention').toDataURL()"))
    assert len(pictures) > page.page.locator("#layer option").count()
    page.page.fill("#text", "5 4")
    page.page.locator("#beams").fill("4")
    page.page.locator("#beams").dispatch_event("change")
    page.until("document.querySelector('#sequences').dataset.answer === '4 5'")
    page.page.fill("#text", "7 6 5")
    for name, value in {"beams": "1", "warmth": "0.1", "top_k": "5", "top_p": "0.9"}.items():
        page.page.locator(f"#{name}").fill(value)
    page.page.click("#answer")
    page.until("document.querySelector('#sequences').dataset.answer === '5 6 7'")


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
def test_two_settings_from_the_same_noise(opened):
    page = opened("diffusion")
    page.until("document.querySelectorAll('#ddpm option').length")
    page.page.select_option("#ddpm", "mnist_ddpm")
    page.page.check("#compare")
    page.page.locator(".pane").nth(1).locator("input[type=range]").first.fill("4")
    page.page.click("#denoise")
    both = "[...document.querySelectorAll('.pane')].every(pane => pane.dataset.state === 'drawn')"
    page.until(both)
    for scrub in page.page.locator(".pane .scrub").all():
        scrub.fill("0")
    noise, first, other_noise, other_first = (
        canvas.evaluate("canvas => canvas.toDataURL()") for canvas in page.page.locator(".pane canvas").all()
    )
    assert noise == other_noise
    assert first != other_first


@pytest.mark.slow
@pytest.mark.parametrize("by", ["mouse", "keys"])
def test_a_part_is_rubbed_out_and_filled_in(opened, by):
    page = opened("diffusion")
    page.until("document.querySelectorAll('#ddpm option').length")
    page.page.select_option("#ddpm", "mnist_ddpm")
    drawn = "document.querySelector('.pane').dataset.state === 'drawn'"
    page.until(drawn)
    pane = page.page.locator(".pane").first
    before = pixels(pane)
    assert pane.locator(".fill").is_disabled()
    if by == "mouse":
        page.page.mouse.move(*page.at(".pane .paintable", 0.5, 0.75))
        page.page.mouse.down()
        page.page.mouse.move(*page.at(".pane .paintable", 0.6, 0.8), steps=5)
        page.page.mouse.up()
    else:
        pane.locator(".region").select_option("the lower half")
    rubbed_out = pixels(pane)
    assert 10 < (rubbed_out != before).any(-1).sum() <= 14 * 28
    assert (rubbed_out[:14] == before[:14]).all()
    if by == "mouse":
        pane.locator(".fill").click()
    else:
        page.page.evaluate("document.activeElement.blur()")
        page.page.keyboard.press("f")
    page.until("document.querySelector('.pane').dataset.step === '1' || " + drawn)
    page.until(drawn)
    assert (pixels(pane)[:14] == before[:14]).all()
    assert pane.locator(".fill").is_disabled()


def pixels(pane):
    """What the canvas shows that is to be rubbed out, (H, W, 3)."""
    shape, flat = pane.locator(".paintable").evaluate(
        "c => [[c.height, c.width, 4], [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]"
    )
    return np.array(flat, np.uint8).reshape(shape)[..., :3]


@pytest.mark.slow
def test_a_slider_walks_between_two_latents(opened):
    page = opened("gan")
    page.until("document.querySelector('#reads').dataset.best")
    here = "document.querySelector('#face').toDataURL()"
    before = page.page.evaluate(here)
    page.page.focus("#share")
    for _ in range(5):
        page.page.keyboard.press("PageUp")
    page.until(f"{here} !== {before!r}")
    assert page.page.locator("#strip button[aria-pressed=true]").count() == 1


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
def test_a_photograph_is_dropped(opened):
    page = opened("photographs")
    page.until("document.querySelectorAll('#classifier option').length")
    page.page.evaluate(
        """async () => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 60, height: 40 });
            canvas.getContext("2d").fillRect(0, 0, 30, 40);
            const data = new DataTransfer();
            const image = await new Promise(done => canvas.toBlob(done));
            data.items.add(new File([image], "half.png", { type: "image/png" }));
            const dropped = new DragEvent("drop", { dataTransfer: data, cancelable: true });
            document.querySelector("#drop").dispatchEvent(dropped);
        }"""
    )
    page.until("document.querySelector('#photographs').dataset.best")
    assert "40 × 40, of 60 × 40" in page.page.inner_text("#invite")


@pytest.mark.slow
def test_tabs_and_theme_by_keyboard(opened):
    page = opened("pusht", color_scheme="light")
    ready(page)
    page.page.focus("nav a[href='#pusht']")
    page.page.keyboard.press("ArrowRight")
    page.until("!document.querySelector('#digits').hidden && document.querySelector('#pusht').hidden")
    assert page.page.evaluate("document.activeElement.getAttribute('href')") == "#digits"
    page.page.keyboard.press("ArrowLeft")
    page.until("!document.querySelector('#pusht').hidden")
    page.page.focus("#theme")
    page.page.keyboard.press("Enter")
    assert page.page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.page.reload()
    ready(page)
    assert page.page.evaluate("document.documentElement.dataset.theme") == "dark"


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
