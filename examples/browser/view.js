// The page: everything that is shown, apart from the chart. Text from a server is set as text, never as markup.

import { Chart, make } from "./chart.js";
import { clock, SCORES, words } from "./story.js";

/** How many entries the two lists keep; a session may last an hour. */
const LONGEST_EVENTS = 500;
const LONGEST_PROBLEMS = 50;

const find = (id) => document.getElementById(id);

export class View {
  #chart = new Chart(find("timeline"), find("tip"), find("timeline-empty"));
  #meters = new Map();
  #facts = new Map();

  constructor() {
    for (const name of SCORES) {
      const bar = make("span", { class: "bar", role: "meter", "aria-valuemin": 0, "aria-valuemax": 100 });
      bar.setAttribute("aria-label", words(name));
      const number = make("span", { class: "number" });
      this.#meters.set(name, { bar, number });
      find("overall-scores").append(make("li", { class: name }, make("span", {}, words(name)), bar, number));
    }
    this.clear();
  }

  /** Forget the session before. */
  clear() {
    this.#chart.clear();
    this.#facts.clear();
    for (const id of ["problems", "events", "facts"]) find(id).replaceChildren();
    find("announcement").textContent = "";
    find("problems-section").hidden = true;
    find("events-empty").hidden = false;
    find("facts-empty").hidden = false;
    this.#scores(null);
  }

  /** Show in which phase the session is, and say it. */
  phase(name, title, text) {
    document.body.dataset.phase = name;
    find("status-title").textContent = title;
    find("status-text").textContent = text;
  }

  /** How the session ended: good, plain or bad. */
  tone(tone) {
    find("status").dataset.tone = tone;
  }

  picture(stream) {
    const preview = find("preview");
    preview.srcObject = stream;
    preview.hidden = stream === null;
    find("preview-empty").hidden = stream !== null;
  }

  /** Add a problem, above those before: `title` and `text`, and perhaps `code`, `advice` and `link`. */
  problem({ title, text, code = null, advice = null, link = null }) {
    const entry = make("li", { "data-code": code }, make("h3", {}, title), make("p", {}, text));
    if (advice !== null) entry.append(make("p", { class: "advice" }, advice));
    if (link !== null) {
      const name = code === null ? "More about this" : `More about ${code}`;
      entry.append(make("p", {}, make("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, name)));
    }
    // Readers of screens are told by an element that was there all along; one that appears with its text may be missed.
    find("announcement").textContent = `${title}. ${text}`;
    find("problems-section").hidden = false;
    find("problems").prepend(entry);
    if (find("problems").children.length > LONGEST_PROBLEMS) find("problems").lastElementChild.remove();
  }

  /** Add an event: `kind`, `text`, the media second `at` or null, and perhaps an `aside`. */
  event({ at, kind, text, aside = null }) {
    const entry = make(
      "li",
      { "data-kind": kind },
      make("span", { class: "at" }, at === null ? "" : clock(at)),
      make("span", { class: "kind" }, kind),
      make("span", { class: "text" }, text),
    );
    if (aside !== null) entry.append(make("span", { class: "aside" }, aside));
    find("events-empty").hidden = true;
    find("events").prepend(entry);
    if (find("events").children.length > LONGEST_EVENTS) find("events").lastElementChild.remove();
  }

  /** Set a fact of the session. */
  fact(name, value) {
    if (!this.#facts.has(name)) {
      const cell = make("dd", { "data-fact": name });
      this.#facts.set(name, cell);
      find("facts").append(make("dt", {}, name), cell);
      find("facts-empty").hidden = true;
    }
    if (this.#facts.get(name).textContent !== value) this.#facts.get(name).textContent = value;
  }

  draw(story) {
    this.#chart.draw(story);
    if (story.overall !== null) this.#scores(story.overall);
  }

  freeze() {
    this.#chart.freeze();
  }

  #scores(scores) {
    find("overall-scores").hidden = scores === null;
    find("overall-empty").hidden = scores !== null;
    for (const [name, { bar, number }] of this.#meters) {
      const score = scores?.[name] ?? null;
      bar.style.setProperty("--score", Math.min(score ?? 0, 100));
      bar.setAttribute("aria-valuenow", score ?? 0);
      number.textContent = score === null ? "–" : String(Math.round(score));
    }
  }
}
