// Live updates of the page by the one stream of this tab (stream.js).
//
// A list gets rows in batches, at its top. Rows that somebody reads, selects or
// points at never move: what is new then waits behind a button that counts it.

const keep = 200; // rows in a list
const paintEvery = 250;
const newsEvery = 5000;

const region = document.querySelector("[data-stream][id]");
const toggle = document.querySelector("[data-live-toggle]");
const remembered = "aftercall-live";

let wanted = true;
try { wanted = !toggle || sessionStorage.getItem(remembered) !== "off"; } catch { /* nothing is kept here */ }

function pause() {
  for (const live of region.querySelectorAll(".live")) {
    live.classList.add("off");
    live.querySelector(".word").textContent = "Paused";
  }
}

// A list.
let fresh = new Map(); // rows that are not shown yet, oldest first, by id
let unseen = 0; // attempts since the list was last at its newest
let left = 0; // attempts that this list does not show
let some = false; // more than can be counted
let news = 0;
let painting = 0;
let pointed = 0;
const pill = document.querySelector("[data-live-pill]");
const body = () => region.querySelector("tbody");

function held() {
  const rows = body();
  return busy(region) || rows.getBoundingClientRect().top < 0 || Date.now() - pointed < 1500;
}

function count(n, what) {
  return n.toLocaleString("en") + " " + what + (n === 1 ? "" : "s");
}

function addRow(row) {
  if (fresh.has(row.id) || shown(row.id)) return;
  fresh.set(row.id, row);
  unseen++;
  news++;
  if (fresh.size > keep) {
    fresh.delete(fresh.keys().next().value);
    left++;
  }
}

function leaveOut(gap) {
  if (gap.reason === "coalesced") {
    left += gap.dropped;
    unseen += gap.dropped;
    news += gap.dropped;
  } else {
    some = true;
  }
}

const shown = (id) => region.querySelector(`tr[data-id="${CSS.escape(id)}"]`);

// What the region was given meanwhile is new no more.
function forget() {
  for (const id of fresh.keys()) if (shown(id)) fresh.delete(id);
  unseen = fresh.size;
}

function flush() {
  const rows = body();
  forget();
  const batch = [...fresh.values()].sort((a, b) => b.at - a.at);
  fresh = new Map();
  unseen = 0;
  const holder = document.createElement("template");
  holder.innerHTML = batch.map((row) => row.html).join("");
  rows.prepend(holder.content);
  let trimmed = false;
  while (rows.children.length > keep) {
    rows.lastElementChild.remove();
    trimmed = true;
  }
  // The link would skip what is not shown.
  const older = region.querySelector(".pager a[rel=next]");
  if (older && (trimmed || left || some)) {
    older.href = location.href;
    older.textContent = "Reload, for older ones";
  }
}

function paint() {
  painting = 0;
  if (!stream.source) return;
  if (!body()) {
    // The list was empty: the page has one now.
    if (fresh.size) stream.renew().then(() => { forget(); later(); });
  } else if (held()) {
    if (fresh.size) later();
  } else if (fresh.size) {
    flush();
  }
  pill.hidden = !unseen || !body();
  if (unseen) pill.textContent = count(unseen, "new attempt");
  const note = document.querySelector("[data-live-left]");
  const text = some ? "Some attempts are not shown here: reload the page to see all." :
    left ? count(left, "attempt") + " not shown here: reload the page to see all." : "";
  if (note.textContent !== text) note.textContent = text;
}

function later() {
  if (!painting) painting = setTimeout(paint, paintEvery);
}

// A screen reader hears a number now and then, not each row.
function announce() {
  if (!news) return;
  document.querySelector("[data-live-news]").textContent = count(news, "new attempt");
  news = 0;
}

function heard(kind, data) {
  if (kind === "attempt") addRow(data);
  if (kind === "gap") leaveOut(data);
  later();
}

function anew() {
  fresh = new Map();
  unseen = left = news = 0;
  some = false;
}

function switchTo(on) {
  stream.wanted = on;
  toggle.setAttribute("aria-pressed", String(on));
  try { sessionStorage.setItem(remembered, on ? "on" : "off"); } catch { /* then it holds for this page alone */ }
  if (on) {
    stream.begin(true);
    return;
  }
  stream.close();
  stream.streamed(true); // nothing else refreshes it either
  pause();
}

let stream = null;
if (region && window.EventSource && !region.hasAttribute("data-rows")) {
  follow(region);
} else if (region && window.EventSource) {
  stream = new Stream(region, heard, anew);
  toggle.closest(".livebar").hidden = false;
  toggle.setAttribute("aria-pressed", String(wanted));
  toggle.addEventListener("click", () => switchTo(!stream.wanted));
  pill.addEventListener("click", () => {
    if (body()) flush();
    pill.hidden = true;
    toggle.focus({ preventScroll: true }); // the pill, which had it, is gone
    region.scrollIntoView({ block: "start" });
  });
  region.addEventListener("pointermove", () => { pointed = Date.now(); }, { passive: true });
  setInterval(announce, newsEvery);
  if (wanted) stream.begin(false);
  else switchTo(false);
}
