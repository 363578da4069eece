// The keyboard's own ways: everything here can be done with a pointer or with Tab
// and Enter as well. Single letters never count while somebody types, and can be
// switched off (WCAG 2.1.4): the switch stands in the help, which a button opens.

document.documentElement.classList.add("js");

const store = "aftercall-keys";
const help = document.getElementById("keys");
const choice = document.getElementById("keys-on");

let on = true;
try { on = localStorage.getItem(store) !== "off"; } catch { /* nothing is kept here */ }

function typing(element) {
  if (!element) return false;
  if (element.isContentEditable || element.matches("textarea, select")) return true;
  return element.matches("input") && !["checkbox", "radio", "button", "submit", "reset"].includes(element.type);
}

// Rows of the page's lists, and the one that has the focus.
const lists = "main table.cards tbody tr, main ol.timeline li";
const row = () => document.activeElement?.closest(lists);

function move(step) {
  const rows = [...document.querySelectorAll(lists)].filter((r) => r.querySelector("a[href], button"));
  if (!rows.length) return;
  const at = rows.indexOf(row());
  const to = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))];
  const target = to.querySelector("a[href]") || to.querySelector("button");
  target.focus({ preventScroll: true });
  to.scrollIntoView({ block: "nearest" });
}

// press presses the first of these that is there, in the current row before
// anywhere else.
function press(selector, within) {
  const found = row()?.querySelector(selector) || (within === "row" ? null : document.querySelector("main .head " + selector) || document.querySelector("main " + selector));
  if (!found || found.disabled) return false;
  found.click();
  return true;
}

function go(path) { location.assign(path); }

function test() {
  if (press('form[action$="/test"] button')) return;
  const form = document.createElement("form");
  form.method = "post";
  form.action = "/webhooks/test";
  form.dataset.drawer = "";
  document.body.append(form);
  form.requestSubmit();
  form.remove();
}

function resend() {
  const bulk = document.getElementById("bulk");
  const chosen = document.querySelector('input[form="bulk"][name="id"]:checked');
  if (chosen && bulk?.getAttribute("action") === "/attempts/selected") return bulk.requestSubmit();
  const selector = 'form[action$="/resend"]:not([action^="/attempts/selected"]) button';
  // In a list it is about the row, or about nothing.
  press(selector, document.querySelector("main table.cards " + selector) ? "row" : "");
}

function escape() {
  if (typing(document.activeElement)) return document.activeElement.blur();
  const chosen = document.querySelectorAll('input[form="bulk"]:checked, [data-pick-all] input:checked');
  if (chosen.length) {
    for (const box of chosen) box.checked = false;
    return;
  }
  if (row()) document.activeElement.blur();
}

// The page that the overview of this page's webhook is.
function overview() {
  const at = /^\/webhooks\/([^/]+)/.exec(location.pathname);
  return at && !["new", "selected", "test"].includes(at[1]) ? "/webhooks/" + at[1] : "/webhooks";
}

const places = { w: () => "/webhooks", d: () => "/attempts", o: overview, h: () => "/health" };

const keys = {
  j: () => move(1),
  k: () => move(-1),
  x: () => row()?.querySelector('input[type="checkbox"]')?.click(),
  r: resend,
  c: () => press('[data-copy="curl"]'),
  l: () => document.querySelector("[data-live-toggle]")?.click(),
  f: () => {
    const filters = document.querySelector("main form.filters");
    if (filters?.closest("details")) filters.closest("details").open = true;
    filters?.querySelector("input:not([type=hidden]), select")?.focus();
  },
  "/": () => document.querySelector("main input[type=search]")?.focus(),
  T: test,
  "?": () => help?.showModal(),
};

let first = "";
let forget;

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
  if (document.querySelector("dialog[open]")) return; // it has Escape and Tab of its own
  if (event.key === "Escape") return escape();
  if (typing(event.target) || !on || event.repeat && !"jk".includes(event.key)) return;
  clearTimeout(forget);
  const before = first;
  first = "";
  if (before === "g") {
    const place = Object.hasOwn(places, event.key) && places[event.key];
    if (place) { event.preventDefault(); go(place()); }
    return;
  }
  if (event.key === "g") {
    first = "g";
    forget = setTimeout(() => { first = ""; }, 1500);
    return;
  }
  // With caps lock on, a t is no T.
  if (event.key === "T" && !event.shiftKey) return;
  if (!Object.hasOwn(keys, event.key)) return;
  event.preventDefault();
  keys[event.key]();
});

if (help && choice) {
  choice.checked = on;
  choice.addEventListener("change", () => {
    on = choice.checked;
    try { localStorage.setItem(store, on ? "on" : "off"); } catch { /* then it holds for this page alone */ }
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-keys]")) help.showModal();
  });
}

// One box for all of a page.
document.addEventListener("change", (event) => {
  const all = event.target.closest("[data-pick-all]");
  if (!all) return;
  for (const box of all.closest("table").querySelectorAll('input[form="bulk"][name="id"]')) box.checked = event.target.checked;
});
