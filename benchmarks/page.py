"""How fast the page answers, and what many visitors leave behind.

    python -m benchmarks.page

The server is `python -m app` as it comes, on one core and with one thread; the visitors speak to it over WebSockets
from here, on the other cores where there are any.

1. Push-T: steps asked for at 10 Hz, each with a new action chunk of the policy, drawn eightfold for the fan of paths.
   Milliseconds from the request to the answer: p99 must be at most 60, and no step may miss the next tick.
2. Diffusion: milliseconds from the request to the first preview, with the settings that the page begins with: at most
   300. The model is loaded before.
3. Twenty visitors at once, each with a start of its own, by turns pushing and letting the policy act: each ends as it
   does alone.
4. Five hundred visits, each with a step of the policy: memory and open files after 100, 300 and 500.
"""

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table
from websockets.sync.client import ClientConnection, connect

from benchmarks.command import as_command
from benchmarks.page_server import PageServer
from envs.arguments import whole_number

TICK = 0.1  # seconds
POLICY = "pusht"
VISITORS, OWN_STEPS = 20, 24
MARKS = (100, 300, 500)
SETTINGS = {"sampler": "DPM-Solver++", "thresholding": "dynamic", "label": 0}  # as the page begins


@contextmanager
def visit(server: PageServer, tab: str):
    """A conversation with a tab; gives the connection and the server's hello."""
    options = {"origin": f"http://{server.host}", "max_size": None, "ping_interval": None}
    with connect(f"ws://{server.host}/ws/{tab}", **options) as socket:
        yield socket, until(socket, "hello")


def until(socket: ClientConnection, kind: str) -> dict:
    while (answer := json.loads(socket.recv(timeout=300)))["kind"] != kind:
        if answer["kind"] == "error":
            raise ValueError(f"the page says: {answer['text']}")
    return answer


def ask(socket: ClientConnection, do: str, kind: str, **fields) -> tuple[dict, float]:
    """The answer of this kind to a request, and the milliseconds that it took."""
    begin = time.perf_counter()
    socket.send(json.dumps({"do": do, **fields}))
    answer = until(socket, kind)
    return answer, 1000 * (time.perf_counter() - begin)


def act(socket: ClientConnection) -> tuple[dict, float]:
    return ask(socket, "step", "state", driver="policy", policy=POLICY, n_action_steps=1)


def push_t(server: PageServer, steps: int) -> list[float]:
    """Milliseconds of each step, asked for at every tick."""
    took = []
    with visit(server, "pusht") as (socket, _):
        act(socket)
        due = time.perf_counter()
        while len(took) < steps:
            time.sleep(max(0, due - time.perf_counter()))
            due = max(due, time.perf_counter() - TICK) + TICK
            view, milliseconds = act(socket)
            took.append(milliseconds)
            if view["solved"]:
                ask(socket, "reset", "state")
    return took


def previews(server: PageServer, count: int) -> dict[str, tuple[list[float], list[float]]]:
    """Of each model, milliseconds to the first preview and to the image, for these many seeds."""
    found = {}
    with visit(server, "diffusion") as (socket, hello):
        for model in hello["models"]:
            settings = {"model": model["name"], "guidance_scale": model["guidance_scale"], **SETTINGS}
            settings["steps"] = model["sampling_steps"]
            ask(socket, "draw", "image", seed=count, **settings)
            first, whole = [], []
            for seed in range(count):
                begin = time.perf_counter()
                _, milliseconds = ask(socket, "draw", "step", seed=seed, **settings)
                until(socket, "image")
                first.append(milliseconds)
                whole.append(1000 * (time.perf_counter() - begin))
            found[model["name"]] = first, whole
    return found


def episode(server: PageServer, number: int) -> list[list[float]]:
    """Every state of a visit: by turns eight pushes of one's own and eight steps of the policy."""
    targets, states = np.random.default_rng(number).uniform(0, 512, (OWN_STEPS, 2)).tolist(), []
    with visit(server, "pusht") as (socket, _):
        ask(socket, "reset", "state", seed=number)
        for step, target in enumerate(targets):
            if step // 8 % 2:
                view, _ = act(socket)
            else:
                view, _ = ask(socket, "step", "state", driver="you", target=target)
            states.append([*view["pointer"], *view["pose"], view["coverage"]])
    return states


def alike(server: PageServer) -> int:
    """How many of twenty visitors at once see what each of them sees alone."""
    with ThreadPoolExecutor(VISITORS) as pool:
        together = list(pool.map(lambda number: episode(server, number), range(VISITORS)))
    return sum(states == episode(server, number) for number, states in enumerate(together))


def memory(server: PageServer) -> dict[int, tuple[float, int]]:
    """MB and open files after so many visits."""
    found = {}
    for visits in range(1, max(MARKS) + 1):
        with visit(server, "pusht") as (socket, _):
            act(socket)
        if visits in MARKS:
            time.sleep(1)  # the last ones are still being closed
            found[visits] = server.resident(), server.open_files()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--steps", type=whole_number(1, 10**5), default=600, help="of Push-T, at 10 Hz (default 600: a minute)"
    )
    parser.add_argument(
        "--images", type=whole_number(1, 1000), default=20, help="for each diffusion model (default 20)"
    )
    options = parser.parse_args()
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    table = Table("what", "measured", "aim", title=time.strftime("%Y-%m-%d"))
    with PageServer(core=core) as server:
        took = push_t(server, options.steps)
        p50, p99 = np.percentile(took, [50, 99])
        table.add_row("Push-T, a step with a chunk, p50", f"{p50:.1f} ms", "")
        table.add_row("Push-T, a step with a chunk, p99", f"{p99:.1f} ms", "60 ms")
        late = sum(milliseconds > 1000 * TICK for milliseconds in took)
        table.add_row("Push-T, steps that miss the next tick", f"{late} of {len(took)}", "0")
        for name, (first, whole) in previews(server, options.images).items():
            table.add_row(f"{name}, first preview, median", f"{median(first):.0f} ms", "300 ms")
            table.add_row(f"{name}, first preview, slowest", f"{max(first):.0f} ms", "300 ms")
            table.add_row(f"{name}, whole image, median", f"{median(whole):.0f} ms", "")
        table.add_row("visitors at once who see what they see alone", f"{alike(server)} of {VISITORS}", str(VISITORS))
        for visits, (megabytes, files) in memory(server).items():
            table.add_row(f"after {visits} more visits", f"{megabytes:.1f} MB, {files} open files", "flat")
    Console().print(table)


if __name__ == "__main__":
    as_command(main)
