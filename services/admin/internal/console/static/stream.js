// The stream of one region: the server says that something happened, and the
// region is asked for anew. live.js has one for the page, drawer.js one for what
// is open beside it. Where there is none (no stream free, Kafka away), app.js asks
// for the region every other second.
"use strict";

const streamAgain = 15_000;
const streamHidden = 10_000;

class Stream {
  // heard(kind, data) is called for each event, anew() when the region was shown
  // anew after a time without a stream.
  constructor(region, heard, anew = () => {}) {
    this.region = region;
    this.heard = heard;
    this.anew = anew;
    this.source = null;
    this.position = ""; // the id of the last event
    this.wanted = true;
    this.retry = 0;
    this.renewing = false;
    this.listening = new AbortController();
    // A browser opens few connections to one place: a tab that nobody sees lets go
    // of its own.
    let hiding = 0;
    const { signal } = this.listening;
    document.addEventListener("visibilitychange", () => {
      clearTimeout(hiding);
      if (document.hidden) hiding = setTimeout(() => this.close(), streamHidden);
      else if (this.wanted && !this.source) this.begin(true);
    }, { signal });
    addEventListener("pagehide", () => this.close(), { signal });
    addEventListener("pageshow", (event) => { if (event.persisted && this.wanted) this.begin(true); }, { signal });
  }

  // Without a stream the region refreshes itself again, unless that is not wanted.
  streamed(on) {
    this.region.toggleAttribute("data-streamed", on);
  }

  close() {
    clearTimeout(this.retry);
    if (this.source) this.source.close();
    this.source = null;
  }

  // end is for good.
  end() {
    this.listening.abort();
    this.wanted = false;
    this.close();
  }

  open() {
    this.close();
    const address = new URL(this.region.dataset.stream, location.href);
    const since = this.position || this.region.querySelector("[data-since]")?.dataset.since;
    if (since) address.searchParams.set("since", since);
    const source = this.source = new EventSource(address);
    source.onopen = () => {
      this.streamed(true);
      // What app.js says of a console that did not answer is over.
      if (this.region.querySelector(".live.stale .word")?.textContent.startsWith("Not updating")) this.renew();
    };
    source.onerror = () => {
      this.streamed(false);
      // A browser comes back by itself to a stream that broke, not to one that was
      // refused.
      if (source === this.source && source.readyState === EventSource.CLOSED) this.retry = setTimeout(() => this.open(), streamAgain);
    };
    for (const kind of ["attempt", "deferral", "endpoint", "gap"]) {
      source.addEventListener(kind, (event) => {
        this.position = event.lastEventId;
        this.heard(kind, JSON.parse(event.data));
      });
    }
  }

  // begin starts at what the region shows now.
  async begin(anew) {
    if (anew && (await this.renew())) {
      this.position = "";
      this.anew();
    }
    if (this.wanted && !document.hidden) this.open();
  }

  // renew asks for the region as it is now, or as soon as it shows what the stream
  // told last.
  async renew() {
    const region = this.region;
    if (this.renewing || document.hidden || busy(region)) return false;
    this.renewing = true;
    try {
      const headers = { "Aftercall-Fragment": region.id };
      if (this.position) headers["Aftercall-Position"] = this.position;
      const answer = await fetch(pageOf(region), { headers, redirect: "error", signal: AbortSignal.timeout(10_000) });
      if (!answer.ok) throw new Error(String(answer.status));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(region.id);
      if (!fresh || busy(region)) return false;
      replace(region, fresh);
      // It has come to its end: nothing follows.
      if (!region.hasAttribute("data-live")) this.close();
      return true;
    } catch {
      stale(region);
      return false;
    } finally {
      this.renewing = false;
    }
  }
}

const followEvery = 1000;
const followSlowly = 15_000; // for what no stream tells, as "in 5 s"
const followSoon = 2000; // where the region waits for such a thing: to be routed

// follow shows a region without rows of its own anew when its stream says so, at
// most once a second.
function follow(region) {
  let dirty = false;
  let renewed = 0;
  const turn = async () => {
    if (!region.isConnected) {
      clearInterval(timer);
      stream.end();
      return;
    }
    if (!stream.source) return;
    const age = Date.now() - renewed;
    if (!(dirty && age >= followEvery) && age < (region.hasAttribute("data-soon") ? followSoon : followSlowly)) return;
    dirty = false;
    renewed = Date.now();
    if (!(await stream.renew())) dirty = true;
  };
  const stream = new Stream(region, () => { dirty = true; turn(); });
  const timer = setInterval(turn, followEvery);
  stream.begin(false);
  return stream;
}
