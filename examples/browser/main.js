// Wires the form to the run: reads the settings, starts, stops.

import { Run } from "./run.js";
import {
  defaultUrl,
  keyOf,
  keyProblem,
  LONGEST_SEGMENT_MS,
  readSettings,
  revisionOf,
  SHORTEST_SEGMENT_MS,
  urlProblem,
  withRevision,
} from "./settings.js";
import { View } from "./view.js";

const find = (id) => document.getElementById(id);
const form = find("settings");
const { url, key, travels, revision, segment, overall, timeline } = form.elements;
const [start, stop] = [find("start"), find("stop")];
const view = new View();
let run = null;

function fill() {
  const settings = readSettings(location);
  // At once, before anything else can see the credential in the address.
  history.replaceState(null, "", settings.cleaned);
  url.value = settings.url;
  key.value = settings.key;
  travels.value = settings.form;
  revision.value = revisionOf(settings.url) ?? settings.revision;
  segment.value = settings.segmentMs;
  segment.min = SHORTEST_SEGMENT_MS;
  segment.max = LONGEST_SEGMENT_MS;
  overall.checked = settings.overall;
  timeline.checked = settings.timeline;
  return settings;
}

function complain(field, text) {
  field.setCustomValidity(text ?? "");
  return text !== null;
}

/** Let the browser point at the first field that is wrong; whether all are right. */
function check() {
  const wrong = [complain(url, urlProblem(url.value)), complain(key, keyProblem(key.value, travels.value))];
  if (wrong.includes(true) || !segment.checkValidity()) find("connection").open = true;
  return form.reportValidity();
}

function begin() {
  if (run !== null || !check()) return;
  run = new Run(
    {
      url: url.value,
      key: key.value,
      form: travels.value,
      segmentMs: Number(segment.value),
      overall: overall.checked,
      timeline: timeline.checked,
    },
    view,
    (tone) => {
      run = null;
      busy(false);
      if (tone === "bad") find("connection").open = true;
    },
  );
  busy(true);
  run.start();
}

function busy(isBusy) {
  const focused = document.activeElement;
  for (const field of [url, key, segment, ...travels, ...revision]) field.disabled = isBusy;
  start.disabled = isBusy;
  stop.disabled = !isBusy;
  stop.textContent = "Stop";
  if (isBusy) find("connection").open = false;
  // A button that cannot be pressed any more must not keep the keyboard.
  if (isBusy && focused === start) stop.focus();
  if (!isBusy && focused === stop) start.focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  begin();
});
stop.addEventListener("click", () => {
  const current = run;
  current?.stop();
  if (run === current) stop.textContent = "Close now";
});
url.addEventListener("change", () => {
  url.value = url.value.trim() || defaultUrl(location, revision.value);
  url.value = withRevision(url.value, revisionOf(url.value) ?? revision.value);
  revision.value = revisionOf(url.value) ?? revision.value;
});
for (const choice of revision) {
  choice.addEventListener("change", () => {
    url.value = withRevision(url.value, revision.value);
  });
}
for (const field of [url, key]) field.addEventListener("input", () => field.setCustomValidity(""));
for (const box of [overall, timeline]) {
  box.addEventListener("change", () => run?.configure({ overall: overall.checked, timeline: timeline.checked }));
}
window.addEventListener("hashchange", () => {
  const given = keyOf(location.hash);
  if (given === null) return;
  history.replaceState(null, "", location.pathname + location.search);
  if (run === null) key.value = given;
});
window.addEventListener("pagehide", () => run?.abort());

find("unscripted").remove();
view.phase("idle", "Ready", "Press Start. The browser will ask for the camera and the microphone.");
const { autostart, complaints } = fill();
if (autostart) begin();
for (const text of complaints) view.problem({ title: "Part of the page's address was not used", text });
