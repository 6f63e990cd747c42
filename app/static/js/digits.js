// Digits: a drawing goes to the server while it is made; readings come back.

import { Line } from "./line.js";
import { base64Of, make, put, signedPaint } from "./drawing.js";

export function mount(section) {
  const $ = id => section.querySelector(`#${id}`);
  const paper = $("paper"), small = make("canvas");
  let hello = null, asked = false, changed = false, last = null, readings = {};

  const line = new Line("digits", {
    hello(answer) {
      hello = answer;
      const density = Math.ceil(3 * (window.devicePixelRatio || 1)); // the paper is shown at three times what is sent
      [paper.width, paper.height] = [density * answer.side, density * answer.side];
      [small.width, small.height] = [answer.side, answer.side];
      wipe();
      drawTemplates();
      $("readers").replaceChildren(...answer.readers.map(card));
      section.querySelector("[data-command]").textContent = answer.readers.map(one => one.command).join("\n");
    },
    answer(answer) {
      if (answer.kind === "digit") put(answer.image, $("seen"));
      if (answer.kind === "reading") {
        readings[answer.reader] = answer;
        show(answer);
        if (answer.reader === hello.readers.at(-1).name) settle();
      }
      if (answer.kind === "nothing") { blank(); settle(); }
    },
    error: settle,
    lost: settle,
  }, section.querySelector(".status"));

  function settle() {
    asked = false;
    if (changed) ask();
  }

  function ask() {
    changed = asked;
    if (asked) return;
    const pen = small.getContext("2d", { willReadFrequently: true });
    pen.imageSmoothingQuality = "high";
    pen.drawImage(paper, 0, 0, small.width, small.height);
    const pixels = pen.getImageData(0, 0, small.width, small.height).data;
    const ink = Uint8Array.from({ length: small.width * small.height }, (_, i) => pixels[4 * i]);
    asked = line.ask("read", { drawing: base64Of(ink) });
  }

  function wipe() {
    const pen = paper.getContext("2d");
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, paper.width, paper.height);
    blank();
  }

  function blank() {
    readings = {};
    $("seen").getContext("2d").clearRect(0, 0, 28, 28);
    for (const reader of $("readers").children) {
      reader.querySelector(".big").textContent = "";
      delete reader.dataset.says;
      for (const bar of reader.querySelectorAll(".columns i")) bar.style.height = "0";
      const map = reader.querySelector("canvas");
      map.getContext("2d").clearRect(0, 0, map.width, map.height);
    }
  }

  function card({ name }) {
    const element = make("div", { className: "card reader" });
    element.dataset.reader = name;
    const columns = make("div", { className: "columns" });
    for (let i = 0; i < 10; i++) {
      const column = make("div");
      column.append(make("i"), String(i));
      columns.append(column);
    }
    const left = make("div"), map = make("canvas", { width: 28, height: 28, className: "pixel map", title: "what each pixel's ink says about the answer" });
    left.append(make("p", { className: "big" }), make("p", { className: "who", textContent: name }));
    element.append(left, columns, map);
    return element;
  }

  function show({ reader, probabilities, gradient }) {
    const element = [...$("readers").children].find(one => one.dataset.reader === reader);
    const best = probabilities.indexOf(Math.max(...probabilities));
    element.dataset.says = best;
    element.querySelector(".big").textContent = best;
    element.querySelectorAll(".columns i").forEach((bar, i) => { bar.style.height = `${64 * probabilities[i]}px`; });
    put(gradient, element.querySelector("canvas"), signedPaint());
  }

  function drawTemplates() {
    $("templates").replaceChildren(...hello.templates.map((image, i) => {
      const figure = make("figure");
      figure.append(put(image, undefined, signedPaint()), make("figcaption", { textContent: i }));
      return figure;
    }));
  }

  // A pen of soft, round strokes, as thick as MNIST's.
  let at = null;
  const place = event => {
    const box = paper.getBoundingClientRect(), scale = paper.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  };
  const stroke = to => {
    const pen = paper.getContext("2d");
    Object.assign(pen, { strokeStyle: "#fff", lineWidth: 0.08 * paper.width, lineCap: "round", lineJoin: "round" });
    pen.beginPath();
    pen.moveTo(...at);
    pen.lineTo(to[0] + .01, to[1]);
    pen.stroke();
    at = to;
    ask();
  };
  paper.addEventListener("pointerdown", event => {
    paper.setPointerCapture(event.pointerId);
    at = place(event);
    stroke(at);
  });
  paper.addEventListener("pointermove", event => {
    if (!at) return;
    for (const one of event.getCoalescedEvents?.() ?? []) stroke(place(one));
    stroke(place(event));
  });
  for (const kind of ["pointerup", "pointercancel"]) paper.addEventListener(kind, () => { at = null; });

  // A pen for the keyboard: by shares of the paper's sides.
  const pen = { x: .5, y: .5, down: false }, SHIFT = 1 / 28;
  const onPaper = () => [pen.x * paper.width, pen.y * paper.height];
  function showPen() {
    $("pen").hidden = document.activeElement !== paper || !paper.matches(":focus-visible");
    Object.assign($("pen").style, { left: `${100 * pen.x}%`, top: `${100 * pen.y}%` });
    $("pen").dataset.down = pen.down;
  }
  paper.addEventListener("keydown", event => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    at = onPaper();
    if (event.key === " ") pen.down = !pen.down;
    else [pen.x, pen.y] = [pen.x + SHIFT * move[0], pen.y + SHIFT * move[1]].map(share => Math.min(1, Math.max(0, share)));
    if (pen.down) stroke(onPaper());
    at = null;
    showPen();
  });
  for (const kind of ["focus", "blur"]) paper.addEventListener(kind, () => { pen.down = false; showPen(); });
  $("clear").addEventListener("click", wipe);
  addEventListener("keydown", event => { if (!section.hidden && event.key.toLowerCase() === "c" && !event.ctrlKey && !event.metaKey) wipe(); });
  addEventListener("theme", () => {
    if (!hello) return;
    drawTemplates();
    Object.values(readings).forEach(show);
  });
  return {};
}
