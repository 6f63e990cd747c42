// Sequences: tokens as they are written, what else was likely, and attention as lines.

import { Line } from "./line.js";
import { bars, bytesOf, colour, crisp, make, options, showRanges } from "./drawing.js";

const EVERY = 45; // milliseconds between two tokens that appear

export function mount(section) {
  const $ = id => section.querySelector(`#${id}`);
  let hello = null, tokens = [], maps = [], head = 0, focus = null, shown = 0, timer = null, outcome = null;

  const line = new Line("sequences", {
    hello(answer) {
      hello = answer;
      options($("sequence-model"), answer.models.map(one => one.name));
      if (!$("text").value) choose();
      else describe();
    },
    answer(answer) {
      if (answer.kind === "reading") {
        [tokens, maps, shown, outcome] = [[], [], 0, null];
        $("tokens").replaceChildren();
        $("candidates").replaceChildren();
        $("outcome").textContent = "";
        options($("layer"), []);
        drawAttention();
      } else if (answer.kind === "token") {
        tokens.push(answer);
        timer ??= setInterval(reveal, EVERY);
      } else if (answer.kind === "answer") {
        outcome = answer;
        if (!tokens.length) $("outcome").textContent = answer.text; // beams decide at the end
        timer ??= setInterval(reveal, EVERY);
      } else if (answer.kind === "attention") {
        maps = answer.maps;
        options($("layer"), maps.map(map => map.name));
        const cross = maps.findLast(map => map.name.includes("cross"));
        $("layer").value = (cross ?? maps.at(-1))?.name ?? "";
        showHeads();
      }
    },
  }, section.querySelector(".status"));

  function reveal() {
    if (shown < tokens.length) $("tokens").append(chip(tokens[shown], shown++));
    const ended = shown >= tokens.length && outcome;
    $("outcome").textContent = ended ? outcome.text : tokens.slice(0, shown).map(one => one.token).filter(plain).join(spaced() ? " " : "");
    if (ended) {
      clearInterval(timer);
      timer = null;
      section.dataset.answer = outcome.text;
      if (!outcome.ended && !chosen().writes) line.say("cut off before its end", "error");
    }
  }

  const plain = token => !/^<(pad|bos|eos|sep)>$/.test(token);
  const spaced = () => /^\d+$/.test(tokens[0]?.token ?? "");
  const chosen = () => hello?.models.find(one => one.name === $("sequence-model").value);

  function chip(token, number) {
    const button = make("button", { type: "button", className: "token", textContent: token.token.replaceAll(" ", "␣") });
    button.style.setProperty("--sure", `color-mix(in srgb, var(--good) ${Math.round(100 * token.probability)}%, var(--warm))`);
    button.title = `${(100 * token.probability).toFixed(1)} %`;
    const show = () => {
      for (const other of $("tokens").children) other.setAttribute("aria-pressed", String(other === button));
      $("candidates-of").textContent = `In the place of “${token.token}”`;
      bars($("candidates"), token.candidates, 5);
      lookAt(readerOf(number));
    };
    for (const kind of ["click", "focus", "pointerenter"]) button.addEventListener(kind, show);
    for (const kind of ["blur", "pointerleave"]) button.addEventListener(kind, () => lookAt(null));
    return button;
  }

  function showHeads() {
    const map = maps.find(one => one.name === $("layer").value);
    const count = map?.heads ?? 0;
    head = Math.min(head, Math.max(0, count - 1));
    $("heads").replaceChildren(...Array.from({ length: count }, (_, i) => {
      const button = make("button", { type: "button", textContent: i + 1, ariaLabel: `head ${i + 1}` });
      button.setAttribute("aria-pressed", String(i === head));
      button.addEventListener("click", () => { head = i; showHeads(); });
      return button;
    }));
    drawAttention();
  }

  // Which row of the map wrote a token of the answer: the one before it, but an encoder answers where it reads.
  function readerOf(number) {
    const map = maps.find(one => one.name === $("layer").value);
    if (!map || (chosen().draws && map.name.startsWith("encoder"))) return null;
    return map.asking.length - outcome.tokens.length + number - (chosen().draws ? 1 : 0);
  }

  function lookAt(row) {
    focus = row;
    drawAttention();
  }

  function drawAttention() {
    const { pen, width, height } = crisp($("attention"));
    pen.clearRect(0, 0, width, height);
    const map = maps.find(one => one.name === $("layer").value);
    if (!map) {
      pen.fillStyle = colour("muted");
      pen.font = "13px system-ui, sans-serif";
      pen.fillText(outcome && !maps.length ? "too many tokens to draw" : "", 4, 20);
      return;
    }
    const weights = bytesOf(map.bytes), [asks, reads] = [map.asking.length, map.attended.length];
    const x = (i, count) => (width * (i + .5)) / count;
    const [top, bottom] = [24, height - 8];
    pen.strokeStyle = colour("accent");
    for (let i = 0; i < asks; i++) {
      if (focus !== null && focus !== i) continue;
      for (let k = 0; k < reads; k++) {
        const weight = weights[(head * asks + i) * reads + k] / 255;
        if (weight < .02) continue;
        pen.globalAlpha = weight;
        pen.lineWidth = .5 + 3 * weight;
        pen.beginPath();
        pen.moveTo(x(k, reads), top + 4);
        pen.bezierCurveTo(x(k, reads), height / 2, x(i, asks), height / 2, x(i, asks), bottom - 16);
        pen.stroke();
      }
    }
    pen.globalAlpha = 1;
    pen.textAlign = "center";
    pen.font = "12px ui-monospace, Menlo, Consolas, monospace";
    const label = (names, y) => names.forEach((name, i) => {
      const room = width / names.length;
      if (room < 11 && i % 2) return;
      pen.fillStyle = colour(y > height / 2 && focus === i ? "accent" : "ink");
      pen.fillText(short(name, room), x(i, names.length), y);
    });
    label(map.attended, top - 8);
    label(map.asking, bottom);
  }

  const SPECIAL = { "<pad>": "·", "<bos>": "▸", "<eos>": "◂", "<sep>": "→", " ": "␣" };
  const short = (name, room) => SPECIAL[name] ?? name.slice(0, Math.max(1, Math.floor(room / 8)));

  $("attention").addEventListener("pointermove", event => {
    const map = maps.find(one => one.name === $("layer").value);
    if (!map) return;
    lookAt(Math.floor((event.offsetX / $("attention").clientWidth) * map.asking.length));
  });
  $("attention").addEventListener("pointerleave", () => lookAt(null));
  $("layer").addEventListener("change", showHeads);

  function choose() {
    $("text").value = chosen()?.example ?? "";
    describe();
    if ($("text").value) ask();
  }

  function describe() {
    section.querySelector("[data-command]").textContent = chosen()?.command ?? "";
    for (const range of $("generation").querySelectorAll("input")) range.disabled = !chosen()?.draws;
  }

  function ask() {
    const number = id => Number($(id).value), fields = { model: $("sequence-model").value, text: $("text").value };
    if (number("warmth") > 0) {
      Object.assign(fields, { temperature: number("warmth"), seed: number("draw-seed") });
      if (number("top_k") > 0) fields.top_k = number("top_k");
      if (number("top_p") < 1) fields.top_p = number("top_p");
    } else if (number("beams") > 1) fields.beams = number("beams");
    delete section.dataset.answer;
    line.ask("answer", fields);
  }

  $("ask").addEventListener("submit", event => { event.preventDefault(); ask(); });
  $("sequence-model").addEventListener("change", choose);
  $("generation").addEventListener("change", ask);
  addEventListener("theme", drawAttention);
  addEventListener("resize", () => { if (!section.hidden) drawAttention(); });
  showRanges(section);
  return { shown: drawAttention };
}
