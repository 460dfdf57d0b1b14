// The strip of entries with the slider over it: one place an entry, the oldest on the left.

import { byId, draw, el, keep, put } from "./make.js";
import { markOf, momentText } from "./words.js";

const WIDTH = 1000;
const HEIGHT = 44;
const MARKS = { step: 12, ok: 22, person: 32, boot: 44, bad: 44 };
const DENSE = 300;
const TICKS = 6;
const SECONDS_TELL_MS = 3_600_000;

const strip = byId("strip");
const slider = byId("slider");
const paths = Object.fromEntries(Object.keys(MARKS).map((mark) => [mark, draw("path", { class: `mark ${mark}` })]));
const ahead = draw("rect", { class: "ahead", y: 0, height: HEIGHT });
strip.append(...Object.values(paths), ahead);

const placeOf = (entries, index) => (entries.length < 2 ? WIDTH / 2 : (index * WIDTH) / (entries.length - 1));

/** Lines from the ground up, as one path for each kind. */
export function lines(entries, height, of = () => true) {
  const found = Object.fromEntries(Object.keys(MARKS).map((mark) => [mark, ""]));
  entries.forEach((entry, index) => {
    if (!of(entry)) return;
    const mark = markOf(entry);
    found[mark] += `M${placeOf(entries, index).toFixed(1)} ${height}v-${((MARKS[mark] * height) / HEIGHT).toFixed(1)}`;
  });
  return found;
}

let drawn = "";

/** Show these entries, with the slider at one of them; `at` null is now. */
export function showTimeline(entries, at) {
  if (!entries.length) return;
  const [first, last] = [entries[0], entries[entries.length - 1]];
  const index = at === null ? entries.length - 1 : Math.min(Math.max(at - first.seq, 0), entries.length - 1);
  if (drawn !== `${first.seq}-${last.seq}`) {
    drawn = `${first.seq}-${last.seq}`;
    for (const [mark, path] of Object.entries(lines(entries, HEIGHT))) paths[mark].setAttribute("d", path);
    strip.parentNode.classList.toggle("dense", entries.length > DENSE);
    slider.min = first.seq;
    slider.max = last.seq;
    showAxis(entries);
  }
  slider.value = entries[index].seq;
  slider.setAttribute("aria-valuetext", `${at === null ? "now, " : ""}entry ${entries[index].seq}, ${momentText(entries[index].at)}, ${entries[index].text}`);
  cover(ahead, entries, at);
}

/** What had not happened yet at a moment is seen through a shade. */
export function cover(shade, entries, at) {
  const from = at === null ? WIDTH : placeOf(entries, Math.max(at - entries[0].seq, 0));
  shade.setAttribute("x", from);
  shade.setAttribute("width", Math.max(0, WIDTH - from));
}

function showAxis(entries) {
  const count = Math.min(TICKS, entries.length);
  const ticks = Array.from({ length: count }, (_, number) => Math.round((number * (entries.length - 1)) / Math.max(1, count - 1)));
  const long = entries[entries.length - 1].at - entries[0].at > SECONDS_TELL_MS;
  keep(byId("axis"), ticks.map((index, place) => ({ place, entry: entries[index] })), (tick) => tick.place, () => el("li"),
    (node, tick) => put(node, momentText(tick.entry.at, long)));
}
