// Photographs: an image is cut to a square and scaled down here; only these pixels go to the server.

import { Line } from "./line.js";
import { bars, base64Of, colour, make, options, put } from "./drawing.js";

const LARGEST = 1200; // pixels of the image that is shown

export function mount(section) {
  const $ = id => section.querySelector(`#${id}`);
  let hello = null, picture = null;

  const line = new Line("photographs", {
    hello(answer) {
      hello = answer;
      options($("classifier"), answer.models.map(one => one.name));
      describe();
      if (picture) ask();
    },
    answer(answer) {
      if (answer.kind !== "classes") return;
      bars($("classes"), answer.names.map((name, i) => [name, answer.probabilities[i]]));
      $("views").replaceChildren(...answer.views.map(view => {
        const figure = make("figure"), best = view.probabilities.indexOf(Math.max(...view.probabilities));
        const canvas = put(view.image);
        Object.assign(canvas.style, { width: "72px", height: "72px" });
        figure.append(canvas, make("figcaption", { textContent: `${answer.names[best]} ${(100 * view.probabilities[best]).toFixed(0)} %` }));
        return figure;
      }));
      section.dataset.best = answer.names[answer.probabilities.indexOf(Math.max(...answer.probabilities))];
    },
  }, section.querySelector(".status"));

  const chosen = () => hello?.models.find(one => one.name === $("classifier").value);

  function describe() {
    section.querySelector("[data-command]").textContent = chosen()?.command ?? "";
  }

  async function read(file) {
    if (!file) return;
    try {
      picture = await createImageBitmap(file);
    } catch {
      line.say("this file is no image that the browser knows", "error");
      return;
    }
    show();
    ask();
  }

  function square() {
    const side = Math.min(picture.width, picture.height);
    return [(picture.width - side) / 2, (picture.height - side) / 2, side];
  }

  function show() {
    const canvas = $("photo"), scale = Math.min(1, LARGEST / Math.max(picture.width, picture.height));
    [canvas.width, canvas.height] = [Math.max(1, picture.width * scale), Math.max(1, picture.height * scale)];
    const pen = canvas.getContext("2d"), [x, y, side] = square().map(value => value * scale);
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    pen.fillStyle = "rgb(0 0 0 / 45%)";
    pen.beginPath();
    pen.rect(0, 0, canvas.width, canvas.height);
    pen.rect(x, y, side, side);
    pen.fill("evenodd");
    pen.strokeStyle = colour("warm");
    pen.lineWidth = Math.max(2, canvas.width / 200);
    pen.strokeRect(x, y, side, side);
    canvas.hidden = false;
    $("invite").textContent = `cut to its middle ${square()[2]} × ${square()[2]}, of ${picture.width} × ${picture.height}`;
  }

  function ask() {
    if (!hello || !chosen()) return;
    const [channels, height, width] = chosen().shape, rgba = shrunk(width, height);
    const rgb = Uint8Array.from({ length: height * width * channels }, (_, i) => rgba[4 * Math.floor(i / channels) + (i % channels)]);
    line.ask("classify", { model: chosen().name, image: base64Of(rgb) });
  }

  // Halved again and again, then scaled: each pixel is an average, not a sample.
  function shrunk(width, height) {
    let [x, y, side] = square(), from = picture, size = side;
    while (size / 2 > Math.max(width, height)) {
      size = Math.floor(size / 2);
      const half = make("canvas", { width: size, height: size }), pen = half.getContext("2d");
      pen.imageSmoothingQuality = "high";
      pen.drawImage(from, x, y, side, side, 0, 0, size, size);
      [from, x, y, side] = [half, 0, 0, size];
    }
    const last = make("canvas", { width, height }), pen = last.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.fillStyle = "#fff"; // under what is transparent
    pen.fillRect(0, 0, width, height);
    pen.drawImage(from, x, y, side, side, 0, 0, width, height);
    return pen.getImageData(0, 0, width, height).data;
  }

  const drop = $("drop");
  for (const kind of ["dragover", "dragenter"]) drop.addEventListener(kind, event => { event.preventDefault(); drop.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", event => { event.preventDefault(); read(event.dataTransfer.files[0]); });
  $("file").addEventListener("change", () => read($("file").files[0]));
  $("classifier").addEventListener("change", () => { describe(); if (picture) ask(); });
  addEventListener("paste", event => { if (!section.hidden) read([...event.clipboardData.files][0]); });
  return {};
}
