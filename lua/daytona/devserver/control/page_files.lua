-- What a browser loads of the local server's page (page.lua): its text, its style and its
-- one script. Whatever sandboxes are named or print becomes text, never markup.

local page_files = {}

page_files.html = [=[
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>daytona-devserver</title>
<link rel="stylesheet" href="/__devserver/page/page.css">
<script src="/__devserver/page/page.js" defer></script>
<header><h1>Local server</h1><p id="status" role="status">Connecting …</p></header>
<main>
  <section><h2>Sandboxes</h2><div id="sandboxes"></div></section>
  <section id="output" hidden><h2 id="output-title"></h2><pre id="output-text" tabindex="0"></pre>
    <button id="output-close">Close</button></section>
  <section><h2>Requests to the control plane</h2><table><thead><tr><th>Status<th>Method<th>Path<th>Time</tr></thead>
    <tbody id="requests"></tbody></table></section>
  <section><h2>Faults and switches</h2><div id="switches"></div><ul id="faults"></ul>
    <form id="fault"><label>New fault, as JSON
      <input name="fault" size="60" value='{ "method": "POST", "path": "/sandbox", "status": 503, "times": 1 }'></label>
      <button>Add</button> <button type="button" id="clear">Remove all</button></form>
    <p id="problem" role="alert"></p></section>
</main>
</html>
]=]

page_files.style = [=[
:root { color-scheme: light dark; --line: #8884; --dim: #888; --good: #2a7; --bad: #d43; --wait: #b80; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 0 1rem 3rem; }
header { display: flex; gap: 1rem; align-items: baseline; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
#status { color: var(--dim); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .15rem .6rem .15rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--dim); font-weight: normal; }
td, pre, li, input[name] { font-family: ui-monospace, monospace; font-size: .88rem; overflow-wrap: anywhere; }
td:last-child { white-space: nowrap; }
article { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .8rem; margin: .5rem 0; }
article header { flex-wrap: wrap; } article header b { overflow-wrap: anywhere; }
article header button { margin-left: auto; }
article ul { margin: .3rem 0; padding-left: 1.2rem; }
.started, .ok { color: var(--good); }
.error, .build_failed, .bad { color: var(--bad); }
.other { color: var(--wait); }
.dim { color: var(--dim); }
pre { background: #8881; border-radius: .5rem; padding: .6rem; }
pre { max-height: 24rem; overflow: auto; white-space: pre-wrap; }
#output-text:empty::before { content: "Nothing printed since this was opened"; color: var(--dim); }
label { margin-right: 1rem; } input[name] { max-width: 100%; box-sizing: border-box; }
#problem { color: var(--bad); }
]=]

page_files.script = [=[
"use strict";
const BASE = "/__devserver/page";
const at = (id) => document.getElementById(id);
let watching = null;

// An element with text and children; nothing is ever parsed as HTML.
function make(name, text, ...children) {
  const element = document.createElement(name);
  if (text !== undefined && text !== null) element.textContent = text;
  element.append(...children);
  return element;
}

function classed(element, name) {
  element.className = name;
  return element;
}

function button(text, act) {
  const element = make("button", text);
  element.addEventListener("click", act);
  return element;
}

// One that acts when it is clicked again.
function surely(text, act) {
  const element = button(text, () => {
    if (element.textContent !== text) return act();
    element.textContent = text + "? Click again";
    setTimeout(() => { element.textContent = text; }, 3000);
  });
  return element;
}

async function call(method, path, body, signal) {
  const answer = await fetch(BASE + path, {
    method, signal, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store",
    headers: {
      authorization: "Bearer " + (sessionStorage.getItem("session") || "0"), "content-type": "application/json",
    },
  });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(told.message || "status " + answer.status), { status: answer.status });
}

// Hands on each event of a stream, until it ends.
async function listen(path, hear, signal) {
  const answer = await call("GET", path, undefined, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) hear(JSON.parse(part.replace(/^data: /, "")));
  }
}

function attempt(work) {
  at("problem").textContent = "";
  work().catch((problem) => { at("problem").textContent = problem.message; });
}

function age(seconds) {
  if (seconds < 120) return seconds + " s";
  if (seconds < 7200) return Math.floor(seconds / 60) + " min";
  return Math.floor(seconds / 3600) + " h";
}

// What a terminal makes of it is left out.
function plain(text) {
  return text.replace(/\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[\[(][0-9;?]*[A-Za-z]|\r(?=\n)/g, "");
}

function watch(title, query) {
  if (watching) watching.abort();
  watching = new AbortController();
  const text = at("output-text");
  at("output").hidden = false;
  at("output-title").textContent = title;
  text.textContent = "";
  listen("/output?" + new URLSearchParams(query), (event) => {
    const below = text.scrollHeight - text.scrollTop - text.clientHeight < 20;
    text.textContent = (text.textContent + plain(event.text)).slice(-200000);
    if (below) text.scrollTop = text.scrollHeight;
  }, watching.signal).catch(() => {});
}

function show_sandbox(box) {
  const kind = ["started", "error", "build_failed"].includes(box.state) ? box.state : "other";
  const state = box.state + (box.desired !== box.state ? " → " + box.desired : "");
  const article = make("article", null, make("header", null, make("b", box.name),
    classed(make("span", state), kind), classed(make("span", age(box.age)), "dim"),
    surely("Delete", () => attempt(() => call("POST", "/delete", { sandbox: box.id })))));
  if (box.reason) article.append(classed(make("p", box.reason), "bad"));
  const list = make("ul");
  for (const command of box.commands || []) {
    const end = typeof command.exit_code === "number" ? "exit " + command.exit_code : "runs";
    const query = { sandbox: box.id, session: command.session, command: command.id };
    list.append(make("li", command.text + " (" + end + ") ",
      button("Output", () => watch(box.name + ": " + command.text, query))));
  }
  for (const terminal of box.terminals || []) {
    const query = { sandbox: box.id, terminal: terminal.id }, name = "terminal " + terminal.id;
    list.append(make("li", name + " ", button("Output", () => watch(box.name + ": " + name, query))));
  }
  for (const process of box.processes || []) list.append(make("li", process.text + " (" + age(process.age) + ")"));
  for (const preview of box.previews || []) {
    const link = make("a", "port " + preview.port);
    link.href = preview.url;
    link.rel = "noreferrer";
    link.target = "_blank";
    list.append(make("li", null, link));
  }
  if (list.children.length) article.append(list);
  return article;
}

function show_request(request) {
  const good = request.status && request.status < 400;
  return make("tr", null, classed(make("td", request.status || "–"), good ? "ok" : "bad"), make("td", request.method),
    make("td", request.path), make("td", request.ms + " ms"));
}

function show_switch(name, on) {
  const box = make("input");
  box.type = "checkbox";
  box.checked = on;
  box.addEventListener("change", () => attempt(() => call("PUT", "/settings", { [name]: box.checked })));
  return make("label", null, box, " " + name);
}

// Replaces what is shown only where it has changed, so that nothing vanishes under the pointer.
const shown = {};
function show(id, value, elements) {
  const text = JSON.stringify(value);
  if (shown[id] === text) return;
  shown[id] = text;
  at(id).replaceChildren(...elements());
}

function show_all(state) {
  const none = () => [classed(make("p", "none"), "dim")];
  show("sandboxes", state.sandboxes, () => state.sandboxes.length ? state.sandboxes.map(show_sandbox) : none());
  show("requests", state.requests, () => state.requests.map(show_request));
  show("switches", state.switches, () => Object.entries(state.switches).sort().map((pair) => show_switch(...pair)));
  show("faults", state.faults, () => state.faults.map((fault) => make("li", JSON.stringify(fault))));
  at("status").textContent = state.sandboxes.length + (state.sandboxes.length === 1 ? " sandbox" : " sandboxes")
    + (state.time_scale !== 1 ? ", clock × " + state.time_scale : "")
    + (state.isolated ? "" : ", not isolated from this machine");
}

async function open_session() {
  const token = location.hash.slice(1);
  if (!token) return;
  history.replaceState(null, "", "/");
  const answer = await call("POST", "/session", { token });
  sessionStorage.setItem("session", (await answer.json()).session);
}

async function main() {
  await open_session().catch(() => {});
  for (;;) {
    try {
      await listen("/events", show_all);
    } catch (problem) {
      if (problem.status === 401) {
        at("status").textContent = "This address was used before. The server prints one when it starts.";
        return;
      }
    }
    at("status").textContent = "The server is gone. Trying again …";
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

at("output-close").addEventListener("click", () => {
  if (watching) watching.abort();
  at("output").hidden = true;
});
at("clear").addEventListener("click", () => attempt(() => call("DELETE", "/faults")));
at("fault").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => call("POST", "/faults", JSON.parse(event.target.elements.fault.value)));
});
main();
]=]

return page_files
