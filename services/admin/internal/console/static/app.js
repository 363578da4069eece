// The console works without this file. It adds three things: lists that refresh
// themselves, buttons that copy, and rows for more headers.
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

async function refresh(region) {
  if (document.hidden || busy(region)) return;
  let answer;
  try {
    answer = await fetch(location.href, { headers: { "Aftercall-Fragment": region.id }, redirect: "error", signal: AbortSignal.timeout(8000) });
  } catch {
    return stale(region);
  }
  if (!answer.ok) return stale(region);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(region.id);
  if (fresh && !busy(region)) {
    region.replaceChildren(...fresh.childNodes);
    if (!fresh.hasAttribute("data-live")) region.removeAttribute("data-live");
  }
}

// Old figures must not look fresh.
function stale(region) {
  for (const mark of region.querySelectorAll(".live")) {
    mark.classList.add("stale");
    const word = mark.querySelector(".word");
    if (word) word.textContent = "Not updating: the console does not answer";
  }
}

async function live(id) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, every));
    const region = document.getElementById(id);
    if (!region || !region.hasAttribute("data-live")) return;
    await refresh(region);
  }
}
for (const region of document.querySelectorAll("[data-live][id]")) live(region.id);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  event.preventDefault();
  const from = document.getElementById(button.dataset.copy);
  if (!from) return;
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(from.textContent.trim());
    button.textContent = "Copied";
  } catch {
    document.getSelection().selectAllChildren(from);
    button.textContent = "Selected: press Ctrl+C";
  }
  setTimeout(() => { button.textContent = before; }, 2000);
});
for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;

// Forms that say so submit when a choice changes.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-auto]");
  if (form && event.target.matches("select")) form.requestSubmit();
});
