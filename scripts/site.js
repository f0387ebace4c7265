// The search of the site: no server, no other script. What it looks through is index.js, which
// is read when somebody begins to type: a list of pages, and one entry for each heading,
// [page, id, heading, beginning of its text, other words].
"use strict";
(() => {
  const root = document.currentScript.src.replace(/[^/]*$/, "");
  const nav = document.querySelector("nav");
  const box = document.createElement("input");
  const list = document.createElement("ol");
  let chosen = -1;

  box.type = "search";
  box.placeholder = "Search  /";
  box.autocomplete = "off";
  box.spellcheck = false;
  for (const [name, value] of Object.entries({
    "role": "combobox", "aria-label": "Search", "aria-controls": "found", "aria-expanded": "false",
  })) box.setAttribute(name, value);
  list.id = "found";
  list.setAttribute("role", "listbox");
  list.hidden = true;
  nav.append(box, list);

  const words = text => text.toLowerCase().split(/[^\p{L}\p{N}_]+/u).filter(Boolean);

  // How well an entry answers one word: its heading before its page before its text; 0 for not at all.
  const PAGE = 8;
  function score(entry, page, word) {
    const heading = words(entry[2]);
    if (heading.includes(word)) return 40 - heading.length;
    if (heading.some(other => other.startsWith(word))) return 20;
    if (page[1].toLowerCase().includes(word)) return PAGE;
    if (entry[2].toLowerCase().includes(word)) return 6;
    const text = ` ${entry[3].toLowerCase()} ${entry[4]}`;
    return new RegExp(`[^\\p{L}\\p{N}_]${word}`, "u").test(text) ? 3 : 0;
  }

  // A page is found by its title once, not with all of its headings.
  function search(text) {
    const asked = words(text), found = [];
    if (!asked.length || !self.INDEX) return found;
    self.INDEX.entries.forEach((entry, at) => {
      const page = self.INDEX.pages[entry[0]];
      const scores = asked.map(word => score(entry, page, word));
      if (scores.includes(0) || entry[1] && scores.every(one => one === PAGE)) return;
      found.push({ entry, page, at, score: scores.reduce((a, b) => a + b) });
    });
    return found.sort((a, b) => b.score - a.score || a.at - b.at).slice(0, 12);
  }

  function element(name, text) {
    const node = document.createElement(name);
    node.textContent = text;
    return node;
  }

  function item({ entry, page }, at) {
    const line = document.createElement("li"), link = document.createElement("a");
    line.id = `found-${at}`;
    line.setAttribute("role", "option");
    link.href = root + page[0] + (entry[1] && "#" + entry[1]);
    link.tabIndex = -1;
    link.append(element("b", entry[2]), element("i", entry[2] === page[1] ? "" : page[1]), element("span", entry[3]));
    link.addEventListener("click", close);
    line.append(link);
    return line;
  }

  function choose(at) {
    chosen = list.children.length ? (at + list.children.length) % list.children.length : -1;
    [...list.children].forEach((line, i) => line.setAttribute("aria-selected", i === chosen));
    box.setAttribute("aria-activedescendant", chosen < 0 ? "" : `found-${chosen}`);
    list.children[chosen]?.scrollIntoView({ block: "nearest" });
  }

  function show() {
    const found = search(box.value), asked = box.value.trim() !== "";
    list.replaceChildren(...found.map(item));
    if (asked && self.INDEX && !found.length) list.append(element("p", "Nothing here has all of these words."));
    list.hidden = !asked || !list.children.length;
    box.setAttribute("aria-expanded", String(!list.hidden));
    choose(found.length ? 0 : -1);
  }

  function close() {
    list.hidden = true;
    box.setAttribute("aria-expanded", "false");
  }

  let asked = false;
  function load() {
    if (asked) return;
    asked = true;
    const script = document.createElement("script");
    script.src = root + "index.js";
    script.onload = show;
    document.head.append(script);
  }

  box.addEventListener("focus", load);
  box.addEventListener("input", show);
  box.addEventListener("keydown", event => {
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter") list.children[chosen]?.firstChild.click();
    else if (event.key === "Escape") { close(); box.blur(); }
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", event => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target === box) return;
    event.preventDefault();
    box.focus();
    box.select();
  });
  document.addEventListener("click", event => { if (!nav.contains(event.target)) close(); });
})();
