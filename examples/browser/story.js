// What the envelopes of a session amount to, as data to draw: stretches of signals, of engagement, and periods of
// scores, all on one axis of media seconds. Knows nothing of the page.

export const SCORES = ["quality_index", "clarity", "authority", "energy", "rapport", "learning"];
export const STRENGTHS = ["low", "medium", "high"];
export const STATES = ["engaged", "neutral", "disengaged"];

/** Seconds of media as a clock: 0:09, 1:02.5. */
export function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const rest = (tenths % 600) / 10;
  return `${Math.floor(tenths / 600)}:${rest < 10 ? "0" : ""}${Number.isInteger(rest) ? rest : rest.toFixed(1)}`;
}

/** A word from the wire as people read it: quality_index becomes quality index. */
export function words(name) {
  return String(name).replaceAll("_", " ");
}

export class Story {
  /** Signal type to its activities, in the order in which the types first appeared. */
  lanes = new Map();
  /** Stretches of engagement: from, to (null while it lasts), state. */
  engagement = [];
  /** The latest overall scores, or null. */
  overall = null;
  /** Closed periods: start, end, values. */
  periods = [];
  /** Stretches that were not, or not fully, analysed: start, end, kind. */
  gaps = [];
  /** How far the media has come, in seconds. */
  now = 0;

  /** The media has come so far. */
  reach(seconds) {
    this.now = Math.max(this.now, seconds);
  }

  /**
   * Take an envelope in. Returns what to write about it: `at` (media seconds or null), `kind` and `text`, and `aside`
   * for the reason that the analysis gives.
   */
  take({ type, data }) {
    const read = Story.#readers.get(type);
    if (read === undefined) return { at: null, kind: type, text: "a type this page does not know; passed over" };
    const entry = read(this, data);
    if (entry === null) return { at: null, kind: type, text: "came in a shape this page does not know; passed over" };
    if (entry.at !== undefined && entry.at !== null) this.reach(entry.at);
    return { at: null, ...entry, kind: type };
  }

  static #readers = new Map([
    ["session.ready", (story) => story.#ready()],
    ["session.updated", (story, data) => story.#updated(data)],
    ["session.closing", (story, data) => story.#closing(data)],
    ["session.ended", (story, data) => story.#ended(data)],
    ["signal.detected", (story, data) => story.#detected(data)],
    ["signal.updated", (story, data) => story.#changed(data)],
    ["signal.ended", (story, data) => story.#over(data)],
    ["engagement.updated", (story, data) => story.#engaged(data)],
    ["conversation_quality.updated", (story, data) => story.#scored(data)],
    ["feedback.generated", (story, data) => story.#advised(data)],
    ["coverage.dropped", (story, data) => story.#dropped(data)],
    ["coverage.degraded", (story, data) => story.#degraded(data)],
    ["error", (story, data) => story.#failed(data)],
  ]);

  #ready() {
    return { text: "the session stands; recording begins" };
  }

  #updated(data) {
    return { text: `config in force: ${includedIn(data)}` };
  }

  #closing(data) {
    const seconds = time(data.max_drain_seconds);
    return { text: `finishing what was received${seconds === null ? "" : `, for at most ${seconds} s`}` };
  }

  #ended(data) {
    return { text: text(data.reason) ?? "no reason given" };
  }

  #detected(data) {
    const start = time(data.start);
    if (typeof data.signal_type !== "string" || start === null) return null;
    if (!this.lanes.has(data.signal_type)) this.lanes.set(data.signal_type, []);
    const activities = this.lanes.get(data.signal_type);
    const before = activities.at(-1);
    if (before !== undefined && before.to === null) finish(before, start);
    activities.push({ type: data.signal_type, from: start, to: null, stretches: [stretch(start, data)] });
    return { at: start, text: described(data), aside: text(data.rationale) };
  }

  #changed(data) {
    const start = time(data.start);
    const activity = this.lanes.get(data.signal_type)?.at(-1);
    if (start === null || activity === undefined || activity.to !== null) return null;
    const last = activity.stretches.at(-1);
    const next = stretch(start, { rationale: last.rationale, ...data });
    if (start > last.from) {
      last.to = start;
      activity.stretches.push(next);
    } else {
      Object.assign(last, next, { from: last.from });
    }
    return { at: start, text: described(data), aside: text(data.rationale) };
  }

  #over(data) {
    const end = time(data.end);
    const activity = this.lanes.get(data.signal_type)?.at(-1);
    if (end === null || activity === undefined || activity.to !== null) return null;
    finish(activity, end);
    return { at: end, text: data.signal_type };
  }

  #engaged(data) {
    const start = time(data.start);
    if (typeof data.state !== "string" || start === null) return null;
    const before = this.engagement.at(-1);
    if (before !== undefined) before.to = Math.max(before.from, start);
    this.engagement.push({ from: start, to: null, state: data.state });
    return { at: start, text: data.state };
  }

  #scored(data) {
    const overall = scores(data.overall);
    const periods = (Array.isArray(data.timeline) ? data.timeline : []).map(period).filter(Boolean);
    if (overall === null && periods.length === 0) return null;
    if (overall !== null) this.overall = overall;
    this.periods.push(...periods);
    const parts = [];
    if (overall !== null) parts.push(`overall ${overall.quality_index ?? "without an index"}`);
    for (const { start, end, values } of periods) {
      parts.push(`${clock(start)} to ${clock(end)}: ${values.quality_index ?? "without an index"}`);
    }
    return { at: periods.at(-1)?.end ?? null, text: parts.join("; ") };
  }

  #advised(data) {
    return { text: text(data.feedback) ?? "no text" };
  }

  #dropped(data) {
    return this.#gap(data, "not analysed");
  }

  #degraded(data) {
    return this.#gap(data, "analysed in part");
  }

  #gap(data, kind) {
    const ranges = (Array.isArray(data.ranges) ? data.ranges : [])
      .map((range) => ({ start: time(range?.start), end: time(range?.end), kind }))
      .filter(({ start, end }) => start !== null && end !== null && end >= start);
    if (ranges.length === 0) return null;
    this.gaps.push(...ranges);
    const list = ranges.map(({ start, end }) => `${clock(start)} to ${clock(end)}`).join(", ");
    return { at: ranges.at(-1).end, text: `${kind}: ${list}`, aside: text(data.reason && words(data.reason)) };
  }

  #failed(data) {
    const about = Number.isInteger(data.segment) ? `segment ${data.segment}: ` : "";
    return { text: `${text(data.code) ?? "no code"}, ${about}${text(data.message) ?? "no message"}` };
  }
}

/** The config in force, in words. */
export function includedIn(data) {
  const include = Array.isArray(data.include) ? data.include : [];
  return include.length === 0 ? "nothing beyond signals and engagement" : include.map(words).join(", ");
}

// No session lasts a day, and a chart has to end somewhere.
const LONGEST_SECONDS = 86_400;

function time(value) {
  return typeof value === "number" && value >= 0 && value <= LONGEST_SECONDS ? value : null;
}

function text(value) {
  return typeof value === "string" && value !== "" ? value : null;
}

function stretch(from, { probability, rationale }) {
  return { from, to: null, probability: text(probability), rationale: text(rationale) };
}

function finish(activity, end) {
  const last = activity.stretches.at(-1);
  last.to = Math.max(last.from, end);
  activity.to = last.to;
}

function described({ signal_type, probability }) {
  return text(probability) === null ? signal_type : `${signal_type}, ${probability}`;
}

function scores(values) {
  if (typeof values !== "object" || values === null) return null;
  return Object.fromEntries(SCORES.map((name) => [name, time(values[name])]));
}

function period(entry) {
  const [start, end] = [time(entry?.start), time(entry?.end)];
  const values = scores(entry?.values);
  return start === null || end === null || end < start || values === null ? null : { start, end, values };
}
