// From a press of Start to the end: camera, session and recorder, in the order in which the protocol wants them.

import {
  closeMeaning,
  duration,
  explainCamera,
  explainConstructor,
  explainEnd,
  explainError,
  explainRecorder,
  explainRefusal,
  explainSilence,
  size,
} from "./explain.js";
import { openCamera, PieceRecorder, releaseCamera } from "./recorder.js";
import { probe, READY_PATIENCE_MS, Session } from "./session.js";
import { includeOf } from "./settings.js";
import { includedIn, Story } from "./story.js";

/** How often the chart moves on while pieces are being recorded, in milliseconds. */
const STEP_MS = 500;
/** How much may wait to be sent before it is worth a word, in bytes. */
const BACKLOG_BYTES = 1_000_000;

export class Run {
  #settings;
  #view;
  #onOver;
  #story = new Story();
  #camera = null;
  #session = null;
  #recorder = null;
  #steps = null;
  #closingSeen = false;
  #silent = false;
  #stopping = false;
  #over = false;

  /** `onOver` is called once, when nothing more will happen. */
  constructor(settings, view, onOver) {
    this.#settings = settings;
    this.#view = view;
    this.#onOver = onOver;
  }

  async start() {
    this.#view.clear();
    this.#view.tone("plain");
    this.#view.phase(
      "camera",
      "Waiting for camera and microphone",
      "The browser may be asking whether this page may use them.",
    );
    if (!window.MediaRecorder) {
      this.#fail(explainRecorder(null));
      return;
    }
    let camera;
    try {
      camera = await openCamera();
    } catch (error) {
      if (!this.#over) this.#fail(explainCamera(error, window.isSecureContext));
      return;
    }
    if (this.#over) {
      releaseCamera(camera);
      return;
    }
    this.#camera = camera;
    this.#view.picture(camera);
    for (const track of camera.getTracks()) track.addEventListener("ended", () => this.#lostTrack(track.kind));
    this.#connect();
  }

  /** End: gracefully if there is a session to end, at once if it is being ended already or has not begun. */
  async stop() {
    if (this.#over) return;
    if (this.#recorder === null || this.#stopping) {
      this.abort();
      return;
    }
    this.#stopping = true;
    this.#view.phase("stopping", "Stopping", "The recorder is finishing its last piece.");
    try {
      await this.#recorder.stop();
    } catch (error) {
      this.#view.problem(explainRecorder(error));
    }
    this.#release();
    if (this.#over || this.#session === null) return;
    this.#view.phase(
      "draining",
      "Ending the session",
      "All video was sent. The server is finishing with it; press Close now to not wait for that.",
    );
    this.#session.end();
  }

  /** End at once, whatever the phase. */
  abort() {
    this.#release();
    if (this.#session === null) this.#finish("Stopped", "Stopped before a connection was made.", "plain");
    else {
      this.#view.phase("closing", "Closing", "Waiting for the server to answer the close.");
      this.#session.close();
    }
  }

  /** What to include from now on. */
  configure(choice) {
    this.#settings = { ...this.#settings, ...choice };
    this.#session?.configure(includeOf(this.#settings));
  }

  #connect() {
    const { url, key, form } = this.#settings;
    this.#view.phase("connecting", "Connecting", `Asking ${new URL(url).host} for a session.`);
    this.#view.fact("Server", url);
    let session;
    try {
      session = new Session({ url, key, form, include: includeOf(this.#settings) });
    } catch (error) {
      this.#fail(explainConstructor(error, url, location.protocol));
      return;
    }
    this.#session = session;
    session.addEventListener("open", () => {
      this.#view.phase("opened", "Connected", "The config was sent; waiting for session.ready.");
      this.#view.fact("Subprotocol", `the server selected ${session.selected}`);
    });
    session.addEventListener("envelope", ({ detail }) => this.#receive(detail));
    session.addEventListener("oddity", ({ detail }) => this.#view.event({ at: null, kind: "not understood", text: detail }));
    session.addEventListener("silent", ({ detail }) => {
      this.#silent = true;
      this.#view.problem(explainSilence(detail, READY_PATIENCE_MS / 1000));
      this.#release();
    });
    session.addEventListener("undrained", ({ detail }) => this.#view.problem({ title: "The session did not end", text: detail }));
    session.addEventListener("closed", ({ detail }) => this.#closed(detail));
  }

  #receive(envelope) {
    const { type, data } = envelope;
    if (typeof envelope.correlation_id === "string") this.#view.fact("Correlation id", envelope.correlation_id);
    this.#view.event(this.#story.take(envelope));
    if (type === "session.ready") this.#ready(data);
    else if (type === "session.updated") this.#view.fact("Config in force", includedIn(data));
    else if (type === "session.closing") this.#closing(data);
    else if (type === "error") this.#error(data);
    this.#view.draw(this.#story);
  }

  #ready(contract) {
    // It may still arrive while an attempt is being given up.
    if (this.#camera === null || this.#recorder !== null) return;
    for (const [name, value] of terms(contract)) this.#view.fact(name, value);
    const shortest = contract.min_segment_duration_seconds;
    if (Number.isFinite(shortest) && this.#settings.segmentMs < shortest * 1000) {
      const text =
        `This server wants segments of at least ${shortest} s, and the segments here last ` +
        `${this.#settings.segmentMs / 1000} s. It may refuse them with ih4007.`;
      this.#view.event({ at: null, kind: "note", text });
    }
    try {
      this.#recorder = new PieceRecorder(this.#camera, {
        segmentMs: this.#settings.segmentMs,
        handOn: (piece) => this.#send(piece),
        onError: (error) => {
          this.#view.problem(explainRecorder(error));
          if (!this.#stopping) this.stop();
        },
      });
      this.#recorder.start();
    } catch (error) {
      this.#recorder = null;
      this.#view.problem(explainRecorder(error));
      this.abort();
      return;
    }
    this.#view.phase("live", "Live", "What the camera sees is on its way to the server.");
    this.#view.fact("Recording", this.#recorder.format);
    this.#steps = setInterval(() => this.#step(), STEP_MS);
  }

  #send(piece) {
    if (this.#session.sendSegment(piece)) this.#step();
  }

  #step() {
    if (!this.#stopping) this.#story.reach(this.#recorder.seconds);
    const { segments, bytes, waiting } = this.#session.sent;
    const pending = waiting < BACKLOG_BYTES ? "" : `; ${size(waiting)} of it still in the browser`;
    this.#view.fact("Sent", `${segments} ${segments === 1 ? "segment" : "segments"}, ${size(bytes)}${pending}`);
    this.#view.draw(this.#story);
  }

  #closing({ max_drain_seconds: seconds }) {
    this.#closingSeen = true;
    if (!Number.isFinite(seconds)) return;
    this.#view.phase(
      "draining",
      "Ending the session",
      `The server finishes with what it has received, for ${duration(seconds)} at most. Press Close now to not wait.`,
    );
  }

  #error(data) {
    this.#view.problem(explainError(data));
    // A server of an older deployment takes session.close for a config that it does not understand.
    const refused = data.code === "ih6001" && !Number.isInteger(data.segment);
    if (refused && this.#stopping && !this.#closingSeen && document.body.dataset.phase === "draining") {
      this.#view.event({ at: null, kind: "note", text: "this server knows no graceful close; closing plainly" });
      this.abort();
    }
  }

  #lostTrack(kind) {
    if (this.#over || this.#stopping) return;
    const what = kind === "video" ? "camera" : "microphone";
    this.#view.problem({
      title: `The ${what} stopped`,
      text: `The ${what} was unplugged, or its use was forbidden. The session is ended with what was recorded so far.`,
    });
    this.stop();
  }

  async #closed(outcome) {
    this.#release();
    const { code, reason, opened, asked } = outcome;
    this.#view.fact("Close", `${code}, ${closeMeaning(code)}${reason ? `: ${reason}` : ""}`);
    this.#view.fact("Lasted", duration(outcome.seconds));
    if (this.#silent) {
      this.#finish("Given up", "The server did not begin the session; see below.", "bad");
    } else if (!opened && asked === null) {
      const answered = await probe(this.#settings.url, location);
      this.#fail(explainRefusal(this.#settings.url, answered, location));
    } else {
      const { title, text, tone } = explainEnd(outcome);
      if (tone === "bad") this.#view.problem({ title, text, code: String(code) });
      this.#finish(title, text, tone);
    }
  }

  #fail(problem) {
    this.#view.problem(problem);
    this.#finish("No session", problem.title + ".", "bad");
  }

  #finish(title, text, tone) {
    if (this.#over) return;
    this.#over = true;
    this.#release();
    this.#view.freeze();
    this.#view.tone(tone);
    this.#view.phase("over", title, text);
    this.#onOver(tone);
  }

  #release() {
    clearInterval(this.#steps);
    if (this.#camera === null) return;
    releaseCamera(this.#camera);
    this.#camera = null;
    this.#view.picture(null);
  }
}

/** The contract of a session, as facts. */
function terms(contract) {
  const facts = [];
  const limit = (name, value, show) => {
    if (Number.isFinite(value)) facts.push([name, show(value)]);
  };
  limit("Shortest segment", contract.min_segment_duration_seconds, (value) => `${value} s`);
  limit("Longest segment", contract.max_segment_duration_seconds, (value) => `${value} s`);
  limit("Largest segment", contract.max_segment_size_bytes, size);
  limit("Longest silence", contract.session_idle_timeout_seconds, duration);
  limit("Longest session", contract.session_max_duration_seconds, duration);
  return facts;
}
