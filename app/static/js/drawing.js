// Canvases that are crisp at any density, images that came as bytes, and the page's colours.

// The 2-D context of a canvas, scaled so that one unit is one CSS pixel; resized to what the layout gives it.
export function crisp(canvas) {
  const density = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  const [w, h] = [Math.max(1, Math.round(width * density)), Math.max(1, Math.round(height * density))];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const pen = canvas.getContext("2d");
  pen.setTransform(density, 0, 0, density, 0, 0);
  return { pen, width, height };
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), sign => sign.charCodeAt(0));
}

export function base64Of(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return btoa(text);
}

// Puts an image {height, width, channels, bytes} into a canvas, one pixel for each; CSS scales it.
// `paint(value)` gives [r, g, b] of a grey image's byte.
export function put(image, canvas = document.createElement("canvas"), paint = null) {
  const bytes = bytesOf(image.bytes), { height, width, channels } = image;
  [canvas.width, canvas.height] = [width, height];
  canvas.classList.add("pixel");
  const pen = canvas.getContext("2d"), data = pen.createImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    const at = i * channels;
    const rgb = channels >= 3 ? bytes.subarray(at, at + 3) : paint ? paint(bytes[at]) : [bytes[at], bytes[at], bytes[at]];
    data.data.set(rgb, 4 * i);
    data.data[4 * i + 3] = 255;
  }
  pen.putImageData(data, 0, 0);
  return canvas;
}

// Bytes around 128 as two colours that meet in the page's own.
export function signedPaint() {
  const [none, more, less] = ["sunken", "positive", "negative"].map(name => rgbOf(colour(name)));
  return byte => {
    const share = Math.min(1, Math.abs(byte - 128) / 127), end = byte >= 128 ? more : less;
    return none.map((from, i) => from + share * (end[i] - from));
  };
}

function rgbOf(hex) {
  return [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
}

// Rows of bars: [[name, share], ...], the likeliest first.
export function bars(element, rows, most = 10) {
  const shown = [...rows].sort((a, b) => b[1] - a[1]).slice(0, most);
  element.replaceChildren(...shown.map(([name, share], i) => {
    const bar = make("div", { className: i ? "bar" : "bar first" });
    const track = make("span", { className: "track" }), fill = make("i");
    fill.style.width = `${100 * share}%`;
    track.append(fill);
    bar.append(make("span", { textContent: name, title: name }), track, make("span", { textContent: `${(100 * share).toFixed(1)} %` }));
    return bar;
  }));
}

export function make(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

export function options(select, names) {
  const before = select.value;
  select.replaceChildren(...names.map(name => make("option", { value: name, textContent: name })));
  if (names.includes(before)) select.value = before;
}

// Shows the value of every range beside its name.
export function showRanges(root) {
  for (const range of root.querySelectorAll("input[type=range]")) {
    const shown = range.closest(".field").querySelector("output");
    const show = () => { shown.value = (range.dataset.unit === "x" ? "× " : "") + Number(range.value); };
    range.addEventListener("input", show);
    show();
  }
}
