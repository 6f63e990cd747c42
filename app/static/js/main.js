// Which tab is shown, and the theme. A tab's module is loaded, and its line opened, when it is first shown.

const TABS = ["pusht", "digits", "sequences", "diffusion", "gan", "photographs"];
const mounted = {};

async function show() {
  const name = TABS.includes(location.hash.slice(1)) ? location.hash.slice(1) : TABS[0];
  for (const tab of TABS) {
    document.getElementById(tab).hidden = tab !== name;
    document.querySelector(`nav a[href="#${tab}"]`).setAttribute("aria-selected", String(tab === name));
    document.querySelector(`nav a[href="#${tab}"]`).tabIndex = tab === name ? 0 : -1;
  }
  document.querySelector(`nav a[href="#${name}"]`).scrollIntoView({ block: "nearest", inline: "nearest" });
  scrollTo(0, 0);
  mounted[name] ??= import(`./${name}.js`).then(module => module.mount(document.getElementById(name)));
  (await mounted[name])?.shown?.();
}

document.querySelector("nav").addEventListener("keydown", event => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const links = [...document.querySelectorAll("nav a")], at = links.indexOf(document.activeElement);
  const next = links[(at + step + links.length) % links.length];
  event.preventDefault();
  history.pushState(null, "", next.hash); // following the link would take the focus away from it
  show();
  next.focus();
});

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event("theme"));
}

const darkness = matchMedia("(prefers-color-scheme: dark)");
setTheme(localStorage.getItem("theme") ?? (darkness.matches ? "dark" : "light"));
darkness.addEventListener("change", () => { if (!localStorage.getItem("theme")) setTheme(darkness.matches ? "dark" : "light"); });
document.getElementById("theme").addEventListener("click", () => {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", theme);
  setTheme(theme);
});
addEventListener("hashchange", show);
show();
