// What failures mean, and what to do about them, in plain words. Pure: data in, sentences out.

const ADVICE = new Map([
  [
    "ih1001",
    "Something broke inside the server, and nothing on this page can mend it. Start a new session; if it fails again, " +
      "report it together with the correlation id.",
  ],
  ["ih1003", "The server has nothing to analyse video with at the moment. Wait a minute, then start again."],
  [
    "ih2001",
    "Copy the credential again, whole and with nothing around it, and check that it belongs to this server: a mock " +
      "server takes only the keys it was started with.",
  ],
  ["ih2002", "The server saw no credential. Fill in the field, or let it travel in the other form."],
  ["ih2003", "The credential is genuine but may not stream. Use one that has the scope interhumanai.stream."],
  ["ih2010", "Client tokens are valid for minutes only. Have a new one issued, and start again with it."],
  ["ih2011", "This is not a client token that the server issued, or not the whole of it. Have a new one issued."],
  ["ih2014", "Somebody revoked this client token, so it will not work again. Have a new one issued."],
  ["ih3001", "Too many requests in a short time. Wait a minute before the next attempt."],
  [
    "ih3002",
    "This credential has as many sessions open as it may. Stop the session in the other tab or program, then start " +
      "again.",
  ],
  ["ih3003", "The account has used up what it may analyse. More has to be arranged with whoever runs the server."],
  ["ih3006", "The client token has used up its seconds of video. Have a new one issued, with a larger budget."],
  [
    "ih4002",
    "The server does not take the container this browser records in; see the recording format under Session. " +
      "Chromium and Firefox record WebM, which is documented to work.",
  ],
  ["ih4005", "A parameter in the server URL, such as the name of a model, is not known to the server. Correct it."],
  [
    "ih4007",
    "Make the segments longer: 3000 ms is the documented minimum. The last piece of a recording is always a short " +
      "one, so if only that was refused, nothing is wrong.",
  ],
  ["ih5001", "The recording has no picture. Check that the camera works and that the browser may use it."],
  ["ih5002", "The picture of this segment could not be read. If it was only one segment, go on; otherwise start again."],
  [
    "ih5004",
    "Only the first piece of a recording has the header that explains the others, so nothing can be read without it, " +
      "or after a piece was lost. Stop and start again, which begins a new recording.",
  ],
  ["ih5008", "The recording has no sound, and this server wants some. Connect a microphone and allow its use."],
  [
    "ih6001",
    "The server does not accept a text message of this page. Perhaps it speaks another revision: try the other one. " +
      "The session goes on as it was.",
  ],
  ["ih6002", "The segment has more bytes than the server takes. Make the segments shorter."],
  [
    "ih6003",
    "Nothing was sent for too long. Browsers hold back pages in the background: keep this one in sight, and check " +
      "that the camera still delivers.",
  ],
  ["ih6004", "The session has lasted as long as a session may. Start a new one to go on."],
]);

const CLOSES = new Map([
  [1000, "a normal end"],
  [1001, "the server is going away, or ended the session because it lasted or was silent too long"],
  [1002, "the server found a fault in the WebSocket protocol itself"],
  [1005, "no code was given"],
  [1006, "the connection was cut without a close"],
  [1008, "the session breaks a rule of the server, as with a model it does not have, or a client token that was revoked"],
  [1009, "a message was too large for the server or for something on the way to it"],
  [1011, "the server failed internally"],
  [1013, "the server cannot take the session right now; it may in a minute"],
  [4003, "the credential is genuine, but lacks the scope interhumanai.stream"],
]);

const CAMERA = new Map([
  [
    "NotAllowedError",
    "The browser may not use the camera and the microphone. Allow both in the site settings, next to the page's " +
      "address, and start again.",
  ],
  ["NotFoundError", "No camera, or no microphone, was found. Both are needed: connect them and start again."],
  [
    "NotReadableError",
    "The camera or the microphone cannot be used, most likely because another program is using it. Close that and " +
      "start again.",
  ],
]);

const LOOPBACK = /^(localhost|127\.[\d.]+|\[::1\])$/;

/** What to do about an error code, or null if nothing particular is known. */
export function adviceFor(code) {
  return ADVICE.get(code) ?? null;
}

/** An `error` envelope's data as a problem: title, text, advice, link. */
export function explainError({ code, message, link, segment }) {
  const named = typeof code === "string" ? code : "an error without a code";
  const about = Number.isInteger(segment) ? `Segment ${segment}` : "The session";
  const said = typeof message === "string" && message !== "" ? message : "the server gave no message";
  return {
    code: named,
    title: `${about}: ${named}`,
    text: /[.!?]$/.test(said) ? said : `${said}.`,
    advice: adviceFor(code),
    link: safeLink(link),
  };
}

/** A link that may be followed, or null: whatever else a server writes there is no address of a page. */
export function safeLink(link) {
  if (typeof link !== "string" || !URL.canParse(link)) return null;
  const url = new URL(link);
  return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
}

/** What a close code means, as a phrase. */
export function closeMeaning(code) {
  return CLOSES.get(code) ?? "a code this page does not know";
}

/** Why there is no camera. */
export function explainCamera(error, secure) {
  const title = "There is no picture";
  if (!secure) {
    return {
      title,
      text:
        "Browsers give the camera only to pages that came over https, or from localhost or 127.0.0.1. Open this page " +
        "under such an address.",
    };
  }
  const known = CAMERA.get(error.name);
  return { title, text: known ?? `The camera or the microphone could not be opened (${error.name}: ${error.message}).` };
}

/** Why nothing can be recorded. */
export function explainRecorder(error) {
  const text =
    error === null
      ? "This browser has no MediaRecorder, so it cannot cut video into pieces. A current Chromium, Firefox or Safari can."
      : `The browser could not record the camera (${error.name}: ${error.message}).`;
  return { title: "Nothing can be recorded", text };
}

/** Why not even an attempt to connect could be made: the WebSocket constructor threw. */
export function explainConstructor(error, url, pageProtocol) {
  const insecure = pageProtocol === "https:" && url.startsWith("ws:");
  return {
    title: "No connection was attempted",
    text: insecure
      ? "A page that came over https may only connect to wss:// addresses. Use one, or open the page over http://127.0.0.1."
      : `The browser does not accept this URL and credential for a WebSocket (${error.name}).`,
  };
}

/** Why the session never began: the server let the connection stand and said nothing. */
export function explainSilence(opened, seconds) {
  const text = opened
    ? `The connection is open, but no session.ready came within ${seconds} seconds. Something answers there that is ` +
      "not the stream endpoint of this revision, or it is overloaded."
    : `The server did not answer within ${seconds} seconds. The address may be wrong, or a firewall may swallow the ` +
      "connection.";
  return { title: "The server is silent", text: `${text} The attempt was given up, and the camera released.` };
}

/**
 * Why a connection failed before it was open. Browsers hide the server's answer from the page, so that this can only
 * be narrowed down.
 *
 * `answered` is what `probe` found out, `page` the location of the page.
 */
export function explainRefusal(url, answered, page) {
  const { host, hostname, pathname } = new URL(url);
  const log = "The server's own log tells which it was.";
  let text;
  if (answered === 0) {
    text = `Nothing answers at ${host}. The server is not running, or no longer. Start it, then start again here.`;
  } else if (answered === 404) {
    text =
      `The server at ${host} has no endpoint at ${pathname} (HTTP 404). Correct the server URL; a mock server of its ` +
      "own is usually at ws://127.0.0.1:8765/v1/stream/analyze.";
  } else if (answered === 426) {
    text =
      `A WebSocket endpoint does answer at ${host}, so most likely it refused the credential: it is wrong, expired, ` +
      `a client token for pages of other origins than ${page.origin}, or travels in a form the server does not take. ` +
      log;
  } else if (answered === 401 || answered === 403) {
    text = `The server at ${host} asks for a valid credential (HTTP ${answered}). Check the credential. ${log}`;
  } else {
    text =
      `Browsers do not tell a page why. Either the server at ${host} is not running or not to be reached, or ` +
      `${pathname} is not its stream endpoint, or it refused the credential, such as a client token for pages of other ` +
      `origins than ${page.origin}. ${log}`;
    if (LOOPBACK.test(hostname) && !LOOPBACK.test(page.hostname)) {
      text += " Browsers may also keep a page from the internet away from servers on this computer, unless you allow it.";
    }
  }
  return { title: "The connection was refused", text };
}

/** A session's end, as `tone` (good, plain or bad), `title` and `text`. */
export function explainEnd(outcome) {
  const { code, reason, opened, ready, ended, asked } = outcome;
  const sent = sentSoFar(outcome);
  const how = `${code}, ${closeMeaning(code)}${reason ? `; the server's words: ${reason}` : ""}`;
  if (ended && code === 1000) {
    return { tone: "good", title: "Ended as asked", text: `The server finished, said session.ended and closed with 1000. ${sent}` };
  }
  if (asked === "at once") {
    return { tone: "plain", title: "Closed at once", text: `What the server had not said by then is lost. ${sent}` };
  }
  if (code === 1006 && opened) {
    const doubt = "The server was stopped or crashed, the network failed, or something between cut the line";
    return {
      tone: "bad",
      title: "The connection was cut",
      text: `It ended with no close from the server (1006). ${doubt}. ${sent} What the server had not said yet is lost.`,
    };
  }
  if (!ready) {
    const text = `The server let the connection open and closed it before session.ready (${how}).`;
    return { tone: "bad", title: "The session was refused", text };
  }
  return {
    tone: code === 1000 || code === 1005 ? "plain" : "bad",
    title: "The server ended the session",
    text: `It closed with ${how}. ${sent}`,
  };
}

/** How much was sent, in a sentence. */
export function sentSoFar({ seconds, segments, bytes }) {
  const lasted = `The connection lasted ${duration(seconds)}`;
  if (segments === 0) return `${lasted}; no segment had been sent.`;
  return `${lasted}; ${segments} ${segments === 1 ? "segment" : "segments"} (${size(bytes)}) had been sent.`;
}

export function duration(seconds) {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  const rest = whole % 60 === 0 ? "" : ` ${whole % 60} s`;
  return `${Math.floor(whole / 60)} min${rest}`;
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1_000_000 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
