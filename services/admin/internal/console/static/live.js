// Live updates by the one stream of this tab. Where there is none (no script, no
// stream free, Kafka away), pages go on as without this file: app.js asks for
// their regions every other second.
//
// A list gets rows in batches, at its top. Rows that somebody reads, selects or
// points at never move: what is new then waits behind a button that counts it.

const keep = 200; // rows in a list
const paintEvery = 250;
const newsEvery = 5000;
const slowly = 15_000; // for what no stream tells: "in 5 s", queued
const again = 15_000;

const region = document.querySelector("[data-stream][id]");
const toggle = document.querySelector("[data-live-toggle]");
const remembered = "aftercall-live";

let source = null;
let position = ""; // the id of the last event
let wanted = true;
let retry = 0;
try { wanted = !toggle || sessionStorage.getItem(remembered) !== "off"; } catch { /* nothing is kept here */ }

function pause() {
  for (const live of region.querySelectorAll(".live")) {
    live.classList.add("off");
    live.querySelector(".word").textContent = "Paused";
  }
}

// Without a stream the region refreshes itself again, unless that is not wanted.
function streamed(on) {
  region.toggleAttribute("data-streamed", on);
}

function close() {
  clearTimeout(retry);
  if (source) source.close();
  source = null;
}

function open() {
  close();
  const address = new URL(region.dataset.stream, location.href);
  const since = position || region.querySelector("[data-since]")?.dataset.since;
  if (since) address.searchParams.set("since", since);
  source = new EventSource(address);
  source.onopen = () => {
    streamed(true);
    // What app.js says of a console that did not answer is over.
    if (region.querySelector(".live.stale .word")?.textContent.startsWith("Not updating")) renew();
  };
  source.onerror = () => {
    streamed(false);
    // A browser comes back by itself to a stream that broke, not to one that was
    // refused.
    if (source && source.readyState === EventSource.CLOSED) retry = setTimeout(open, again);
  };
  for (const kind of ["attempt", "deferral", "endpoint", "gap"]) {
    source.addEventListener(kind, (event) => {
      position = event.lastEventId;
      handle(kind, JSON.parse(event.data));
    });
  }
}

// renew asks for the region as it is now, or as soon as it shows what the stream
// told last.
let renewing = false;
async function renew() {
  if (renewing || document.hidden || busy(region)) return false;
  renewing = true;
  try {
    const headers = { "Aftercall-Fragment": region.id };
    if (position) headers["Aftercall-Position"] = position;
    const answer = await fetch(location.href, { headers, redirect: "error", signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(region.id);
    if (!fresh || busy(region)) return false;
    region.replaceChildren(...fresh.childNodes);
    if (!fresh.hasAttribute("data-stream")) {
      // It has come to its end: nothing follows.
      region.removeAttribute("data-live");
      close();
    }
    return true;
  } catch {
    stale(region);
    return false;
  } finally {
    renewing = false;
  }
}

// A region without rows of its own is shown anew, at most once a second.
let dirty = false;
let renewed = 0;
async function follow() {
  if (!source || !wanted) return;
  const age = Date.now() - renewed;
  if (!(dirty && age >= 1000) && age < slowly) return;
  dirty = false;
  renewed = Date.now();
  if (!(await renew())) dirty = true;
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
  if (!source) return;
  if (!body()) {
    // The list was empty: the page has one now.
    if (fresh.size) renew().then(() => { forget(); later(); });
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

function handle(kind, data) {
  if (!region.hasAttribute("data-rows")) {
    dirty = true;
    follow();
    return;
  }
  if (kind === "attempt") addRow(data);
  if (kind === "gap") leaveOut(data);
  later();
}

// begin starts at what the page shows now.
async function begin(anew) {
  if (anew && (await renew())) {
    position = "";
    fresh = new Map();
    unseen = left = news = 0;
    some = false;
  }
  if (wanted && !document.hidden) open();
}

function switchTo(on) {
  wanted = on;
  toggle.setAttribute("aria-pressed", String(on));
  try { sessionStorage.setItem(remembered, on ? "on" : "off"); } catch { /* then it holds for this page alone */ }
  if (on) {
    begin(true);
    return;
  }
  close();
  streamed(true); // nothing else refreshes it either
  pause();
}

if (region && window.EventSource) {
  if (toggle) {
    toggle.closest(".livebar").hidden = false;
    toggle.setAttribute("aria-pressed", String(wanted));
    toggle.addEventListener("click", () => switchTo(!wanted));
    pill.addEventListener("click", () => {
      if (body()) flush();
      pill.hidden = true;
      toggle.focus({ preventScroll: true }); // the pill, which had it, is gone
      region.scrollIntoView({ block: "start" });
    });
    region.addEventListener("pointermove", () => { pointed = Date.now(); }, { passive: true });
    setInterval(announce, newsEvery);
  } else {
    setInterval(follow, 1000);
  }
  // A browser opens few connections to one place: a tab that nobody sees lets go
  // of its own.
  let hiding = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(close, 10_000);
    else if (wanted && !source) begin(true);
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted && wanted) begin(true); });
  if (wanted) begin(false);
  else switchTo(false);
}
