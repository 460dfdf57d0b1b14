// What one workload writes: its last lines and those that follow, or, of a moment that is past, the last up to it.

import { byId, el, put } from "./make.js";
import { timeText } from "./words.js";

const KEPT = 2000;
const body = byId("log");
const note = byId("log-note");
let source = null;
let asked = "";

/** Read the log of `name`: of one run of it up to a moment, or (0: the newest, and on). The same again is left as it is. */
export function showLog(name, run, untilMs) {
  const wanted = name && `follow/log?${new URLSearchParams({ name, run, until: untilMs })}`;
  if (wanted === asked) return;
  asked = wanted;
  source?.close();
  body.replaceChildren();
  body.hidden = !name || (untilMs > 0 && !run);
  put(note, !name ? "Choose a workload to read what it writes." : body.hidden ? "It had not run yet." : "");
  if (body.hidden) return;
  const mine = (source = new EventSource(wanted));
  mine.addEventListener("lines", (event) => add(JSON.parse(event.data)));
  mine.addEventListener("end", (event) => {
    mine.close();
    const why = JSON.parse(event.data).why;
    put(note, why || (untilMs ? `These were the last lines of run ${run} up to this moment.` : "It writes no more."));
    if (why) asked = "";
  });
  mine.onopen = () => put(note, "");
  mine.onerror = () => {
    body.replaceChildren();
    put(note, mine.readyState === EventSource.CLOSED ? "There is nothing to read of it." : "It cannot be read now; this is tried again.");
  };
}

function add({ left, lines }) {
  const atEnd = body.scrollHeight - body.scrollTop - body.clientHeight < 40;
  const made = lines.map((line) => el("p", { "data-err": line.err, "data-gap": line.gap }, el("time", {}, timeText(line.at)), el("span", {}, line.text)));
  if (left) made.unshift(el("p", { "data-gap": true }, el("span", {}, `${left} lines came too fast to be shown`)));
  body.append(...made);
  while (body.childElementCount > KEPT) body.firstChild.remove();
  if (atEnd) body.scrollTop = body.scrollHeight;
}
