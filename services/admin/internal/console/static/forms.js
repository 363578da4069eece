// Forms: filters that fold on a narrow screen, and a preview of what is sent that
// follows what is typed. Without this file the filters stand open, and the preview
// follows with the form's own buttons.

const narrow = matchMedia("(max-width: 820px)");
function fold() {
  for (const filters of document.querySelectorAll("details[data-fold]")) filters.open = !narrow.matches;
}
fold();
narrow.addEventListener("change", fold);

const form = document.querySelector("form[data-preview]");
const settled = 300;
let typed = 0;
let asked = 0;
let endpoint = form?.elements.endpoint.value;

function couldBe(text) {
  try {
    return /^https?:$/.test(new URL(text).protocol);
  } catch {
    return false;
  }
}

// The last endpoint that could be one, while the next is being typed.
function lastEndpoint() {
  const text = form.elements.endpoint.value.trim();
  if (text === "" || couldBe(text)) endpoint = text;
  return endpoint;
}

// What is secret stays here until Save: the preview masks it anyway.
function shown() {
  const body = new URLSearchParams(new FormData(form));
  body.set("do", "show");
  body.set("endpoint", lastEndpoint());
  for (const name of ["signing_secret", "abp_secret"]) body.delete(name);
  for (const row of form.querySelectorAll(".header-row")) {
    if (row.querySelector("input[type=checkbox]")?.checked) body.set(row.querySelector("input[name$=value]").name, "");
  }
  return body;
}

async function preview() {
  const mine = ++asked;
  try {
    const answer = await fetch(form.action, { method: "POST", body: shown(), headers: { "Aftercall-Fragment": "request" }, redirect: "error", signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== asked) return; // a later one is on its way
    for (const id of ["request-http", "request-curl"]) document.getElementById(id).textContent = page.getElementById(id).textContent;
  } catch { /* it stays as it was */ }
}

function later() {
  clearTimeout(typed);
  typed = setTimeout(preview, settled);
}
form?.addEventListener("input", later);
form?.addEventListener("change", later);
