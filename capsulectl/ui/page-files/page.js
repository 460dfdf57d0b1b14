// The page: the machine as it goes on (`tail`, `live`), and the moment that is shown, which is now or one of the past.

import { showMachine, showMachineThen, showVolumes, showWorkloads } from "./cards.js";
import { showLog } from "./log.js";
import { byId, el, keep, put, say, tell } from "./make.js";
import { ask, forget, recall, remember } from "./memory.js";
import { showEvents, showHints, showMoment } from "./moment.js";
import { MANY, whileSeen } from "./streams.js";
import { showTimeline } from "./timeline.js";
import { clock, many, momentText, phaseText, setClock, span, toneOf } from "./words.js";

const state = {
  tail: [], // the newest entries, as they come; never changed in place, so that a moment can keep those it had
  live: new Map(), // workloads now, by name
  world: null, // what no stream tells
  at: null, // the entry that is asked for, and where the slider stands; null: now
  then: null, // the past that is shown, whole: {seq, at, workloads, volumes, entries that hold seq, said}; null: now
  begun: false, // an address that was kept names a moment
  log: "",
  only: "all",
};

const entries = () => state.then?.entries ?? state.tail;
const holds = (some, seq) => seq !== null && some[0]?.seq <= seq && seq <= some[some.length - 1].seq;
const newest = () => state.tail[state.tail.length - 1]?.seq ?? 0;
const hands = {
  go: (seq) => go(seq),
  log: (name) => {
    state.log = name;
    show();
    byId("log-title").scrollIntoView({ block: "nearest" });
    byId("log").focus();
  },
  only: (name) => {
    state.only = `object:${name}`;
    show();
    byId("only").focus();
  },
};

// --- what is shown ---------------------------------------------------------------------------------------------------

function show() {
  if (!state.world || !entries().length) return;
  const { then } = state;
  const view = { at: then?.seq ?? null, atMs: then?.at ?? null, entries: entries() };
  const workloads = then?.workloads ?? [...state.live.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  byId("main").dataset.then = String(then !== null);
  showHead();
  showTimeline(view.entries, state.at);
  showWorkloads(workloads, view, hands);
  showVolumes(then?.volumes ?? state.world.volumes, view, hands);
  if (!then) showMachine(state.world.info);
  else if (then.said) showMachineThen(then.said);
  showChoices(workloads);
  showEvents(view.entries, view.at, filter(), hands);
  if (!then) showHints(state.tail, hands);
  showLog(state.log, workloads.find((one) => one.name === state.log), then ? then.at + 1 : 0);
}

function showHead() {
  const { info } = state.world;
  document.title = `${info.hostname} · Capsule`;
  put(byId("hostname"), info.hostname);
  put(byId("identity"), [info.shortId, `release ${info.capsuleVersion}`, info.activeSlot || info.mode, info.condition === "ok" ? "" : info.condition].filter(Boolean).join("  ·  "));
  byId("now").setAttribute("aria-pressed", String(state.at === null));
  byId("on").disabled = state.at === null;
  byId("back").disabled = (state.at ?? newest()) <= 1;
  byId("earlier").disabled = entries()[0].seq <= 1;
  put(byId("moment-title"), state.at === null ? "Now" : `Entry ${state.at}`);
  put(byId("moment-text"), whenText());
}

/** When that was, as the entries tell it: no answer of the machine's has to be waited for. */
function whenText() {
  if (state.at === null) return `entry ${newest()}, ${momentText(state.tail[state.tail.length - 1].at)}`;
  const entry = entries().find((one) => one.seq === state.at);
  if (!entry) return "is being read";
  return `${momentText(entry.at)}, ${span(clock() - entry.at)} ago; ${many(newest() - state.at, "entry", "entries")} since`;
}

function filter() {
  if (state.only === "bad") return (entry) => entry.bad;
  if (state.only === "person") return (entry) => entry.person;
  if (state.only.startsWith("object:")) return (entry) => entry.objects.includes(state.only.slice(7));
  return () => true;
}

function showChoices(workloads) {
  const names = workloads.map((one) => one.name);
  const objects = [...new Set([...names, ...(state.only.startsWith("object:") ? [state.only.slice(7)] : [])])].sort();
  const option = (node, [value, text]) => {
    node.value = value;
    put(node, text);
  };
  keep(byId("only"), [["all", "everything"], ["bad", "what went wrong"], ["person", "what people did"], ...objects.map((name) => [`object:${name}`, `only ${name}`])], ([value]) => value, () => el("option"), option);
  byId("only").value = state.only;
  const logs = [...new Set([...names, ...(state.log ? [state.log] : [])])].sort();
  keep(byId("log-of"), [["", "nobody"], ...logs.map((name) => [name, name])], ([value]) => value, () => el("option"), option);
  byId("log-of").value = state.log;
}

// --- going through time ----------------------------------------------------------------------------------------------

const SETTLED_MS = 250;

let details = new AbortController();
let settling = 0;
let looking = false;
let moves = 0;

/** Show the machine as it was after an entry; null, or what is not yet, is now. */
function go(seq) {
  moves += 1;
  const wanted = seq === null || seq > newest() ? null : Math.max(seq, 1);
  if (wanted === state.at) return;
  state.at = wanted;
  address();
  details.abort();
  clearTimeout(settling);
  if (wanted === null) {
    state.then = null;
    trouble("");
    show();
    say("The machine as it is now");
    return;
  }
  showHead();
  showTimeline(entries(), wanted);
  look();
}

/** The address names the moment, so that it can be kept. */
function address() {
  history.replaceState(null, "", state.at === null ? "#" : `#${state.at}`);
}

/** Read the machine as it was: one moment after the other, and of those that went by meanwhile only the last. */
async function look() {
  if (looking) return;
  looking = true;
  while (state.at !== null && state.then?.seq !== state.at) {
    const seq = state.at;
    try {
      const [past, asked] = await Promise.all([recall("machine", { at: seq }), around(seq) ?? recall("entries", { upto: Math.min(seq + 500, newest()) })]);
      const found = around(seq) ?? asked; // the newest may be others by now
      // What the slider went by is shown on its way; an answer that was overtaken leads to no other strip, or from now.
      if (seq !== state.at && !holds(found, state.at)) continue;
      state.then = { ...past, seq, entries: found, said: null };
      trouble("");
      show();
    } catch (error) {
      if (seq !== state.at) continue;
      trouble(`Entry ${seq} cannot be shown: ${error.message}`);
      state.at = state.then?.seq ?? null;
      address();
      show();
    }
  }
  looking = false;
  clearTimeout(settling);
  if (state.at !== null) settling = setTimeout(settle, SETTLED_MS);
}

/** The entries around one, of those that are here: rather those that are shown. */
const around = (seq) => [entries(), state.tail].find((some) => holds(some, seq));

/** Once it stays there: what the entry says and changed, and a word for those who listen. */
async function settle() {
  const { then } = state;
  if (!then || then.seq !== state.at) return;
  const { seq } = then;
  details = new AbortController();
  const { signal } = details;
  const bad = then.workloads.filter((one) => toneOf(one) === "bad").map((one) => `${one.name} ${phaseText(one)}`);
  say(`The machine after entry ${seq}, ${momentText(then.at)}: ${many(then.workloads.length, "workload", "workloads")}${bad.length ? `, in trouble: ${bad.join(", ")}` : ""}`);
  showMoment(seq, newest(), hands, signal);
  const told = await recall("entry", { seq }, signal).catch(() => null);
  if (signal.aborted || !told) return;
  then.said = told.entry;
  show();
}

/** The moment that the address names behind its `#`: null is now, undefined is none at all, but a place in the page. */
function addressed() {
  const found = /^#?(\d{0,15})$/.exec(location.hash);
  return found ? Number(found[1]) || null : undefined;
}
addEventListener("hashchange", () => {
  if (!state.begun) return;
  const seq = addressed();
  if (seq === undefined) address();
  else go(seq);
});

const slider = byId("slider");
slider.addEventListener("input", () => go(entries() === state.tail && Number(slider.value) === newest() ? null : Number(slider.value)));
byId("back").addEventListener("click", () => go((state.at ?? newest()) - 1));
byId("on").addEventListener("click", () => state.at !== null && go(state.at + 1 === newest() + 1 ? null : state.at + 1));
byId("now").addEventListener("click", () => go(null));
byId("earlier").addEventListener("click", () => go(Math.max(1, entries()[0].seq - 1)));
byId("go").addEventListener("submit", async (event) => {
  event.preventDefault();
  const wanted = byId("go-to").value.trim();
  if (!wanted) return;
  const move = (moves += 1);
  try {
    const found = await ask("machine", { at: wanted });
    if (move !== moves) return; // another way was taken meanwhile
    trouble("");
    if (found.seq) remember("machine", { at: found.seq }, found);
    go(wanted === "now" ? null : Math.max(found.seq, 1));
  } catch (error) {
    if (move === moves) trouble(error.message);
  }
});
byId("only").addEventListener("change", (event) => {
  state.only = event.target.value;
  show();
});
byId("log-of").addEventListener("change", (event) => {
  state.log = event.target.value;
  show();
});

// --- the machine as it goes on ---------------------------------------------------------------------------------------

function trouble(text) {
  tell(byId("trouble"), text);
  byId("trouble").hidden = !text;
}

function linked(how, text) {
  byId("link").dataset.state = how;
  put(byId("link-text"), text);
}

const OPENS_MS = 10_000;

const kinds = new Map();
const news = (kind, action) => kinds.set(kind, (event) => {
  action(JSON.parse(event.data));
  show();
});

let wasGone = false;

/** The newest entries are others now. What is looked at goes on with them if they hold it, and else stays as it is. */
function goOn(tail) {
  const { then } = state;
  if (then?.entries === state.tail && holds(tail, then.seq)) then.entries = tail;
  state.tail = tail;
}

news("world", (world) => {
  state.world = world;
  setClock(world.info.localTimeUnix * 1000);
});

news("workloads", ({ all, now, gone }) => {
  if (all) state.live.clear();
  for (const one of now) {
    const before = state.live.get(one.name);
    state.live.set(one.name, one);
    if (!all && state.at === null && before && toneOf(before) !== toneOf(one)) say(`${one.name}: ${phaseText(one)}`);
  }
  for (const name of gone) state.live.delete(name);
});

news("entries", ({ all, window, entries: told }) => {
  if (all) {
    // Who comes back may have another journal than it had; with less in it, what is shown is not its past.
    forget();
    const less = told[told.length - 1].seq < newest();
    goOn(told);
    if (less) go(null);
    linked("live", "live");
    trouble("");
    if (wasGone) say("The machine is back");
    wasGone = false;
    if (!state.begun) go(addressed() ?? null);
    state.begun = true;
  } else {
    goOn([...state.tail, ...told].slice(-window));
  }
});

news("before", (told) => {
  if (told.length && told[told.length - 1].seq + 1 === state.tail[0]?.seq) goOn([...told, ...state.tail]);
});

news("gone", ({ why }) => {
  linked("gone", "not reached");
  trouble(`The machine is not reached: ${why}. What is shown was seen last; it is tried again until it is back.`);
  wasGone = true;
});

whileSeen(() => {
  const live = new EventSource("follow/live");
  const late = setTimeout(() => live.readyState === EventSource.CONNECTING && trouble(`Nothing comes from capsulectl ui: ${MANY}`), OPENS_MS);
  for (const [kind, action] of kinds) live.addEventListener(kind, action);
  live.onopen = () => clearTimeout(late);
  live.onerror = () => {
    clearTimeout(late);
    linked("gone", "ended");
    trouble("capsulectl ui has ended, or cannot be reached: start it again, and open the address that it prints.");
  };
  return live;
});

setInterval(show, 10_000); // ages grow by themselves
