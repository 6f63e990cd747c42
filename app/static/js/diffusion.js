// Diffusion: one or two panes with an image as it forms, and particles in the plane.

import { Line } from "./line.js";
import { base64Of, colour, crisp, make, options, put, showRanges } from "./drawing.js";

const SIDES = ["draw", "draw beside"];
const BRUSH = .09; // radius of what the mouse rubs out, by the image's width
const REGIONS = { // what is rubbed out at once, by shares of width and height
  "what you paint over": () => false,
  "the upper half": (x, y) => y < .5,
  "the lower half": (x, y) => y >= .5,
  "the left half": x => x < .5,
  "the right half": x => x >= .5,
  "the middle": (x, y) => Math.max(Math.abs(x - .5), Math.abs(y - .5)) < .25,
};

export function mount(section) {
  const $ = id => section.querySelector(`#${id}`);
  let hello = null, paths = null;
  const panes = SIDES.map((side, i) => new Pane(side, i, draw, fill));
  $("panes").append(...panes.map(pane => pane.element));

  const line = new Line("diffusion", {
    hello(answer) {
      hello = answer;
      options($("ddpm"), answer.models.map(one => one.name));
      options($("toy-sampler"), answer.samplers);
      for (const pane of panes) pane.settings(answer);
      if (!$("class").options.length) choose();
      else describe();
      if (!paths) walk();
    },
    answer(answer) {
      if (answer.kind === "paths") {
        paths = answer.paths;
        play();
      } else panes[SIDES.indexOf(answer.side)].take(answer);
    },
    error: settle,
    lost: settle,
  }, section.querySelector(".status"));

  const chosen = () => hello?.models.find(one => one.name === $("ddpm").value);

  function choose() {
    const before = $("class").value;
    $("class").replaceChildren(...(chosen()?.classes ?? []).map((name, i) => make("option", { value: i, textContent: name })));
    if (before && before < $("class").options.length) $("class").value = before;
    for (const pane of panes) pane.defaults(chosen());
    describe();
  }

  function describe() {
    section.querySelector("[data-command]").textContent = chosen()?.command ?? "";
    panes[1].element.hidden = !$("compare").checked;
  }

  const shared = () => ({ model: $("ddpm").value, label: Number($("class").value), seed: Number($("noise-seed").value) });

  function draw() {
    if (!chosen()) return;
    for (const pane of panes.slice(0, $("compare").checked ? 2 : 1)) {
      pane.begin();
      line.ask(pane.side, { ...shared(), ...pane.given() });
    }
  }

  function fill(pane) {
    const rubbedOut = pane.rubbedOut();
    if (!chosen() || !rubbedOut) return;
    pane.begin();
    line.ask(pane.side, { ...shared(), ...pane.given(), ...rubbedOut });
  }

  function settle() {
    for (const pane of panes) pane.settle();
  }

  $("ddpm").addEventListener("change", () => { choose(); draw(); });
  $("class").addEventListener("change", draw);
  $("noise-seed").addEventListener("change", draw);
  $("compare").addEventListener("change", () => { describe(); draw(); });
  $("denoise").addEventListener("click", draw);

  // The plane.

  function walk() {
    line.ask("walk", { sampler: $("toy-sampler").value, steps: Number($("toy-steps").value), seed: Number($("noise-seed").value) || 0 });
  }

  let playing = 0;
  function play() {
    const scrub = $("toy-scrub"), last = paths[0].length - 1, began = performance.now(), mine = ++playing;
    scrub.max = last;
    const next = now => {
      if (mine !== playing) return;
      scrub.value = Math.min(last, Math.floor(((now - began) / 1400) * last));
      scrub.dispatchEvent(new Event("input"));
      if (scrub.value < last) requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  }

  function drawPlane() {
    if (!paths || section.hidden) return;
    const { pen, width, height } = crisp($("plane")), step = Number($("toy-scrub").value);
    const [x, y] = [value => width * (.5 + value / 5), value => height * (.5 - value / 5)];
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = colour("target-line");
    for (const [u, v] of hello.toy) dot(pen, x(u), y(v), 1.6);
    pen.strokeStyle = colour("accent");
    pen.lineWidth = 1;
    pen.globalAlpha = .28;
    for (const path of paths) {
      pen.beginPath();
      for (const [u, v] of path.slice(0, step + 1)) pen.lineTo(x(u), y(v));
      pen.stroke();
    }
    pen.globalAlpha = 1;
    pen.fillStyle = colour("warm");
    for (const path of paths) dot(pen, x(path[step][0]), y(path[step][1]), 2.4);
  }

  $("walk").addEventListener("click", walk);
  $("toy-sampler").addEventListener("change", walk);
  $("toy-steps").addEventListener("change", walk);
  $("toy-scrub").addEventListener("input", drawPlane);
  $("toy-scrub").addEventListener("pointerdown", () => { playing++; });
  addEventListener("theme", drawPlane);
  addEventListener("resize", drawPlane);
  addEventListener("keydown", event => {
    if (section.hidden || event.ctrlKey || event.metaKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    if (event.key.toLowerCase() === "d") draw();
    if (event.key.toLowerCase() === "f") panes.forEach(fill);
    if (event.key.toLowerCase() === "w") walk();
  });
  showRanges(section);
  describe();
  return { shown: drawPlane };
}

function dot(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

// Settings, x_t and x_0 of every step, a slider through them, and the image to rub a part out of.
class Pane {
  constructor(side, number, draw, fill) {
    this.side = side;
    this.steps = [];
    this.drawn = this.mask = null;
    this.element = make("div", { className: "card pane" });
    this.element.dataset.side = side;
    this.sampler = make("select");
    this.thresholding = make("select");
    this.guidance = make("input", { type: "range", min: 0, max: 8, step: .25, value: 2 });
    this.count = make("input", { type: "range", min: 1, max: 100, step: 1, value: 20 });
    this.scrub = make("input", { type: "range", min: 0, max: 0, step: 1, value: 0, className: "scrub", disabled: true });
    [this.noisy, this.clean] = [make("canvas", { className: "pixel" }), make("canvas", { className: "pixel paintable" })];
    this.at = make("output", { textContent: "not drawn yet" });
    this.region = make("select", { className: "region" });
    this.resampling = make("input", { type: "range", min: 1, max: 10, step: 1, value: 4, className: "resampling" });
    this.filling = make("button", { type: "button", className: "plain fill", textContent: "Fill it in", disabled: true });
    this.filling.append(make("kbd", { textContent: "F" }));
    const settings = make("div", { className: "two" }), rubbing = make("div", { className: "rubbing" });
    settings.append(
      field("Sampler", this.sampler), field("Thresholding", this.thresholding),
      field("Guidance scale", this.guidance, true), field("Steps", this.count, true),
    );
    rubbing.append(field("Rub out", this.region), field("Each step taken so often", this.resampling, true), this.filling);
    const pair = make("div", { className: "pair" });
    pair.append(figure(this.noisy, "x_t, what it looks at"), figure(this.clean, "x_0, what it predicts"));
    const through = field("Step", this.scrub);
    through.firstChild.append(this.at);
    this.element.append(settings, pair, through, rubbing);
    if (number) this.element.setAttribute("aria-label", "the other setting");
    options(this.region, Object.keys(REGIONS));
    settings.addEventListener("change", draw);
    this.scrub.addEventListener("input", () => this.show(Number(this.scrub.value)));
    this.region.addEventListener("change", () => this.rub(REGIONS[this.region.value], true));
    this.filling.addEventListener("click", () => fill(this));
    this.listen();
  }

  settings({ samplers, thresholding }) {
    options(this.sampler, samplers);
    options(this.thresholding, thresholding);
  }

  defaults(model) {
    if (!model) return;
    this.guidance.value = model.guidance_scale;
    this.count.value = model.sampling_steps;
    this.thresholding.value = this.side === SIDES[0] ? "dynamic" : "none";
    for (const range of [this.guidance, this.count]) range.dispatchEvent(new Event("input"));
  }

  given() {
    return {
      sampler: this.sampler.value, thresholding: this.thresholding.value,
      guidance_scale: Number(this.guidance.value), steps: Number(this.count.value),
    };
  }

  rubbedOut() {
    return this.mask && { rubbed_out: base64Of(this.mask), resampling: Number(this.resampling.value) };
  }

  begin() {
    this.steps = [];
    this.mask = null;
    this.region.selectedIndex = 0;
    this.element.dataset.state = "drawing";
    this.scrub.disabled = this.filling.disabled = true;
    this.at.value = "…";
  }

  take(answer) {
    if (answer.kind === "step") {
      if (answer.number === 1) this.steps = []; // what is left of an image that was given up may still have come
      this.element.dataset.state = "drawing";
      this.steps.push(answer);
      this.scrub.max = this.steps.length - 1;
      this.scrub.value = this.steps.length - 1;
      this.show(this.steps.length - 1);
    } else {
      this.drawn = answer.image;
      put(this.drawn, this.clean);
      this.settle();
      this.element.dataset.state = "drawn";
    }
  }

  // Nothing more will come.
  settle() {
    this.scrub.disabled = !this.steps.length;
    if (this.element.dataset.state === "drawing") delete this.element.dataset.state;
  }

  show(number) {
    const step = this.steps[number];
    if (!step) return;
    put(step.x_t, this.noisy);
    put(step.x_0, this.clean);
    this.at.value = `${step.number} of ${step.of}, t = ${step.t}`;
    this.element.dataset.step = step.number;
  }

  // Rubs out the pixels that `inside(x, y)` is true for; `anew` brings those back that were rubbed out before.
  rub(inside, anew = false) {
    if (this.element.dataset.state !== "drawn") return;
    const { height, width } = this.drawn, pen = put(this.drawn, this.clean).getContext("2d");
    if (anew || !this.mask) this.mask = new Uint8Array(height * width);
    pen.fillStyle = colour("warm");
    this.mask.forEach((before, i) => {
      const [row, column] = [Math.floor(i / width), i % width];
      if (inside((column + .5) / width, (row + .5) / height)) this.mask[i] = 1;
      if (this.mask[i]) pen.fillRect(column, row, 1, 1);
    });
    if (!this.mask.includes(1)) this.mask = null;
    this.filling.disabled = !this.mask;
  }

  listen() {
    const paint = event => {
      const box = this.clean.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      this.rub((u, v) => Math.hypot(u - x, v - y) < BRUSH);
    };
    let painting = false;
    this.clean.addEventListener("pointerdown", event => {
      this.clean.setPointerCapture(event.pointerId);
      painting = true;
      paint(event);
    });
    this.clean.addEventListener("pointermove", event => { if (painting) paint(event); });
    for (const kind of ["pointerup", "pointercancel"]) this.clean.addEventListener(kind, () => { painting = false; });
  }
}

function field(name, input, shows = false) {
  const label = make("label", { className: "field" }), words = make("span", { textContent: `${name} ` });
  if (shows) words.append(make("output"));
  label.append(words, input);
  return label;
}

function figure(canvas, words) {
  const element = make("figure");
  element.append(canvas, make("figcaption", { textContent: words }));
  return element;
}
