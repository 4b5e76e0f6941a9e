// Where the settings come from: defaults, the query of the page's address, and for the credential its fragment, which
// a browser keeps to itself. Nothing here touches the page.

export const PATHS = { v1: "/v1/stream/analyze", v2: "/v2/stream/analyze" };
export const FORMS = ["subprotocol", "pair"];
export const LOCAL_SERVER = "ws://127.0.0.1:8765";
export const SHORTEST_SEGMENT_MS = 250;
export const LONGEST_SEGMENT_MS = 60_000;

const DEFAULT_KEY = "ih_live_mock"; // the mock server's own, and no secret
const DEFAULT_SEGMENT_MS = 3000;

/** The stream endpoint of the server that served the page; the mock server's usual address if none did. */
export function defaultUrl(location, revision) {
  const secure = { "http:": "ws:", "https:": "wss:" }[location.protocol];
  return (secure && location.host ? `${secure}//${location.host}` : LOCAL_SERVER) + PATHS[revision];
}

/** The revision that a URL names by its path, or null. */
export function revisionOf(url) {
  return Object.keys(PATHS).find((revision) => pathOf(url) === PATHS[revision]) ?? null;
}

/** The URL for another revision; a path that is no stream endpoint of ours is somebody's choice, and stays. */
export function withRevision(url, revision) {
  const path = pathOf(url);
  if (path === null || (path !== "/" && revisionOf(url) === null)) return url;
  const changed = new URL(url);
  changed.pathname = PATHS[revision];
  return changed.href;
}

/** What is wrong with a URL, as a sentence, or null. */
export function urlProblem(url) {
  if (!URL.canParse(url)) return "The server URL is not a URL; it should look like " + LOCAL_SERVER + PATHS.v1 + ".";
  const { protocol, hash, username } = new URL(url);
  if (protocol !== "ws:" && protocol !== "wss:") return "The server URL has to begin with ws:// or wss://.";
  if (hash) return "The server URL must not have a part after #.";
  if (username) return "The server URL must not hold a user name; the credential has a field of its own.";
  return null;
}

/** What is wrong with a credential that is to travel as a subprotocol, as a sentence that does not show it, or null. */
export function keyProblem(key, form) {
  if (key === "") return "The credential is empty.";
  const at = [...key].findIndex((character) => !/[A-Za-z0-9!#$%&'*+\-.^_`|~]/.test(character));
  if (at >= 0) {
    return (
      `Character ${at + 1} of the credential cannot travel in a subprotocol, and a browser has no other way to send ` +
      "one. Was the whole credential copied, and nothing around it?"
    );
  }
  if (form === "pair" && key === "access_token") return "The credential is the word access_token itself.";
  return null;
}

/**
 * Read the settings from the page's address.
 *
 * `complaints` are sentences about what was passed over, `cleaned` is the address without any credential.
 */
export function readSettings(location) {
  const query = new URLSearchParams(location.search);
  const complaints = [];
  const choice = (name, allowed, otherwise) => {
    const value = query.get(name);
    if (value === null || allowed.includes(value)) return value ?? otherwise;
    complaints.push(`The page's address says ${name}=${value}, which is none of ${allowed.join(", ")}.`);
    return otherwise;
  };
  const switched = (name, otherwise) => choice(name, ["1", "0"], otherwise ? "1" : "0") === "1";

  const asked = query.get("url");
  const revision = choice("revision", Object.keys(PATHS), (asked && revisionOf(asked)) ?? "v1");
  const url = asked === null ? defaultUrl(location, revision) : withRevision(asked, revision);
  let segmentMs = DEFAULT_SEGMENT_MS;
  if (query.has("segment")) {
    const given = Number(query.get("segment"));
    if (given >= SHORTEST_SEGMENT_MS && given <= LONGEST_SEGMENT_MS) segmentMs = Math.round(given);
    else {
      complaints.push(
        `The page's address says segment=${query.get("segment")}, which is no number of milliseconds between ` +
          `${SHORTEST_SEGMENT_MS} and ${LONGEST_SEGMENT_MS}.`,
      );
    }
  }
  if (query.has("key")) {
    query.delete("key");
    complaints.push(
      "The page's address had a credential in its query, where servers and logs can see it. It was not used; " +
        "write #key=… at the end of the address instead, and consider the old one known.",
    );
  }
  const rest = query.toString();
  return {
    url,
    revision,
    form: choice("form", FORMS, FORMS[0]),
    key: keyOf(location.hash) ?? DEFAULT_KEY,
    overall: switched("overall", true),
    timeline: switched("timeline", true),
    segmentMs,
    autostart: switched("autostart", false),
    complaints,
    cleaned: location.pathname + (rest && `?${rest}`),
  };
}

/** The credential in a fragment such as `#key=…`, or null. */
export function keyOf(hash) {
  // Not URLSearchParams, which would make a space of a plus.
  const part = hash
    .replace(/^#/, "")
    .split("&")
    .find((part) => part.startsWith("key="));
  if (part === undefined) return null;
  try {
    return decodeURIComponent(part.slice("key=".length));
  } catch {
    return part.slice("key=".length);
  }
}

/** The value of the session config's `include`. */
export function includeOf({ overall, timeline }) {
  return [overall && "conversation_quality_overall", timeline && "conversation_quality_timeline"].filter(Boolean);
}

function pathOf(url) {
  return URL.canParse(url) ? new URL(url).pathname : null;
}
