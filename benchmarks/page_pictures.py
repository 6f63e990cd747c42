"""Pictures of the page, from the real one in Chromium: a film of four tabs, and each tab on a desk and on a phone.

    python -m benchmarks.page_pictures

Writes docs/page/film.webp, animated, and docs/page/<tab>_<size>.webp. A frame is shown as long as it was to be seen in
the browser: nothing is sped up, but what was waited for between two tabs is left out. A dot stands for the mouse, which
a browser without a window does not show.
"""

import argparse
import base64
import io
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.command import as_command
from benchmarks.page_server import PageServer

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SIZES = {"desk": (1280, 800), "phone": (390, 844)}
WIDTHS = {"desk": 960, "phone": 390, "film": 720}  # of the pictures
FRAME = 0.1  # seconds
FILM_BYTES = 1_500_000
PATIENCE = 120  # seconds
SHOW_MOUSE = """() => {
  const dot = document.createElement("div");
  Object.assign(dot.style, {
    position: "fixed", zIndex: 99, width: "18px", height: "18px", margin: "-9px 0 0 -9px", borderRadius: "50%",
    background: "rgb(20 20 30 / 35%)", border: "2px solid white", pointerEvents: "none", left: "-50px", top: "-50px",
  });
  document.body.append(dot);
  addEventListener("pointermove", event => {
    Object.assign(dot.style, { left: `${event.clientX}px`, top: `${event.clientY}px` });
  }, true);
}"""


def until(page: Page, condition: str) -> None:
    """Wait until a JavaScript expression is true."""
    end = time.monotonic() + PATIENCE
    while not page.evaluate(condition):
        if time.monotonic() > end:
            raise ValueError(f"the page never came to this: {condition}")
        page.wait_for_timeout(40)


def drag(page: Page, canvas: str, points: np.ndarray, pause: int) -> None:
    """Press the mouse and draw along points, shares of the canvas's sides, with milliseconds between them."""
    page.locator(canvas).first.scroll_into_view_if_needed()
    box = page.locator(canvas).first.bounding_box()
    for number, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            page.mouse.down()
        page.wait_for_timeout(pause)
    page.mouse.up()


def push(page: Page) -> None:
    """The policy, at twice the world's speed and with paths as varied as in training."""
    page.select_option("#policy", "pusht_planner")
    page.locator("#speed").fill("2")
    page.locator("#temperature").fill("1")
    page.click("#run")
    until(page, "Number(document.querySelector('#pusht').dataset.steps) >= 30")


def solve(page: Page) -> None:
    push(page)
    until(page, "document.querySelector('#pusht').dataset.solved === 'true'")
    page.wait_for_timeout(1200)


def three() -> np.ndarray:
    """Points of a 3: two arcs."""
    upper, lower = np.linspace(-2.5, 1.4, 24), np.linspace(-1.4, 2.5, 26)
    arcs = [
        np.stack([0.47 + 0.16 * np.cos(upper), 0.33 + 0.15 * np.sin(upper)], 1),
        np.stack([0.47 + 0.2 * np.cos(lower), 0.65 + 0.18 * np.sin(lower)], 1),
    ]
    return np.concatenate(arcs)


def draw(page: Page) -> None:
    drag(page, "#paper", three(), 45)
    until(page, "[...document.querySelectorAll('.reader')].every(one => one.dataset.says)")
    page.wait_for_timeout(1000)


def sort(page: Page) -> None:
    page.select_option("#sequence-model", "sorting_encoder_decoder")
    page.fill("#text", "")
    page.locator("#text").press_sequentially("42 7 93 15 68 31 8", delay=70)
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#sequences').dataset.answer === '7 8 15 31 42 68 93'")
    page.click("#tokens .token:nth-child(3)")
    page.wait_for_timeout(1200)


def denoise(page: Page) -> None:
    """A horse forms; then its middle is rubbed out and drawn anew."""
    page.select_option("#ddpm", "cifar10_ddpm")
    page.select_option("#class", label="horse")
    until(page, "document.querySelector('.pane').dataset.state === 'drawn'")
    page.wait_for_timeout(700)


def rub_out(page: Page) -> None:
    across = np.stack([np.linspace(0.3, 0.75, 14), 0.4 + 0.15 * np.sin(np.linspace(0, 7, 14))], 1)
    drag(page, ".pane .paintable", across, 45)
    page.locator(".pane .fill").first.click()
    until(page, "document.querySelector('.pane').dataset.state === 'drawn'")
    page.wait_for_timeout(1200)


def walk(page: Page) -> None:
    until(page, "document.querySelector('#reads').dataset.best")


def recognise(photograph: Path) -> Callable[[Page], None]:
    def scene(page: Page) -> None:
        page.set_input_files("#file", photograph)
        until(page, "document.querySelector('#photographs').dataset.best")

    return scene


READY = {
    "pusht": "document.querySelector('#pusht').dataset.steps",
    "digits": "document.querySelectorAll('.reader').length",
    "sequences": "document.querySelector('#sequences').dataset.answer",
    "diffusion": "document.querySelector('#ddpm').options.length",
    "gan": "document.querySelector('#reads').dataset.best",
    "photographs": "document.querySelector('#classifier').options.length",
}


@contextmanager
def opened(browser: Browser, server: PageServer, tab: str, size: str = "desk") -> Iterator[Page]:
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
    page.goto(f"http://{server.host}/#{tab}")
    until(page, READY[tab])
    yield page
    page.close()


def still(page: Page, path: Path, width: int) -> None:
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(200)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.thumbnail((width, image.height), Image.Resampling.LANCZOS)
    image.save(path, quality=82, method=6)
    print(f"{path}  {path.stat().st_size / 1000:.0f} kB")


def recorded(page: Page, scene: Callable[[Page], None]) -> list[Image.Image]:
    """What is seen during a scene, a picture for each tenth of a second."""
    seen: list[tuple[float, str]] = []
    client = page.context.new_cdp_session(page)

    def on_frame(event: dict) -> None:
        seen.append((event["metadata"]["timestamp"], event["data"]))
        client.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    client.on("Page.screencastFrame", on_frame)
    client.send("Page.startScreencast", {"format": "png", "maxWidth": SIZES["desk"][0], "maxHeight": SIZES["desk"][1]})
    scene(page)
    client.send("Page.stopScreencast")
    times = np.array([when for when, _ in seen])
    shown = np.searchsorted(times, np.arange(times[0], times[-1] + FRAME, FRAME), side="right") - 1
    return [shrunk(seen[number][1]) for number in shown]


def shrunk(data: str) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    image.thumbnail((WIDTHS["film"], image.height), Image.Resampling.LANCZOS)
    return image


def film(browser: Browser, server: PageServer, path: Path) -> None:
    frames: list[Image.Image] = []
    for tab, scenes in {
        "pusht": [solve],
        "digits": [draw],
        "sequences": [sort],
        "diffusion": [denoise, rub_out],
    }.items():
        with opened(browser, server, tab) as page:
            page.evaluate(SHOW_MOUSE)
            warm_up(page, tab)
            for scene in scenes:
                frames += recorded(page, scene)
    for quality in (80, 65, 50, 35, 20):
        frames[0].save(
            path,
            save_all=True,
            append_images=frames[1:],
            duration=round(1000 * FRAME),
            loop=0,
            quality=quality,
            method=4,
        )
        if path.stat().st_size <= FILM_BYTES:
            break
    print(f"{path}  {path.stat().st_size / 1000:.0f} kB, {len(frames) * FRAME:.1f} s, quality {quality}")


def warm_up(page: Page, tab: str) -> None:
    """The models of a scene are loaded before it is recorded."""
    if tab == "pusht":
        push(page)
        page.click("#run")
        page.click("#again")
        until(page, "document.querySelector('#pusht').dataset.steps === '0'")
    elif tab == "digits":
        draw(page)
        page.click("#clear")
    elif tab == "sequences":
        sort(page)
        page.fill("#text", "")
    else:
        denoise(page)
        page.select_option("#class", label="airplane")
        until(page, "document.querySelector('.pane').dataset.state === 'drawn'")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page_pictures", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/page"), help="their folder (default docs/page)")
    parser.add_argument("--photograph", type=Path, help="for the last tab, which is left out without it")
    parser.add_argument("--only", choices=["film", "stills"], help="by default both")
    options = parser.parse_args()
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        raise ValueError(f"there is no Chromium to take pictures of: none of {', '.join(CHROMIUM)} is installed")
    options.out.mkdir(parents=True, exist_ok=True)
    scenes = {"pusht": push, "digits": draw, "sequences": sort, "diffusion": denoise, "gan": walk}
    if options.photograph:
        scenes["photographs"] = recognise(options.photograph)
    with PageServer() as server, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        if options.only != "film":
            for tab, scene in scenes.items():
                for size in SIZES:
                    with opened(browser, server, tab, size) as page:
                        scene(page)
                        still(page, options.out / f"{tab}_{size}.webp", WIDTHS[size])
        if options.only != "stills":
            film(browser, server, options.out / "film.webp")
        browser.close()


if __name__ == "__main__":
    as_command(main)
