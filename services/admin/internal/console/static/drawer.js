// Send Test Webhook opens beside the page where one is: the page of the test,
// which the same form leads to without this file.

const drawer = document.getElementById("drawer");
const content = drawer.querySelector("[data-drawer-content]");
const page = drawer.querySelector("[data-drawer-page]");

let opener = null;
let sending = false;

function notice(text) {
  const p = document.createElement("p");
  p.className = "notice wait";
  p.textContent = text;
  return [p];
}

function show(nodes) {
  const held = content.contains(document.activeElement);
  content.replaceChildren(...nodes);
  const region = content.querySelector("[data-live][id]");
  // What had the focus is gone: the same is there again, or else the way out.
  if (held) (content.querySelector(".head button") || drawer.querySelector("[autofocus]")).focus();
  if (!region) return;
  live(region);
  // A tab has one stream. Where the page has it, the region is asked for.
  if (window.EventSource && !document.querySelector("main > [data-stream], main > :not(dialog) [data-stream]")) follow(region);
}

// What an answer is about: the region asked for, or a page that says why not.
function part(answer) {
  const main = answer.getElementById("main");
  return main ? main.querySelectorAll(":scope > .card, :scope > .head") : answer.body.childNodes;
}

async function send(form, submitter) {
  if (sending) return;
  sending = true;
  drawer.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form, submitter)),
      headers: { "Aftercall-Fragment": "drawer" }, signal: AbortSignal.timeout(20_000) });
    if (answer.status === 401) return location.reload();
    const fresh = part(new DOMParser().parseFromString(await answer.text(), "text/html"));
    page.hidden = !answer.redirected;
    page.href = answer.url;
    if (drawer.open) show(fresh);
  } catch {
    if (drawer.open) show(notice("The console did not answer. Whether the test went out is not known: the webhook's send attempts show it."));
  } finally {
    sending = false;
    drawer.removeAttribute("aria-busy");
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("form[data-drawer]") || event.defaultPrevented) return;
  // On the page of a test the next one is a page as well.
  if (!drawer.open && document.getElementById("test")) return;
  event.preventDefault();
  if (!drawer.open) {
    opener = event.submitter || document.activeElement;
    page.hidden = true;
    show(notice("Sending…"));
    drawer.showModal();
  }
  send(form, event.submitter);
});

drawer.addEventListener("click", (event) => {
  if (event.target === drawer) drawer.close(); // beside it
});

drawer.addEventListener("close", () => {
  content.replaceChildren();
  if (opener?.isConnected) opener.focus();
  opener = null;
});
