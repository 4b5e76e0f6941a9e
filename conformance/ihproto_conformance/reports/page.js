"use strict";

(() => {
  /* Lines are made a hundred at a time, when they come near the screen or when there is nothing else to do. */
  const CHUNK = 100;
  const NEAR = "1200px";
  const LINE = 29;
  const INDENT = "  ";
  const DEEPEST = 40;

  const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;
  /* Characters that have no shape of their own, or turn the direction of what is around them. */
  const SHAPELESS = /([\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff])/;

  const byId = (id) => document.getElementById(id);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const whenIdle = window.requestIdleCallback ?? ((work) => setTimeout(work, 16));
  document.documentElement.classList.add("scripts");

  function make(tag, name, ...children) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.append(...children);
    return made;
  }

  /* -- what a message says, to the character ------------------------------------------------------ */

  function visible(text) {
    const parts = text.split(SHAPELESS);
    return parts.map((part, index) => {
      if (index % 2 === 0) return part;
      return make("span", "shapeless", "U+" + part.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0"));
    });
  }

  function isJson(text) {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  }

  /* From the text and not from its values: those would lose repeated members, and the digits of numbers. */
  function indented(text) {
    const made = document.createDocumentFragment();
    const tokens = text.match(TOKEN) ?? [];
    let depth = 0;
    const line = () => "\n" + INDENT.repeat(Math.min(depth, DEEPEST));
    tokens.forEach((token, index) => {
      const next = tokens[index + 1];
      if (token === "{" || token === "[") {
        depth += 1;
        made.append(token, next === "}" || next === "]" ? "" : line());
      } else if (token === "}" || token === "]") {
        depth -= 1;
        const previous = tokens[index - 1];
        made.append(previous === "{" || previous === "[" ? "" : line(), token);
      } else if (token === ",") {
        made.append(",", line());
      } else if (token === ":") {
        made.append(": ");
      } else {
        const kind = token[0] !== '"' ? "literal" : next === ":" ? "member" : "string";
        made.append(make("span", kind, ...visible(token)));
      }
    });
    return made;
  }

  function fillRaw(pre, entry) {
    if (pre.hasChildNodes()) return;
    if (entry.head) pre.append(...visible(entry.head), entry.body ? "\n\n" : "");
    if (entry.body) pre.append(...(isJson(entry.body) ? [indented(entry.body)] : visible(entry.body)));
  }

  /* -- lines -------------------------------------------------------------------------------------- */

  function noteOf(violation) {
    const level = make("b", "", `${violation.clause} ${violation.level}`);
    return make("li", "violation " + violation.level, level, ` ${violation.text} `,
      make("span", "place", `${violation.side}, ${violation.place}`));
  }

  function proofOf(id) {
    const link = make("a", "", id);
    link.href = "#check-" + id;
    return make("li", "proof", "evidence for ", link);
  }

  function lineOf(session, entry, index) {
    const row = make("li", entry.client ? "client" : "server");
    row.id = `record-${session.number}-${index}`;
    const parts = [
      make("time", "", entry.time),
      make("span", "who", ...(entry.client ? [make("span", "", "client "), "→"] : ["←", make("span", "", " server")])),
      make("span", "kind", entry.kind),
      make("span", "detail", entry.detail),
    ];
    if (entry.head || entry.body) {
      const raw = make("pre", "");
      raw.tabIndex = 0;
      const opens = make("details", "", make("summary", "", ...parts), raw);
      opens.addEventListener("toggle", () => fillRaw(raw, entry));
      row.append(opens);
    } else {
      const line = make("div", "line", ...parts);
      line.tabIndex = -1;
      row.append(line);
    }
    const notes = [...(entry.violations ?? []).map(noteOf), ...(entry.proves ?? []).map(proofOf)];
    if (notes.length > 0) {
      row.classList.add("noted");
      row.append(make("ul", "notes", ...notes));
    }
    return row;
  }

  class Timeline {
    constructor(session) {
      this.session = session;
      this.box = byId(`session-${session.number}`);
      this.chunks = null;
      this.box.addEventListener("toggle", () => this.show());
      if (this.box.open) this.show();
    }

    show() {
      if (!this.box.open || this.chunks !== null) return;
      const { entries } = this.session;
      this.chunks = [];
      for (let first = 0; first < entries.length; first += CHUNK) {
        const part = entries.slice(first, first + CHUNK);
        const notes = part.reduce((sum, entry) => sum + (entry.violations?.length ?? 0) + (entry.proves?.length ?? 0), 0);
        const element = make("ol", "chunk");
        const height = `${(part.length + notes) * LINE}px`;
        element.style.minHeight = height;
        element.style.containIntrinsicBlockSize = `auto ${height}`;
        this.chunks.push({ element, first, part });
      }
      const near = new IntersectionObserver((seen) => {
        for (const { target, isIntersecting } of seen) {
          if (!isIntersecting) continue;
          near.unobserve(target);
          this.fill(this.chunks.find((chunk) => chunk.element === target));
        }
      }, { rootMargin: NEAR });
      this.chunks.forEach((chunk) => near.observe(chunk.element));
      const items = this.chunks.map((chunk) => make("li", "", chunk.element));
      this.box.querySelector(".timeline").replaceChildren(...items);
      this.fillWhenIdle(0);
    }

    /* In the end all are there, so that the browser's own search finds everything. */
    fillWhenIdle(index) {
      if (index >= this.chunks.length) {
        this.box.dataset.whole = "true";
        return;
      }
      whenIdle(() => {
        this.fill(this.chunks[index]);
        this.fillWhenIdle(index + 1);
      });
    }

    fill(chunk) {
      if (chunk === undefined || chunk.element.hasChildNodes()) return;
      const lines = chunk.part.map((entry, index) => lineOf(this.session, entry, chunk.first + index));
      chunk.element.append(...lines);
      chunk.element.style.minHeight = "";
    }

    fillAll() {
      this.chunks?.forEach((chunk) => this.fill(chunk));
    }

    aim(index) {
      this.box.open = true;
      this.show();
      const at = Math.floor(index / CHUNK);
      // With its neighbours, whose heights would change under it otherwise.
      [at - 1, at, at + 1].forEach((number) => this.fill(this.chunks[number]));
      return byId(`record-${this.session.number}-${index}`);
    }
  }

  const timelines = new Map();
  for (const session of JSON.parse(byId("data").textContent)) {
    timelines.set(String(session.number), new Timeline(session));
  }
  addEventListener("beforeprint", () => timelines.forEach((timeline) => timeline.fillAll()));

  /* -- filters ------------------------------------------------------------------------------------ */

  const form = byId("filters");
  const shown = byId("shown");
  const checks = [...byId("checks").children].map((box) => ({ box, text: box.textContent.toLowerCase() }));
  const total = shown.textContent;
  let onlyClause = "";

  function filter() {
    const wanted = Object.fromEntries(new FormData(form));
    const words = wanted.text.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    for (const { box, text } of checks) {
      const { status, severity, family, clause } = box.dataset;
      const fits = (!wanted.status || wanted.status === status)
        && (!wanted.severity || wanted.severity === severity)
        && (!wanted.family || wanted.family === family)
        && (!onlyClause || onlyClause === clause)
        && words.every((word) => text.includes(word));
      box.hidden = !fits;
      number += fits ? 1 : 0;
    }
    const clause = onlyClause ? ` of clause ${onlyClause}` : "";
    shown.textContent = number === checks.length ? total : `${number} of ${total}${clause}`;
  }

  function showAll() {
    onlyClause = "";
    form.reset();
    filter();
  }

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    onlyClause = "";
    setTimeout(filter);
  });
  // A browser may have kept what was in the form when the page was last open.
  filter();

  /* -- ways through the page ---------------------------------------------------------------------- */

  function goTo(target, block) {
    document.querySelectorAll(".aimed").forEach((other) => other.classList.remove("aimed"));
    target.classList.add("aimed");
    target.querySelector("summary, .line")?.focus({ preventScroll: true });
    target.scrollIntoView({ block, behavior: "instant" });
  }

  function reveal(hash) {
    const id = decodeURIComponent(hash.slice(1));
    const [, session, record] = /^record-(\d+)-(\d+)$/.exec(id) ?? [];
    if (session !== undefined) {
      const row = timelines.get(session)?.aim(Number(record));
      if (row) goTo(row, "center");
      return;
    }
    const box = byId(id);
    if (!box?.matches("details")) return;
    if (box.hidden) showAll();
    box.open = true;
    goTo(box, "start");
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const { hash } = link;
    if (link.dataset.clause) {
      showAll();
      onlyClause = link.dataset.clause;
      filter();
    }
    if (hash !== location.hash) history.pushState(null, "", hash);
    reveal(hash);
  });
  addEventListener("popstate", () => location.hash && reveal(location.hash));
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input, select")) return;
    event.preventDefault();
    form.elements.text.focus();
  });
  if (location.hash) reveal(location.hash);
})();
