// Push-T. The server holds the world; the page asks for one step of 0.1 s after the other and draws what comes back,
// moving smoothly from the state before to the newest.

import { Line } from "./line.js";
import { colour, crisp, options, showRanges } from "./drawing.js";

const WORLD = 512, POINTER = 15, STEP = 100; // pixels, pixels, milliseconds
const HANDLE = 165; // px from the block's origin to the handle that turns it
const AWAKE = 700; // milliseconds that the picture goes on being drawn after something happened
const FORMING = 320; // milliseconds in which a chunk is seen to form
const KEY_MOVE = 14; // pixels that an arrow key moves your target

export function mount(section) {
  const $ = id => section.querySelector(`#${id}`);
  const canvas = $("world");
  let hello = null, state = null, before = null, arrived = 0;
  let driver = "policy", running = false, waiting = false, due = 0;
  let target = null, pushing = false, dragging = null, over = false;
  let moved = null; // the pose that the block was dragged to, where it is not sent yet
  let awake = 0;
  const wake = () => { awake = performance.now() + AWAKE; };
  let described = ""; // the policy whose settings are shown
  let fan = null, plan = null, ghost = null, trail = [], planning = false;

  const line = new Line("pusht", {
    hello(answer) {
      hello = answer;
      waiting = planning = false;
      options($("policy"), answer.policies.map(one => one.name));
      options($("demonstrations"), answer.demonstrations);
      showPolicy();
      section.querySelector("#record-command code").textContent = answer.record_command;
      for (const id of ["keep", "undo"]) $(id).hidden = !answer.records;
      section.querySelector("#record-command").hidden = !answer.records;
      take(answer.state, true);
    },
    answer(answer) {
      if (answer.kind === "state") {
        if (answer.fan) {
          fan = { ...answer.fan, since: performance.now() };
          $("formed-in").textContent = `(${fan.milliseconds.toFixed(0)} ms)`;
        }
        take(answer);
      } else if (answer.kind === "planning") {
        line.say(`searching, ${answer.seconds.toFixed(1)} s …`, "busy");
        return;
      } else if (answer.kind === "plan") {
        [plan, planning, ghost] = [answer, false, null];
        choose("planner");
        setRunning(true);
      } else if (answer.kind === "replay" || answer.kind === "demonstration") {
        ghost = { ...answer, since: performance.now(), at: 0 };
        if (answer.kind === "replay") {
          setRunning(false);
          line.say(answer.same ? "replayed from its start: the same to the last bit" : "the replay ended elsewhere", answer.same ? "" : "error");
        } else setRunning(true);
      }
      waiting = false;
      place();
    },
    error() {
      waiting = planning = false;
      setRunning(false);
    },
    lost() {
      waiting = false;
      moved = null;
      setRunning(false);
    },
  }, section.querySelector(".status"));

  function take(next, anew = false) {
    const begins = anew || !state || next.steps === 0;
    [before, state, arrived] = [begins ? next : state, next, performance.now()];
    wake();
    waiting = false;
    if (begins) [trail, fan, plan] = [[], null, null];
    trail.push(next.pointer);
    if (trail.length > 60) trail.shift();
    if (ghost?.kind === "demonstration") ghost.at = Math.min(next.steps, ghost.frames.length - 1);
    if (document.activeElement !== $("seed") && next.seed !== null) $("seed").value = next.seed;
    if (next.solved) setRunning(false);
    if (driver === "planner" && plan && !next.planned && next.steps && !next.solved) setRunning(false);
    $("gauge").firstElementChild.style.width = `${100 * next.coverage}%`;
    $("gauge").setAttribute("aria-valuenow", next.coverage);
    const race = ghost?.kind === "demonstration" ? ` · theirs ${(100 * ghost.frames[ghost.at][5]).toFixed(0)} %` : "";
    $("facts").textContent = `${(100 * next.coverage).toFixed(0)} % covered · ${next.steps} steps · ${(next.steps / 10).toFixed(1)} s${race}`;
    $("solved").hidden = !next.solved;
    $("kept").textContent = hello.records ? `${next.kept} kept` : "start with --out FOLDER to record";
    $("keep").disabled = !next.steps;
    $("undo").disabled = !next.kept;
    $("replay").disabled = !next.steps;
    section.dataset.steps = next.steps;
    section.dataset.solved = next.solved;
    section.dataset.pointer = next.pointer.join(",");
    section.dataset.pose = next.pose.join(",");
  }

  // What the page asks for.

  const at = values => values.map(value => Math.round(value * 64) / 64);

  function step() {
    const acting = pushing ? "you" : driver;
    const fields = { driver: acting };
    if (acting === "you") {
      if (!target) return;
      fields.target = at(target);
    } else if (acting === "policy") {
      Object.assign(fields, { policy: $("policy").value, temperature: Number($("temperature").value), n_action_steps: Number($("carried").value) });
    }
    waiting = line.ask("step", fields);
  }

  function place() {
    if (!moved || waiting) return;
    waiting = line.ask("place", { pose: moved });
    moved = null;
  }

  function begin(fields) {
    ghost = plan = fan = null;
    waiting = line.ask("reset", fields);
    if (driver === "planner") choose("policy");
  }

  function solve() {
    if (planning || state?.solved) return;
    setRunning(false);
    planning = waiting = line.ask("plan");
  }

  function keep() {
    if (!hello?.records || !state?.steps) return;
    if (!state.solved && !confirm("This one is not solved. Keep it all the same?")) return;
    setRunning(false);
    line.ask("keep", { unsolved: !state.solved });
  }

  function choose(who) {
    driver = who;
    pushing = false;
    for (const button of $("driver").children) button.setAttribute("aria-pressed", String(button.dataset.driver === who));
    target = who === "you" && state ? [...state.pointer] : null;
    describe();
  }

  function setRunning(yes) {
    running = yes;
    $("run").firstChild.textContent = yes ? "Pause" : "Start";
    describe();
  }

  function describe() {
    const words = {
      you: running ? "the pointer follows you" : "press into the world, or use the arrow keys",
      policy: running ? "press into the world to take over; let go to hand back" : "",
      planner: plan ? "" : "ask for a plan: Solve it from here",
    };
    $("note").textContent = $("hand").checked ? "drag the block, or turn it by the handle: a new episode begins" : words[driver];
  }

  // The command that trains it, and the settings that it came with.
  function showPolicy() {
    const chosen = hello.policies.find(one => one.name === $("policy").value);
    section.querySelector("[data-command]").textContent = chosen?.command ?? "";
    if (!chosen || chosen.name === described) return;
    described = chosen.name;
    const { temperature, n_action_steps: carried, horizon } = chosen.acts;
    if (horizon) $("carried").max = horizon;
    for (const [id, value] of Object.entries({ temperature, carried })) {
      if (value === undefined) continue;
      $(id).value = value;
      $(id).dispatchEvent(new Event("input"));
    }
  }

  // Mouse, touch, keys.

  const pointOf = event => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top].map(value => (value * WORLD) / box.width);
  };

  const inBlock = point => {
    const [x, y, angle] = state.pose, [dx, dy] = [point[0] - x, point[1] - y];
    const [u, v] = [Math.cos(angle) * dx + Math.sin(angle) * dy, Math.cos(angle) * dy - Math.sin(angle) * dx];
    return (Math.abs(u) <= 60 && v >= 0 && v <= 30) || (Math.abs(u) <= 15 && v >= 30 && v <= 120);
  };

  const handle = () => {
    const [x, y, angle] = state.pose;
    return [x - Math.sin(angle) * HANDLE, y + Math.cos(angle) * HANDLE].map(value => Math.min(WORLD - 12, Math.max(12, value)));
  };

  canvas.addEventListener("pointerdown", event => {
    if (!state) return;
    canvas.setPointerCapture(event.pointerId);
    const point = pointOf(event);
    if ($("hand").checked) {
      const [hx, hy] = handle();
      if (Math.hypot(point[0] - hx, point[1] - hy) < 24) dragging = { turn: true };
      else if (inBlock(point)) dragging = { offset: [state.pose[0] - point[0], state.pose[1] - point[1]] };
      return;
    }
    target = point;
    if (driver !== "you") pushing = true;
    if (!state.solved) setRunning(true);
  });

  canvas.addEventListener("pointermove", event => {
    if (!state) return;
    const point = pointOf(event);
    over = $("hand").checked && inBlock(point);
    if (dragging) {
      const [x, y, angle] = state.pose;
      const pose = dragging.turn
        ? [x, y, Math.atan2(point[1] - y, point[0] - x) - Math.PI / 2]
        : [point[0] + dragging.offset[0], point[1] + dragging.offset[1], angle];
      moved = pose;
      place();
    } else if (driver === "you" || pushing) target = point;
  });

  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, () => {
      dragging = null;
      if (pushing) [pushing, target] = [false, null];
    });
  }

  canvas.addEventListener("keydown", event => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move || !state) return;
    event.preventDefault();
    if (driver !== "you") choose("you");
    target = (target ?? state.pointer).map((value, i) => Math.min(WORLD, Math.max(0, value + KEY_MOVE * move[i])));
    if (!state.solved) setRunning(true);
  });

  addEventListener("keydown", event => {
    if (section.hidden || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const press = { " ": "run", r: "next", a: "again", p: "plan", y: "replay", k: "keep", u: "undo" }[event.key.toLowerCase()];
    if (!press || (event.key === " " && event.target.tagName === "BUTTON")) return;
    event.preventDefault();
    if (!$(press).disabled) $(press).click();
  });

  $("driver").addEventListener("click", event => {
    const who = event.target.dataset?.driver;
    if (!who) return;
    choose(who);
    if (who === "planner" && !plan) solve();
  });
  $("run").addEventListener("click", () => {
    if (!running && state?.solved) begin({});
    ghost = ghost?.kind === "replay" ? null : ghost;
    setRunning(!running);
  });
  $("next").addEventListener("click", () => begin({}));
  $("again").addEventListener("click", () => begin({ seed: Number($("seed").value) || 0 }));
  $("seed").addEventListener("change", () => begin({ seed: Number($("seed").value) }));
  $("plan").addEventListener("click", solve);
  $("keep").addEventListener("click", keep);
  $("undo").addEventListener("click", () => line.ask("undo"));
  $("replay").addEventListener("click", () => { setRunning(false); line.ask("replay"); });
  $("hand").addEventListener("change", describe);
  $("policy").addEventListener("change", showPolicy);
  $("beside").addEventListener("click", () => {
    choose("policy");
    waiting = line.ask("demonstration", { source: $("demonstrations").value });
  });

  // Drawing, at the screen's own rate.

  function frame(now) {
    requestAnimationFrame(frame);
    if (section.hidden || !state) return;
    const interval = STEP / Number($("speed").value);
    if (running && !waiting && !dragging && !moved && now >= due) {
      due = Math.max(due + interval, now - interval);
      step();
    }
    if (now < awake || ghost?.kind === "replay") draw(now, interval);
  }

  function draw(now, interval) {
    const { pen, width } = crisp(canvas);
    pen.clearRect(0, 0, width, width);
    pen.save();
    pen.scale(width / WORLD, width / WORLD);
    pen.lineJoin = pen.lineCap = "round";
    polygon(pen, hello.target, colour("target"), colour("target-line"));
    const share = Math.min(1, Math.max(0, now - arrived) / interval); // a frame may have begun before the answer came
    const mix = (from, to) => from.map((value, i) => value + share * (to[i] - value));
    let pointer = mix(before.pointer, state.pointer), pose = mix(before.pose, state.pose);
    pose[2] = before.pose[2] + share * turned(before.pose[2], state.pose[2]);
    if (ghost) {
      if (ghost.kind === "replay") ghost.at = Math.min(ghost.frames.length - 1, Math.floor(Math.max(0, now - ghost.since) / (interval / 2)));
      const shown = ghost.frames[ghost.at];
      if (ghost.kind === "replay" && ghost.at < ghost.frames.length - 1) [pointer, pose] = [shown.slice(0, 2), shown.slice(2, 5)];
      else if (ghost.kind === "demonstration") {
        polygon(pen, corners(shown.slice(2, 5)), null, colour("warm"));
        circle(pen, shown.slice(0, 2), POINTER, null, colour("warm"));
      }
    }
    path(pen, trail, colour("pointer"), 2, .22);
    polygon(pen, corners(pose), colour("block"), colour("block-line"));
    if (plan && state.planned) drawPlan(pen);
    if (fan && $("fanned").checked && driver === "policy" && !pushing) drawFan(pen, now);
    circle(pen, pointer, POINTER, colour(pushing || driver === "you" ? "warm" : "pointer"));
    if ((pushing || driver === "you") && target) circle(pen, target, 4, null, colour("warm"));
    if ($("hand").checked) {
      path(pen, [pose.slice(0, 2), handle()], colour("muted"), 1, .5);
      circle(pen, handle(), 9, colour("surface"), colour("warm"));
    }
    canvas.style.cursor = $("hand").checked ? (over ? "grab" : "default") : "crosshair";
    pen.restore();
  }

  // The chosen chunk as it forms, and what seven other draws of the same noise level would have become.
  function drawFan(pen, now) {
    const forming = Math.min(1, Math.max(0, now - fan.since) / FORMING), last = fan.steps.length - 1;
    const position = forming * last, from = Math.floor(position), part = position - from;
    const [a, b] = [fan.steps[from], fan.steps[Math.min(last, from + 1)]];
    const chunk = a.map((point, i) => point.map((value, k) => value + part * (b[i][k] - value)));
    for (const other of fan.others) path(pen, other, colour("accent"), 1.5, .2 * forming);
    path(pen, chunk, colour("warm"), 2, .55);
    chunk.forEach((point, i) => circle(pen, point, i < fan.carried_out ? 3.2 : 2, colour("warm")));
  }

  // Where the planner walks around the block, and where it pushes.
  function drawPlan(pen) {
    const done = plan.actions.length - state.planned;
    for (let i = Math.max(1, done); i < plan.actions.length; i++) {
      const pushes = plan.pushing[i];
      path(pen, plan.actions.slice(i - 1, i + 1), colour(pushes ? "warm" : "muted"), pushes ? 3.5 : 1.5, pushes ? .85 : .6);
    }
  }

  const corners = ([x, y, angle]) => {
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    return hello.corners.map(([u, v]) => [x + cos * u - sin * v, y + sin * u + cos * v]);
  };

  for (const kind of ["pointerdown", "pointermove", "pointerup", "change", "keydown"]) section.addEventListener(kind, wake);
  for (const kind of ["theme", "resize"]) addEventListener(kind, wake);
  showRanges(section);
  choose("policy");
  setRunning(false);
  requestAnimationFrame(frame);
  return { shown: wake };
}

function turned(from, to) {
  return ((((to - from + Math.PI) % (2 * Math.PI)) + 2 * Math.PI) % (2 * Math.PI)) - Math.PI;
}

function polygon(pen, points, fill, stroke) {
  pen.beginPath();
  points.forEach(([x, y]) => pen.lineTo(x, y));
  pen.closePath();
  if (fill) { pen.fillStyle = fill; pen.fill(); }
  if (stroke) { pen.strokeStyle = stroke; pen.lineWidth = 1.5; pen.stroke(); }
}

function circle(pen, [x, y], radius, fill, stroke) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  if (fill) { pen.fillStyle = fill; pen.fill(); }
  if (stroke) { pen.strokeStyle = stroke; pen.lineWidth = 2; pen.stroke(); }
}

function path(pen, points, stroke, width, alpha) {
  if (points.length < 2) return;
  pen.globalAlpha = alpha;
  pen.strokeStyle = stroke;
  pen.lineWidth = width;
  pen.beginPath();
  points.forEach(([x, y]) => pen.lineTo(x, y));
  pen.stroke();
  pen.globalAlpha = 1;
}
