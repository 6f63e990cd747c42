// GAN: every setting asks for new images; the newest answer is what is shown.

import { Line } from "./line.js";
import { bars, make, options, put, showRanges } from "./drawing.js";

export function mount(section) {
  const $ = id => section.querySelector(`#${id}`);
  let hello = null, label = 3, asked = false, changed = false, newest = null;

  const line = new Line("gan", {
    hello(answer) {
      hello = answer;
      options($("generator"), answer.models.map(one => one.name));
      describe();
      settle();
      ask();
    },
    answer(answer) {
      if (answer.kind === "images") show(answer);
      if (answer.kind === "classifier") {
        bars($("reads"), answer.probabilities.map((share, i) => [chosen().classes[i] ?? i, share]), 3);
        $("reads").dataset.best = answer.probabilities.indexOf(Math.max(...answer.probabilities));
        settle();
      }
    },
    error: settle,
    lost: settle,
  }, section.querySelector(".status"));

  const chosen = () => hello?.models.find(one => one.name === $("generator").value);

  function settle() {
    asked = false;
    if (changed) ask();
  }

  function ask() {
    changed = asked;
    if (asked || !hello || !chosen()) return;
    const number = id => Number($(id).value);
    label = Math.min(label, Math.max(0, chosen().classes.length - 1));
    asked = line.ask("draw", { model: $("generator").value, start: number("from"), end: number("to"), share: number("share"), truncation: number("truncation"), label });
  }

  function show(answer) {
    newest = answer;
    put(answer.image, $("face"));
    $("opinion").textContent = answer.discriminator === null
      ? "The shipped weights leave the discriminator out; runs of your own have it."
      : `The discriminator's logit: ${answer.discriminator.toFixed(2)} (higher: more like a real image)`;
    const last = answer.walk.length - 1, here = Math.round(Number($("share").value) * last);
    pictures($("strip"), answer.walk, i => `${i + 1} of ${last + 1} on the way`, here, i => { $("share").value = i / last; $("share").dispatchEvent(new Event("input")); });
    pictures($("of-all"), answer.classes, i => chosen().classes[i] ?? "", label, i => { label = i; ask(); }, true);
    section.dataset.label = label;
  }

  // Buttons stay where they are, so that the keyboard's focus does; only their images change.
  function pictures(strip, images, name, pressed, choose, named = false) {
    while (strip.children.length > images.length) strip.lastChild.remove();
    images.forEach((image, i) => {
      let button = strip.children[i];
      if (!button) {
        button = make("button", { type: "button" });
        button.append(make("canvas"), named ? name(i) : "");
        button.addEventListener("click", () => choose(i));
        strip.append(button);
      }
      button.setAttribute("aria-label", name(i));
      button.setAttribute("aria-pressed", String(i === pressed));
      put(image, button.firstChild);
    });
  }

  function describe() {
    section.querySelector("[data-command]").textContent = chosen()?.command ?? "";
  }

  for (const id of ["from", "to", "generator"]) $(id).addEventListener("change", () => { describe(); ask(); });
  for (const id of ["share", "truncation"]) $(id).addEventListener("input", ask);
  const dice = () => {
    for (const id of ["from", "to"]) $(id).value = Math.floor(Math.random() * 100000);
    ask();
  };
  $("dice").addEventListener("click", dice);
  addEventListener("keydown", event => {
    if (!section.hidden && event.key.toLowerCase() === "n" && !event.ctrlKey && !event.metaKey && !/^(INPUT|SELECT)$/.test(event.target.tagName)) dice();
  });
  showRanges(section);
  return {};
}
