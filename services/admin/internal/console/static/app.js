// The console works without this file. It adds three things: lists that refresh
// themselves, buttons that copy, and a form whose Check and Add a header don't
// reload it. stream.js, live.js and drawer.js use what it has for regions.
"use strict";

const every = 2000;

// A live region is replaced by the same region of the same page, unless someone
// is in it: rows never move under focus, a selection, or an open detail.
function busy(region) {
  if (region.contains(document.activeElement) && document.activeElement !== document.body) return true;
  if (region.querySelector("details[open], input:checked")) return true;
  const selection = document.getSelection();
  return !!selection && !selection.isCollapsed && region.contains(selection.anchorNode);
}

// A region is part of this page, or says of which other one.
function pageOf(region) {
  return region.dataset.page || location.href;
}

function replace(region, fresh) {
  region.replaceChildren(...fresh.childNodes);
  if (!fresh.hasAttribute("data-live")) region.removeAttribute("data-live");
  region.toggleAttribute("data-soon", fresh.hasAttribute("data-soon"));
  if (fresh.hasAttribute("data-ended")) ended();
}

// What can be done only while a delivery goes on is offered no more once it has
// ended.
function ended() {
  for (const offer of document.querySelectorAll("main [data-while-open]")) {
    const held = offer.contains(document.activeElement);
    offer.remove();
    if (held) document.querySelector("main .head .actions button.primary")?.focus();
  }
}

async function refresh(region) {
  if (document.hidden || busy(region)) return;
  let answer;
  try {
    answer = await fetch(pageOf(region), { headers: { "Aftercall-Fragment": region.id }, redirect: "error", signal: AbortSignal.timeout(8000) });
  } catch {
    return stale(region);
  }
  if (!answer.ok) return stale(region);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(region.id);
  if (fresh && !busy(region)) replace(region, fresh);
}

// Old figures must not look fresh.
function stale(region) {
  for (const mark of region.querySelectorAll(".live")) {
    mark.classList.add("stale");
    const word = mark.querySelector(".word");
    if (word) word.textContent = "Not updating: the console does not answer";
  }
}

async function live(region) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, every));
    if (!region.isConnected || !region.hasAttribute("data-live")) return;
    // Where there is a stream, it says when.
    if (!region.hasAttribute("data-streamed")) await refresh(region);
  }
}
for (const region of document.querySelectorAll("[data-live][id]")) live(region);

// What a button copies: the text of an element, or the address of this page.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-link]");
  if (!button) return;
  event.preventDefault();
  const link = button.hasAttribute("data-copy-link");
  const from = link ? null : document.getElementById(button.dataset.copy);
  if (!from && !link) return;
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(link ? location.href.replace(/#.*/, "") : from.textContent.trim());
    button.textContent = "Copied";
  } catch {
    if (from) document.getSelection().selectAllChildren(from);
    button.textContent = from ? "Selected: press Ctrl+C" : "Copy it from the address bar";
  }
  setTimeout(() => { button.textContent = before; }, 2000);
});
for (const button of document.querySelectorAll("[data-copy], [data-copy-link]")) button.hidden = false;

// Forms that say so submit when a choice changes.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-auto]");
  if (form && event.target.matches("select")) form.requestSubmit();
});

// One more row of headers, without a round trip: typed secrets stay typed.
function addHeader(form) {
  const rows = form.querySelectorAll(".header-row");
  const row = rows[rows.length - 1].cloneNode(true);
  for (const extra of row.querySelectorAll(".error-text, input[type=hidden]")) extra.remove();
  for (const input of row.querySelectorAll("input")) {
    input.name = input.name.replace(/\d+/, rows.length);
    input.removeAttribute("aria-invalid");
    if (input.type === "checkbox") input.checked = true;
    else { input.value = ""; input.placeholder = input.name.endsWith("name") ? "X-Api-Key" : "value"; }
    if (input.hasAttribute("aria-label")) input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/\d+/, rows.length + 1));
  }
  rows[rows.length - 1].after(row);
  row.querySelector("input").focus();
}

async function check(form, button) {
  const result = document.getElementById("check");
  const body = new URLSearchParams({ do: "check", endpoint: form.elements.endpoint.value });
  button.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body, redirect: "error", signal: AbortSignal.timeout(20000) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    result.replaceChildren(...page.getElementById("check").childNodes);
  } catch {
    result.textContent = "The check did not come back. Try again.";
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[name=do]");
  if (!button || !button.form || !document.getElementById("check")) return;
  if (button.value === "add-header") { event.preventDefault(); addHeader(button.form); }
  if (button.value === "check") { event.preventDefault(); check(button.form, button); }
});
