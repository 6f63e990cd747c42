// Diffusion: one or two panes with an image as it forms, and particles in the plane.

import { Line } from "./line.js";
import { colour, crisp, make, options, put, showRanges } from "./drawing.js";

const SIDES = ["draw", "draw beside"];

export function mount(section) {
  const $ = id => section.querySelector(`#${id}`);
  let hello = null, paths = null;
  const panes = SIDES.map((side, i) => new Pane(side, i));
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

  function draw() {
    if (!chosen()) return;
    const shared = { model: $("ddpm").value, label: Number($("class").value), seed: Number($("noise-seed").value) };
    for (const pane of panes.slice(0, $("compare").checked ? 2 : 1)) {
      pane.begin();
      line.ask(pane.side, { ...shared, ...pane.given() });
    }
  }

  $("ddpm").addEventListener("change", () => { choose(); draw(); });
  $("class").addEventListener("change", draw);
  $("noise-seed").addEventListener("change", draw);
  $("compare").addEventListener("change", () => { describe(); draw(); });
  $("denoise").addEventListener("click", draw);
  for (const pane of panes) pane.element.addEventListener("change", event => { if (event.target !== pane.scrub) draw(); });

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

// Settings, x_t and x_0 of every step, and a slider through them.
class Pane {
  constructor(side, number) {
    this.side = side;
    this.steps = [];
    this.element = make("div", { className: "card pane" });
    this.element.dataset.side = side;
    this.sampler = make("select");
    this.thresholding = make("select");
    this.guidance = make("input", { type: "range", min: 0, max: 8, step: .25, value: 2 });
    this.count = make("input", { type: "range", min: 1, max: 100, step: 1, value: 20 });
    this.scrub = make("input", { type: "range", min: 0, max: 0, step: 1, value: 0, className: "scrub", disabled: true });
    [this.noisy, this.clean] = [make("canvas", { className: "pixel" }), make("canvas", { className: "pixel" })];
    this.at = make("output", { textContent: "not drawn yet" });
    const settings = make("div", { className: "two" });
    settings.append(
      field("Sampler", this.sampler), field("Thresholding", this.thresholding),
      field("Guidance scale", this.guidance, true), field("Steps", this.count, true),
    );
    const pair = make("div", { className: "pair" });
    pair.append(figure(this.noisy, "x_t, what it looks at"), figure(this.clean, "x_0, what it predicts"));
    const through = field("Step", this.scrub);
    through.firstChild.append(this.at);
    this.element.append(settings, pair, through);
    if (number) this.element.setAttribute("aria-label", "the other setting");
    this.scrub.addEventListener("input", () => this.show(Number(this.scrub.value)));
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

  begin() {
    this.steps = [];
    this.element.dataset.state = "drawing";
    this.scrub.disabled = true;
    this.at.value = "…";
  }

  take(answer) {
    if (answer.kind === "step") {
      this.steps.push(answer);
      this.scrub.max = this.steps.length - 1;
      this.scrub.value = this.steps.length - 1;
      this.show(this.steps.length - 1);
    } else {
      put(answer.image, this.clean);
      this.scrub.disabled = false;
      this.element.dataset.state = "drawn";
    }
  }

  show(number) {
    const step = this.steps[number];
    if (!step) return;
    put(step.x_t, this.noisy);
    put(step.x_0, this.clean);
    this.at.value = `${step.number} of ${step.of}, t = ${step.t}`;
    this.element.dataset.step = step.number;
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
