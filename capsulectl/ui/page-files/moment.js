// The entry at the moment that is shown: what it says, what it changed, what is different since; and the list of events.

import { byId, el, keep, put } from "./make.js";
import { entryButton } from "./cards.js";
import { ask, recall } from "./memory.js";
import { many, markOf, momentText, timeText } from "./words.js";

const SHOWN = 150;
const TREE = 12;
const BEFORE = 5;

/** Events up to the moment, the newest first; `only` says which. */
export function showEvents(entries, at, only, hands) {
  const found = [];
  for (let index = entries.length - 1; index >= 0 && found.length < SHOWN; index -= 1) {
    if ((at === null || entries[index].seq <= at) && only(entries[index])) found.push(entries[index]);
  }
  byId("no-events").hidden = found.length > 0;
  byId("events").hidden = found.length === 0;
  keep(byId("events"), found, (entry) => entry.seq, (entry) => el("li", { "data-mark": markOf(entry) },
    entryButton(entry, hands), el("time", { datetime: new Date(entry.at).toISOString(), title: momentText(entry.at) }, timeText(entry.at)),
    el("span", { class: "what" }, entry.text, el("span", { class: "soft who" }, ` ${entry.who}`))),
  (node, entry) => {
    if (entry.seq === at) node.setAttribute("aria-current", "true");
    else node.removeAttribute("aria-current");
  });
}

/** While now is shown: where a look may be worth it. */
export function showHints(entries, hands) {
  const last = (of) => entries.findLast(of);
  const rows = [
    ["The last trouble", last((entry) => entry.bad)],
    ["The last that a person did", last((entry) => entry.person && !entry.bad)],
    ["The last start of the daemon", last((entry) => entry.type === "daemon.started")],
  ].filter(([, entry]) => entry);
  const trouble = entries.filter((entry) => entry.bad).length;
  const body = byId("moment");
  put(byId("moment-heading"), "Now");
  const shown = rows.map(([, entry]) => entry.seq).join();
  if (body.dataset.shown === `now ${shown} ${trouble}`) return;
  body.dataset.shown = `now ${shown} ${trouble}`;
  body.replaceChildren(
    el("p", {}, `Move the slider, or choose an entry: everything here then shows the machine as it was. Of the newest ${many(entries.length, "entry", "entries")} ${many(trouble, "tells", "tell")} of trouble.`),
    el("ul", { class: "hints" }, rows.map(([name, entry]) => el("li", {}, el("span", { class: "soft" }, name), entryButton(entry, hands),
      el("span", {}, entry.text), el("span", { class: "soft" }, momentText(entry.at))))),
  );
}

/** The entry itself. Three reads, each shown as it comes; `newest` is now's number. */
export async function showMoment(seq, newest, hands, signal) {
  const body = byId("moment");
  put(byId("moment-heading"), `Entry ${seq}`);
  const [said, changed, since] = [el("div"), el("div"), el("div")];
  const fill = async (place, reading, parts) => {
    try {
      place.replaceChildren(...parts(await reading));
    } catch (error) {
      if (error.name !== "AbortError") place.replaceChildren(el("p", { class: "soft" }, error.message));
    }
  };
  const readings = [
    fill(said, ask("entry", { seq }, signal), (told) => entryParts(told, hands)), // what came of it may still grow
    fill(changed, recall("changes", { before: seq - 1, after: seq }, signal), (told) => [
      el("h3", {}, "What it changed"), ...changeParts(told, "Nothing of what is declared, or of how anything stands."),
    ]),
    fill(since, ask("changes", { before: seq, after: 0 }, signal), (told) => [
      el("details", {}, el("summary", {}, seq === newest ? "This is now" : `Since then: ${many(told.length, "difference", "differences")} to now`), ...changeParts(told, "Nothing is different.")),
    ]),
  ];
  await Promise.allSettled(readings);
  if (signal.aborted) return;
  body.dataset.shown = `entry ${seq}`;
  const opened = [...body.querySelectorAll("details")].map((one) => one.open);
  body.replaceChildren(said, changed, since);
  body.querySelectorAll("details").forEach((one, place) => { one.open = opened[place] ?? false; });
}

function entryParts({ entry, tree }, hands) {
  const place = Math.max(0, tree.findIndex((node) => node.seq === entry.seq) - BEFORE);
  const near = tree.slice(place, place + TREE);
  const left = tree.length - near.length;
  return [
    el("p", { class: "says", "data-mark": markOf(entry) }, entry.text),
    el("p", { class: "soft" }, `${entry.type} · ${entry.who} · ${momentText(entry.at)}`),
    tree.length > 1 ? el("h3", {}, "What led to it, and what came of it") : "",
    tree.length > 1 ? el("ol", { class: "tree" }, near.map((node) => {
      const item = el("li", { "data-mark": markOf(node), "aria-current": node.seq === entry.seq ? "true" : null }, entryButton(node, hands), el("span", {}, node.text));
      item.style.setProperty("--depth", String(Math.min(node.depth - near[0].depth, 8)));
      return item;
    })) : "",
    left ? el("p", { class: "soft" }, `${many(left, "entry", "entries")} more: `, el("code", {}, `capsulectl history show ${entry.seq}`)) : "",
    el("details", {}, el("summary", {}, "All that it says"), el("pre", { tabindex: "0" }, entry.body.join("\n")),
      el("p", { class: "soft hash" }, `hash ${entry.hash}`)),
  ].filter((one) => one !== "");
}

const SIGNS = { add: ["+", "added"], remove: ["−", "removed"], change: ["~", "changed"] };

function changeParts(changes, nothing) {
  if (!changes.length) return [el("p", { class: "soft" }, nothing)];
  const named = Map.groupBy ? Map.groupBy(changes, (one) => one.name) : grouped(changes);
  return [...named].map(([name, some]) => el("div", { class: "changed" }, el("h4", {}, name), el("ul", {}, some.map((one) => {
    const [sign, word] = SIGNS[one.op] ?? SIGNS.change;
    const values = { add: one.new, remove: one.old }[one.op] ?? `${one.old} → ${one.new}`;
    return el("li", { "data-op": one.op }, el("span", { "aria-hidden": "true", class: "sign" }, sign), el("span", { class: "unseen" }, `${word}: `),
      el("code", {}, one.path), " ", el("span", { class: "values" }, values), one.path === "uid" ? " (another one under this name)" : "");
  }))));
}

function grouped(changes) {
  const found = new Map();
  for (const one of changes) found.set(one.name, [...(found.get(one.name) ?? []), one]);
  return found;
}
