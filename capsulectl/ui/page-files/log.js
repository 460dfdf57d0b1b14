// What one workload writes: its last lines and those that follow, or, of a moment that is past, the last up to it.

import { byId, el, put } from "./make.js";
import { whileSeen } from "./streams.js";
import { timeText } from "./words.js";

const KEPT = 2000;
const PAUSE_MS = 5000;
const body = byId("log");
const note = byId("log-note");
let stop = () => {};
let asked = "";
let runNow = "";
let ended = null; // how what was asked for came to its end: {run, why, until, at}

/** Read the log of `name`: of the run that `workload` is in up to a moment, or (0: the newest, and on). The same again
 *  is left as it is, unless it ended and goes on. */
export function showLog(name, workload, untilMs) {
  const run = untilMs ? workload?.run ?? 0 : 0;
  const wanted = name && `follow/log?${new URLSearchParams({ name, run, until: untilMs })}`;
  runNow = workload ? `${workload.uid}/${workload.run}` : "";
  if (wanted === asked && !(ended && workload && goesOn(workload))) return;
  asked = wanted;
  ended = null;
  stop();
  body.replaceChildren();
  body.hidden = !name || (untilMs > 0 && !run);
  put(note, !name ? "Choose a workload to read what it writes." : body.hidden ? "It had not run yet." : "");
  if (body.hidden) return;
  const mine = (stop = whileSeen(() => opened(wanted, end)));
  function end(why) {
    mine();
    ended = { run: runNow, why, until: untilMs, at: performance.now() };
    put(note, why || (untilMs ? `These were the last lines of run ${run} up to this moment.` : "It writes no more."));
  }
}

/** The stream, which begins with the last lines whenever it is opened. */
function opened(wanted, end) {
  const source = new EventSource(wanted);
  source.addEventListener("lines", (event) => add(JSON.parse(event.data)));
  source.addEventListener("end", (event) => end(JSON.parse(event.data).why));
  source.onopen = () => {
    body.replaceChildren();
    put(note, "");
  };
  source.onerror = () => {
    body.replaceChildren();
    if (source.readyState === EventSource.CLOSED) end("There is nothing to read of it.");
    else put(note, "It cannot be read now; this is tried again.");
  };
  return source;
}

/** A stopped workload was started again. Or, with a pause, as each try is a read that is noted: it could not be read,
 *  or its end was not its own, but that of a machine which is back by now. */
function goesOn({ phase }) {
  if (runNow !== ended.run) return true;
  const lives = phase === "running" || phase === "pending";
  return performance.now() > ended.at + PAUSE_MS && Boolean(ended.why || (lives && !ended.until));
}

function add({ left, lines }) {
  const atEnd = body.scrollHeight - body.scrollTop - body.clientHeight < 40;
  const made = lines.map((line) => el("p", { "data-err": line.err, "data-gap": line.gap }, el("time", {}, line.at ? timeText(line.at) : ""), el("span", {}, line.text)));
  if (left) made.unshift(el("p", { "data-gap": true }, el("span", {}, `${left} lines came too fast to be shown`)));
  body.append(...made);
  while (body.childElementCount > KEPT) body.firstChild.remove();
  if (atEnd) body.scrollTop = body.scrollHeight;
}
