// Draws a Story: one axis of media seconds, a band of engagement, the scores period by period, a lane for each type of
// signal. Positions are CSS variables in seconds, so that whatever has no end yet grows with --now alone.

import { clock, SCORES, STATES, STRENGTHS, words } from "./story.js";

const TICK_SECONDS = 10;
/** How far the axis is labelled beyond the media, which is more than fits a screen. */
const TICKS_AHEAD_SECONDS = 240;
/** How close to its right end the chart counts as being there, in pixels. */
const EDGE_PX = 32;

/** Make an element; strings among the children become text, never markup. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A word from the wire if it is one of those known; attributes that a style sheet reads hold no others. */
function oneOf(allowed, word) {
  return allowed.includes(word) ? word : "other";
}

export class Chart {
  #scroller;
  #rows;
  #tip;
  #empty;
  #axis;
  #engagement;
  #periods;
  #lanes = new Map();
  #drawn = new Map();
  #gaps = 0;
  #ticks = 0;
  #follows = true;
  #seen = "";

  constructor(scroller, tip, empty) {
    this.#scroller = scroller;
    this.#tip = tip;
    this.#empty = empty;
    scroller.addEventListener("scroll", () => {
      this.#hideTip();
      // Turning a phone scrolls too, but only a person who scrolls wants to look at something else.
      if (this.#seen !== this.#size) return;
      this.#follows = scroller.scrollLeft + scroller.clientWidth >= scroller.scrollWidth - EDGE_PX;
    });
    new ResizeObserver(() => this.#follow()).observe(scroller);
    for (const type of ["mouseover", "focusin"]) {
      scroller.addEventListener(type, ({ target }) => this.#showTip(target.closest("[data-tip]")));
    }
    scroller.addEventListener("mouseleave", () => this.#hideTip());
    scroller.addEventListener("focusout", () => this.#hideTip());
    scroller.addEventListener("keydown", (event) => this.#key(event));
    window.addEventListener("scroll", () => this.#hideTip(), { passive: true });
    this.clear();
  }

  clear() {
    this.#hideTip();
    this.#lanes.clear();
    this.#drawn.clear();
    this.#gaps = 0;
    this.#ticks = 0;
    this.#follows = true;
    this.#rows = make("div", { class: "rows" });
    this.#axis = this.#row("Media time", "axis");
    this.#engagement = this.#row("Engagement", "engagement");
    this.#periods = this.#row("Quality by period", "periods");
    this.#rows.append(make("span", { class: "now" }));
    this.#scroller.replaceChildren(this.#rows);
    this.#label(0);
    this.#empty.hidden = false;
  }

  /** Bring the drawing up to date. */
  draw(story) {
    this.#rows.style.setProperty("--now", story.now);
    this.#label(story.now);
    for (const stretch of story.engagement) this.#band(stretch);
    for (const period of story.periods) this.#period(period);
    for (const [type, activities] of story.lanes) {
      for (const activity of activities) this.#bar(this.#lane(type), activity);
      this.#lane(type).parentElement.dataset.active = activities.at(-1).to === null;
    }
    for (const gap of story.gaps.slice(this.#gaps)) this.#gap(gap);
    this.#gaps = story.gaps.length;
    this.#empty.hidden = story.lanes.size > 0;
    this.#follow();
  }

  /** The session is over: what has no end will get none. */
  freeze() {
    for (const lane of this.#lanes.values()) lane.parentElement.dataset.active = false;
  }

  get #size() {
    return `${this.#scroller.clientWidth} of ${this.#scroller.scrollWidth}`;
  }

  #follow() {
    this.#seen = this.#size;
    if (this.#follows) this.#scroller.scrollLeft = this.#scroller.scrollWidth;
  }

  #row(name, kind) {
    const track = make("div", { class: "track" });
    this.#rows.append(make("div", { class: `row ${kind}` }, make("span", { class: "name" }, name), track));
    return track;
  }

  #lane(type) {
    if (!this.#lanes.has(type)) this.#lanes.set(type, this.#row(words(type), "lane"));
    return this.#lanes.get(type);
  }

  #label(now) {
    for (; this.#ticks * TICK_SECONDS <= now + TICKS_AHEAD_SECONDS; this.#ticks += 1) {
      const seconds = this.#ticks * TICK_SECONDS;
      const tick = make("span", { class: "tick" }, clock(seconds));
      place(tick, seconds, null);
      this.#axis.append(tick);
    }
  }

  /** The element that shows a thing, made on first sight. */
  #shown(track, thing, kind) {
    let element = this.#drawn.get(thing);
    if (element === undefined) {
      element = make("button", { type: "button", class: kind, tabindex: this.#drawn.size === 0 ? 0 : -1 });
      this.#drawn.set(thing, element);
      track.append(element);
    }
    return element;
  }

  #band(stretch) {
    const element = this.#shown(this.#engagement, stretch, "band");
    if (!tell(element, `${words(stretch.state)}, ${range(stretch)}`)) return;
    element.dataset.state = oneOf(STATES, stretch.state);
    element.replaceChildren(make("span", {}, words(stretch.state)));
    place(element, stretch.from, stretch.to);
  }

  #bar(track, activity) {
    const element = this.#shown(track, activity, "bar");
    const lines = activity.stretches.map((stretch) => {
      const what = `${range(stretch)}, ${stretch.probability ?? "no probability given"}`;
      return stretch.rationale === null ? what : `${what}: ${stretch.rationale}`;
    });
    if (!tell(element, [words(activity.type), ...lines].join("\n"))) return;
    place(element, activity.from, activity.to);
    element.replaceChildren(
      ...activity.stretches.map((stretch) => {
        const { probability } = stretch;
        const label = make("span", {}, probability === null ? "no probability" : words(probability));
        const piece = make("span", { class: "stretch", "data-strength": oneOf(STRENGTHS, probability) }, label);
        place(piece, stretch.from, stretch.to);
        return piece;
      }),
    );
  }

  #period(period) {
    const element = this.#shown(this.#periods, period, "period");
    const list = SCORES.map((name) => `${words(name)} ${period.values[name] ?? "not given"}`).join("\n");
    if (!tell(element, `${clock(period.start)} to ${clock(period.end)}\n${list}`)) return;
    place(element, period.start, period.end);
    const index = period.values.quality_index;
    element.append(
      make("span", { class: "index" }, index === null ? "–" : String(Math.round(index))),
      ...SCORES.slice(1).map((name) => {
        const column = make("span", { class: "column" }, make("span", { class: "initial" }, name[0].toUpperCase()));
        column.style.setProperty("--score", Math.min(period.values[name] ?? 0, 100));
        return column;
      }),
    );
  }

  #gap({ start, end, kind }) {
    const gap = make("span", { class: "gap", title: `${kind}: ${clock(start)} to ${clock(end)}` });
    place(gap, start, end);
    this.#rows.append(gap);
  }

  #showTip(item) {
    if (item === null) {
      this.#hideTip();
      return;
    }
    this.#tip.replaceChildren(...item.dataset.tip.split("\n").map((line) => make("span", {}, line)));
    this.#tip.hidden = false;
    const box = item.getBoundingClientRect();
    const bounds = this.#scroller.getBoundingClientRect();
    const tip = this.#tip.getBoundingClientRect();
    const left = Math.max(box.left, bounds.left, 8);
    const below = box.bottom + 6;
    const fits = below + tip.height < window.innerHeight - 8;
    this.#tip.style.left = `${Math.max(8, Math.min(left, window.innerWidth - tip.width - 8))}px`;
    this.#tip.style.top = `${fits ? below : Math.max(8, box.top - tip.height - 6)}px`;
  }

  #hideTip() {
    this.#tip.hidden = true;
  }

  // One stop for the Tab key, arrows within: left and right along a lane, up and down between them.
  #key(event) {
    if (event.key === "Escape") this.#hideTip();
    const item = event.target.closest("[data-tip]");
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (item === null || !(event.key in steps)) return;
    event.preventDefault();
    const lanes = [...this.#rows.children]
      .map((row) => [...row.querySelectorAll("[data-tip]")])
      .filter((items) => items.length > 0);
    const [down, right] = steps[event.key];
    const row = lanes.findIndex((items) => items.includes(item));
    const column = lanes[row].indexOf(item) + right;
    const next = down === 0 ? lanes[row][column] : lanes[row + down]?.at(-1);
    if (next === undefined) return;
    item.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

function range({ from, to }) {
  return to === null ? `since ${clock(from)}` : `${clock(from)} to ${clock(to)}`;
}

function place(element, from, to) {
  element.style.setProperty("--from", from);
  if (to !== null) element.style.setProperty("--to", to);
  element.dataset.open = to === null;
}

/** Give an element its tip; whether that is news, and the element has to be drawn anew. */
function tell(element, lines) {
  if (element.dataset.tip === lines) return false;
  element.dataset.tip = lines;
  element.setAttribute("aria-label", lines.replaceAll("\n", "; "));
  return true;
}
