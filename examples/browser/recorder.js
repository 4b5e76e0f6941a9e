// The camera, and the recorder that cuts it into pieces.

const FORMATS = ["video/webm;codecs=vp9,opus", "video/webm;codecs=vp8,opus", "video/webm"];

/** The first format that this browser can record; empty for whatever it takes by default. */
export function chooseFormat(isSupported) {
  return FORMATS.find(isSupported) ?? "";
}

/** Camera and microphone. Rejects as getUserMedia does; with a TypeError where a page may not even ask. */
export async function openCamera() {
  return navigator.mediaDevices.getUserMedia({ video: true, audio: true });
}

export function releaseCamera(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** What is smaller, in bytes, holds no picture, and goes together with the piece behind it. */
const SMALLEST = 100;

/**
 * Hands pieces on in the order in which they came.
 *
 * Reading a Blob takes a while, and a small one may overtake a large one; but a recording in the wrong order is none.
 * When no picture comes for longer than a piece lasts, Chromium ends the piece behind the first byte that it writes
 * then: of a slow camera, the first piece is the first byte of the header.
 */
export class PieceQueue {
  #handOn;
  #held = [];
  #heldBytes = 0;
  #tail = Promise.resolve();

  constructor(handOn) {
    this.#handOn = handOn;
  }

  push(blob) {
    if (blob.size === 0) return;
    this.#held.push(blob);
    this.#heldBytes += blob.size;
    if (this.#heldBytes >= SMALLEST) this.#release();
  }

  /** Hands on what is left, however small; resolves when every piece was, and rejects with the first failure. */
  settled() {
    if (this.#held.length > 0) this.#release();
    return this.#tail;
  }

  #release() {
    const piece = this.#held.length === 1 ? this.#held[0] : new Blob(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    this.#tail = this.#tail.then(async () => this.#handOn(await piece.arrayBuffer()));
    // Whoever stops the queue hears of a failure; until then it is not unhandled.
    this.#tail.catch(() => {});
  }
}

/** Records a stream in pieces of `segmentMs` milliseconds and hands each to `handOn` as an ArrayBuffer, in order. */
export class PieceRecorder {
  #recorder;
  #queue;
  #stopped;
  #startedAt = 0;

  /** Throws what the MediaRecorder constructor throws. */
  constructor(stream, { segmentMs, handOn, onError }) {
    const mimeType = chooseFormat((format) => MediaRecorder.isTypeSupported(format));
    this.#recorder = new MediaRecorder(stream, mimeType ? { mimeType } : undefined);
    this.segmentMs = segmentMs;
    this.#queue = new PieceQueue(handOn);
    this.#recorder.addEventListener("dataavailable", ({ data }) => this.#queue.push(data));
    this.#recorder.addEventListener("error", ({ error }) => onError(error));
    this.#stopped = new Promise((resolve) => this.#recorder.addEventListener("stop", resolve, { once: true }));
  }

  get format() {
    return this.#recorder.mimeType;
  }

  /** How long it has been recording, in seconds. */
  get seconds() {
    return this.#startedAt === 0 ? 0 : (performance.now() - this.#startedAt) / 1000;
  }

  start() {
    this.#recorder.start(this.segmentMs);
    this.#startedAt = performance.now();
  }

  /** Stop, and resolve when the last piece was handed on. */
  async stop() {
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
    if (this.#startedAt !== 0) await this.#stopped;
    await this.#queue.settled();
  }
}
