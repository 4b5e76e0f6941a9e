// One session over one WebSocket: the credential, the config, segments up, envelopes down, and the two ways to end.

/** How long to wait for session.ready, in milliseconds. */
export const READY_PATIENCE_MS = 10_000;
/** How long to wait for the answer to a close before the connection counts as gone, in milliseconds. */
const CLOSE_PATIENCE_MS = 3_000;
/** How long to wait for session.closing, and for session.ended beyond what was promised, in milliseconds. */
const DRAIN_PATIENCE_MS = 10_000;

/** The subprotocols that carry a credential: alone, or as the second of a pair. */
export function subprotocols(key, form) {
  return form === "pair" ? ["access_token", key] : key;
}

/**
 * A session. Its events, each a CustomEvent:
 *
 * - `open`: the WebSocket is open, and the config was sent
 * - `envelope`: a message of the server, parsed, as `detail`
 * - `oddity`: a message that is no envelope; `detail` is a sentence
 * - `silent`: no session.ready came in time; `detail` is whether the WebSocket had opened
 * - `undrained`: the graceful close led nowhere; `detail` is a sentence
 * - `closed`: the end, whatever its reason; `detail` is the outcome, see `explainEnd`
 */
export class Session extends EventTarget {
  #socket;
  #include;
  #patience;
  #finished = false;
  #created = performance.now();
  #outcome = { opened: false, ready: false, ended: false, asked: null, seconds: 0, segments: 0, bytes: 0 };

  /** Connect. Throws what the WebSocket constructor throws. */
  constructor({ url, key, form, include }) {
    super();
    this.#include = include;
    this.#socket = new WebSocket(url, subprotocols(key, form));
    this.#socket.binaryType = "arraybuffer";
    this.#socket.addEventListener("open", () => this.#opened());
    this.#socket.addEventListener("message", ({ data }) => this.#received(data));
    this.#socket.addEventListener("close", ({ code, reason }) => this.#finish(code, reason));
    this.#patience = setTimeout(() => {
      this.#tell("silent", this.#outcome.opened);
      this.close();
    }, READY_PATIENCE_MS);
  }

  /** Which form of the credential the server confirmed, without showing a credential. */
  get selected() {
    if (this.#socket.protocol === "") return "none";
    return this.#socket.protocol === "access_token" ? "access_token" : "the credential";
  }

  /** What was sent so far, and what of it still waits in the browser, in bytes. */
  get sent() {
    return { segments: this.#outcome.segments, bytes: this.#outcome.bytes, waiting: this.#socket.bufferedAmount };
  }

  /** Set what the server is to include; before the connection is open, it goes with the opening. */
  configure(include) {
    this.#include = include;
    if (this.#writable) this.#socket.send(JSON.stringify({ include }));
  }

  /** Send one segment; returns whether it went out. Before session.ready no video may (RDY-4). */
  sendSegment(buffer) {
    if (!this.#writable || !this.#outcome.ready) return false;
    this.#socket.send(buffer);
    this.#outcome.segments += 1;
    this.#outcome.bytes += buffer.byteLength;
    return true;
  }

  /** Ask for a graceful end: the server finishes what it has, says session.ended, and closes (CLS-1). */
  end() {
    if (!this.#writable) return;
    this.#socket.send(JSON.stringify({ type: "session.close" }));
    this.#outcome.asked = "graceful";
    this.#awaitDrain(0);
  }

  /** Close without waiting for anything but the answer to the close, and for that not long. */
  close() {
    clearTimeout(this.#patience);
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    this.#outcome.asked = "at once";
    this.#socket.close(1000);
    this.#patience = setTimeout(() => this.#finish(1006, ""), CLOSE_PATIENCE_MS);
  }

  get #writable() {
    return this.#socket.readyState === WebSocket.OPEN && this.#outcome.asked === null;
  }

  #opened() {
    if (this.#outcome.asked !== null) return;
    this.#outcome.opened = true;
    this.configure(this.#include);
    this.#tell("open");
  }

  #received(data) {
    const envelope = parse(data);
    if (typeof envelope === "string") {
      this.#tell("oddity", envelope);
      return;
    }
    if (envelope.type === "session.ready") {
      clearTimeout(this.#patience);
      this.#outcome.ready = true;
    } else if (envelope.type === "session.closing" && this.#outcome.asked === "graceful") {
      this.#awaitDrain(envelope.data.max_drain_seconds);
    } else if (envelope.type === "session.ended") {
      this.#outcome.ended = true;
    }
    this.#tell("envelope", envelope);
  }

  #awaitDrain(seconds) {
    clearTimeout(this.#patience);
    const promised = Number.isFinite(seconds) ? Math.min(seconds, 3600) * 1000 : 0;
    this.#patience = setTimeout(() => {
      this.#tell("undrained", "The server did not end the session in the time that a graceful close may take.");
      this.close();
    }, promised + DRAIN_PATIENCE_MS);
  }

  #finish(code, reason) {
    clearTimeout(this.#patience);
    if (this.#finished) return;
    this.#finished = true;
    const seconds = (performance.now() - this.#created) / 1000;
    const outcome = { ...this.#outcome, code, reason, seconds };
    this.#tell("closed", outcome);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

/** The envelope in a message, or a sentence that says why there is none. */
export function parse(data) {
  if (typeof data !== "string") return `The server sent ${data.byteLength} binary bytes; it should send text only.`;
  let value;
  try {
    value = JSON.parse(data);
  } catch {
    return "The server sent a text that is not JSON.";
  }
  const isObject = (thing) => typeof thing === "object" && thing !== null && !Array.isArray(thing);
  if (!isObject(value) || typeof value.type !== "string") {
    return isObject(value) && typeof value.status === "string"
      ? "The server answers in the status messages of an older revision, which this page does not show."
      : "The server sent a message without a type, which is no envelope.";
  }
  return { ...value, data: isObject(value.data) ? value.data : {} };
}

/**
 * Ask an endpoint that refused a WebSocket how it answers a plain request.
 *
 * Only of the page's own server, since another one's answer would be hidden too; without the credential.
 * Returns its HTTP status, 0 if nothing answers, null if it cannot be asked.
 */
export async function probe(url, location) {
  const address = new URL(url);
  address.protocol = address.protocol === "wss:" ? "https:" : "http:";
  if (address.origin !== location.origin) return null;
  try {
    const answer = await fetch(address, { credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer" });
    await answer.body?.cancel();
    return answer.status;
  } catch {
    return 0;
  }
}
