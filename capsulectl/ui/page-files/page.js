// The page: the machine as it goes on (`tail`, `live`), and the moment that is shown, which is now or one of the past.

import { showMachine, showMachineThen, showVolumes, showWorkloads } from "./cards.js";
import { showLog } from "./log.js";
import { byId, el, keep, put, say, tell } from "./make.js";
import { ask, forget, recall, remember } from "./memory.js";
import { showEvents, showHints, showMoment } from "./moment.js";
import { showTimeline } from "./timeline.js";
import { clock, many, momentText, phaseText, setClock, span, toneOf } from "./words.js";

const state = {
  tail: [], // the newest entries, as they come
  pages: null, // older ones, where these are shown instead
  live: new Map(), // workloads now, by name
  world: null, // what no stream tells
  at: null, // the entry that is shown; null: now
  past: null, // the machine then
  said: null, // what the entry says of itself
  begun: false, // an address that was kept names a moment
  log: "",
  only: "all",
};

const entries = () => state.pages ?? state.tail;
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
  const then = state.at !== null && state.past;
  const view = { at: then ? state.past.seq : state.at, atMs: then ? state.past.at : null, entries: entries() };
  const workloads = then ? state.past.workloads : [...state.live.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  byId("main").dataset.then = String(state.at !== null);
  showHead(then);
  showTimeline(entries(), state.at);
  showWorkloads(workloads, view, hands);
  showVolumes(then ? state.past.volumes : state.world.volumes, view, hands);
  if (!then) showMachine(state.world.info);
  else if (state.said?.seq === state.at) showMachineThen(state.said);
  showChoices(workloads);
  showEvents(entries(), state.at, filter(), hands);
  if (state.at === null) showHints(state.tail, hands);
  if (then || state.at === null) showLog(state.log, workloads.find((one) => one.name === state.log), then ? state.past.at + 1 : 0);
}

function showHead(then) {
  const { info } = state.world;
  document.title = `${info.hostname} · Capsule`;
  put(byId("hostname"), info.hostname);
  put(byId("identity"), [info.shortId, `release ${info.capsuleVersion}`, info.activeSlot || info.mode, info.condition === "ok" ? "" : info.condition].filter(Boolean).join("  ·  "));
  byId("now").setAttribute("aria-pressed", String(state.at === null));
  byId("on").disabled = state.at === null;
  byId("back").disabled = (state.at ?? newest()) <= 1;
  byId("earlier").disabled = entries()[0].seq <= 1;
  put(byId("moment-title"), state.at === null ? "Now" : `Entry ${state.at}`);
  const since = newest() - (state.at ?? newest());
  const when = then ? `${momentText(state.past.at)}, ${span(clock() - state.past.at)} ago; ${since} ${since === 1 ? "entry" : "entries"} since` : "";
  put(byId("moment-text"), state.at === null ? `entry ${newest()}, ${momentText(state.tail[state.tail.length - 1].at)}` : when);
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

/** Show the machine as it was after an entry; null, or what is not yet, is now. */
function go(seq) {
  const wanted = seq === null || seq > newest() ? null : Math.max(seq, 1);
  if (wanted === state.at) return;
  state.at = wanted;
  history.replaceState(null, "", wanted === null ? "#" : `#${wanted}`);
  details.abort();
  clearTimeout(settling);
  if (wanted === null) {
    Object.assign(state, { past: null, said: null, pages: null });
    trouble("");
    show();
    say("The machine as it is now");
    return;
  }
  showTimeline(entries(), wanted);
  put(byId("moment-title"), `Entry ${wanted}`);
  look();
}

/** Read the machine as it was: one moment after the other, and of those that went by meanwhile only the last. */
async function look() {
  if (looking) return;
  looking = true;
  while (state.at !== null && state.past?.seq !== state.at) {
    const seq = state.at;
    try {
      const [past] = await Promise.all([recall("machine", { at: seq }), around(seq)]);
      if (state.at === null) break;
      state.past = { ...past, seq };
      trouble("");
      show();
    } catch (error) {
      if (seq !== state.at) continue;
      trouble(`Entry ${seq} cannot be shown: ${error.message}`);
      state.at = state.past?.seq ?? null;
      show();
    }
  }
  looking = false;
  clearTimeout(settling);
  if (state.at !== null) settling = setTimeout(settle, SETTLED_MS);
}

/** Once it stays there: what the entry says and changed, and a word for those who listen. */
async function settle() {
  const seq = state.at;
  if (seq === null || state.past?.seq !== seq) return;
  details = new AbortController();
  const { signal } = details;
  const bad = state.past.workloads.filter((one) => toneOf(one) === "bad").map((one) => `${one.name} ${phaseText(one)}`);
  say(`The machine after entry ${seq}, ${momentText(state.past.at)}: ${many(state.past.workloads.length, "workload", "workloads")}${bad.length ? `, in trouble: ${bad.join(", ")}` : ""}`);
  showMoment(seq, newest(), hands, signal);
  const told = await recall("entry", { seq }, signal).catch(() => null);
  if (signal.aborted || !told) return;
  state.said = told.entry;
  show();
}

/** The entries around one, where these are not shown already. */
async function around(seq) {
  const [first, last] = [entries()[0].seq, entries()[entries().length - 1].seq];
  if (seq >= first && seq <= last) return;
  if (state.tail[0].seq <= seq) state.pages = null;
  else state.pages = await recall("entries", { upto: Math.min(seq + 500, newest()) });
}

/** The moment that the address names, behind its `#`. */
const asAddressed = () => Number(/^#(\d{1,15})$/.exec(location.hash)?.[1]) || null;
addEventListener("hashchange", () => state.begun && go(asAddressed()));

const slider = byId("slider");
slider.addEventListener("input", () => go(state.pages === null && Number(slider.value) === newest() ? null : Number(slider.value)));
byId("back").addEventListener("click", () => go((state.at ?? newest()) - 1));
byId("on").addEventListener("click", () => state.at !== null && go(state.at + 1 === newest() + 1 ? null : state.at + 1));
byId("now").addEventListener("click", () => go(null));
byId("earlier").addEventListener("click", () => go(Math.max(1, entries()[0].seq - 1)));
byId("go").addEventListener("submit", async (event) => {
  event.preventDefault();
  const wanted = byId("go-to").value.trim();
  if (!wanted) return;
  try {
    const found = await ask("machine", { at: wanted });
    trouble("");
    if (found.seq) remember("machine", { at: found.seq }, found);
    go(wanted === "now" ? null : Math.max(found.seq, 1));
  } catch (error) {
    trouble(error.message);
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

const live = new EventSource("follow/live");
const news = (kind, action) => live.addEventListener(kind, (event) => {
  action(JSON.parse(event.data));
  show();
});

let wasGone = false;

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
    if (told[told.length - 1].seq < newest()) Object.assign(state, { at: null, past: null, pages: null });
    state.tail = told;
    linked("live", "live");
    trouble("");
    if (wasGone) say("The machine is back");
    wasGone = false;
    if (!state.begun) go(asAddressed());
    state.begun = true;
  } else {
    state.tail.push(...told);
    const spare = state.tail.length - window;
    if (spare > 0) {
      const first = state.tail[spare].seq;
      // What is looked at stays where it is, as a page of the past; now goes on without it.
      if (state.at !== null && state.at < first) state.pages ??= state.tail.slice(0, window);
      state.tail.splice(0, spare);
    }
  }
});

news("before", (told) => {
  if (told.length && told[told.length - 1].seq + 1 === state.tail[0]?.seq) state.tail.unshift(...told);
});

news("gone", ({ why }) => {
  linked("gone", "not reached");
  trouble(`The machine is not reached: ${why}. What is shown was seen last; it is tried again until it is back.`);
  wasGone = true;
});

live.onerror = () => {
  linked("gone", "ended");
  trouble("capsulectl ui has ended, or cannot be reached: start it again, and open the address that it prints.");
};

setInterval(show, 10_000); // ages grow by themselves
