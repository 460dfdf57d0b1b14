// What there is at the moment that is shown: workloads, volumes, the machine and its slots.

import { byId, calmly, draw, el, keep, put, sentence, tell } from "./make.js";
import { ask, recall } from "./memory.js";
import { cover, lines } from "./timeline.js";
import { bytes, clock, many, momentText, phaseText, span, toneOf, volumeTone } from "./words.js";

const LANE = 10;
const parts = new WeakMap();

/** The workloads. `view`: {at, atMs, entries}; `hands`: what a press leads to. */
export function showWorkloads(workloads, view, hands) {
  const tones = workloads.map(toneOf);
  const told = [["ok", "running"], ["wait", "pending"], ["bad", "in trouble"], ["rest", "stopped"]]
    .map(([tone, word]) => [tones.filter((one) => one === tone).length, word])
    .filter(([count]) => count)
    .map(([count, word]) => `${count} ${word}`);
  put(byId("workloads-count"), told.join(" · "));
  none(byId("no-workloads"), workloads.length, view.at === null
    ? "None yet: `capsulectl apply -f FILE` declares one." : "There was none at this moment.");
  keep(byId("workloads"), workloads, (one) => `${one.name}/${one.uid}`, (one) => makeWorkload(one, hands),
    (node, one) => updateWorkload(node, one, view, hands));
}

function none(node, count, text) {
  node.hidden = count > 0;
  tell(node, text);
}

/** A card whose name opens it. `found` is what is kept of it; `open` fills what is below its fold. */
function makeCard(item, found, above, below, hands) {
  const more = el("div", { class: "more", id: `more-${found.kind}-${item.uid}`, hidden: true }, below);
  const name = el("button", {
    type: "button", class: "name", "aria-expanded": "false", "aria-controls": more.id,
    onclick: () => {
      more.hidden = !more.hidden;
      name.setAttribute("aria-expanded", String(!more.hidden));
      if (!more.hidden) found.open(found, hands);
    },
  }, item.name);
  Object.assign(found, { more, phase: el("span", { class: "phase" }) });
  const card = el("li", { class: "card" }, el("div", { class: "head" }, el("h3", {}, name), found.phase), above, more);
  parts.set(card, found);
  return card;
}

/** Another moment, or another state of it: what is open is told anew. `of` says what its explanation goes by. */
function moved(made, item, view, hands, of = (one) => one) {
  const same = made.view?.at === view.at && JSON.stringify(of(made.shown)) === JSON.stringify(of(item));
  Object.assign(made, { shown: item, view });
  if (!same && !made.more.hidden) made.open(made, hands);
}

function makeWorkload(workload, hands) {
  const found = {
    kind: "workload", open: openWorkload,
    sub: el("p", { class: "sub" }),
    message: el("p", { class: "message" }),
    lane: draw("svg", { class: "lane", viewBox: `0 0 1000 ${LANE}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }),
    shade: draw("rect", { class: "ahead", y: -2, height: LANE + 4 }), paths: {},
    why: el("div", { class: "why" }), facts: el("dl", { class: "facts" }), conditions: el("ul", { class: "conditions" }),
    declared: el("pre", { tabindex: "0" }),
  };
  return makeCard(workload, found, [found.sub, found.message, found.lane], [
    found.why, found.facts, found.conditions, el("details", {}, el("summary", {}, "Declared"), found.declared),
    el("p", { class: "hands" }, el("button", { type: "button", onclick: () => hands.log(workload.name) }, "Read its log"),
      el("button", { type: "button", onclick: () => hands.only(workload.name) }, "Only its events")),
  ], hands);
}

function updateWorkload(card, workload, view, hands) {
  const made = parts.get(card);
  const tone = toneOf(workload);
  card.dataset.tone = tone;
  put(made.phase, phaseText(workload));
  put(made.sub, [workload.kind === "Container" ? "" : workload.kind, workload.image, workload.ports, sinceText(workload, view.atMs ?? clock())].filter(Boolean).join("  ·  "));
  const message = workload.message || (workload.lastEnd && tone !== "ok" ? `before: ${workload.lastEnd}` : "");
  tell(made.message, message);
  made.message.hidden = !message;
  updateLane(made, workload.name, view.entries);
  cover(made.shade, view.entries, view.at);
  moved(made, workload, view, hands);
}

function sinceText(workload, nowMs) {
  if (workload.phase === "running" && workload.startedAt) return `for ${span(nowMs - workload.startedAt)}`;
  if (workload.retryAt > nowMs) return `next try in ${span(workload.retryAt - nowMs)}`;
  return workload.finishedAt ? `ended ${span(nowMs - workload.finishedAt)} ago` : "";
}

/** Its own entries, on the same scale as the strip's. */
function updateLane(made, name, entries) {
  const drawn = entries.length ? `${entries[0].seq}-${entries[entries.length - 1].seq}` : "";
  if (made.drawn === drawn) return;
  made.drawn = drawn;
  for (const [mark, path] of Object.entries(lines(entries, LANE, (entry) => entry.objects.includes(name)))) {
    made.paths[mark] ??= made.lane.appendChild(draw("path", { class: `mark ${mark}` }));
    made.paths[mark].setAttribute("d", path);
  }
  made.lane.append(made.shade);
}

function openWorkload(made, hands) {
  const workload = made.shown;
  facts(made.facts, [
    ["Wanted", workload.desired + (workload.dependsOn.length ? `, after ${workload.dependsOn.join(", ")}` : "")],
    ["Run", workload.run ? `${workload.run}${workload.pid ? `, pid ${workload.pid}` : ""}` : "none yet"],
    ["Restarts", workload.restarts ? String(workload.restarts) : ""],
    ["Run before", workload.lastEnd],
    ["Health", workload.health],
    ["Address", workload.address && `${workload.address} (${workload.network})`],
    ["Volumes", workload.mounts.join(", ")],
    ["Labels", Object.entries(workload.labels).map(([key, value]) => `${key}=${value}`).join(", ")],
    ["Image", workload.digest.slice(0, 19)],
  ]);
  keep(made.conditions, workload.conditions.filter((one) => !one.met), (one) => one.type, () => el("li"),
    (node, one) => tell(node, `Not ${one.type.toLowerCase()}: ${one.message || one.reason}`));
  made.conditions.hidden = workload.conditions.every((one) => one.met);
  put(made.declared, workload.declared.join("\n"));
  openWhy(made, hands);
}

/** Asked of the machine no oftener than can be read. */
function openWhy(made, hands) {
  made.explain ??= calmly(700, () => explain(made, hands));
  made.explain();
}

async function explain(made, hands) {
  const { name, uid } = made.shown;
  const { at } = made.view;
  const query = { name: `${made.kind}/${name}`, at: at ?? 0 };
  try {
    const told = at === null ? await ask("why", query) : await recall("why", query);
    if (made.shown.uid !== uid || made.view.at !== at) return;
    made.why.replaceChildren(...whyParts(told, hands, made.view.atMs ?? clock()));
  } catch (error) {
    made.why.replaceChildren(el("p", { class: "conclusion" }, error.message));
  }
}

/** The sentence, the chain of entries that led there, and what to try; below it what it waits for. */
function whyParts(told, hands, nowMs) {
  return [
    el("p", { class: "conclusion" }, sentence(told.conclusion)),
    told.retryAt > nowMs ? el("p", { class: "soft" }, `Next try in ${span(told.retryAt - nowMs)}.`) : null,
    el("ol", { class: "chain" }, told.chain.map((link) => el("li", {},
      entryButton(link, hands), el("span", { class: "chain-text" }, link.text,
        link.alike ? el("span", { class: "soft" }, ` (and ${link.alike} like it before)`) : null,
        el("span", { class: "soft" }, ` ${link.who}`))))),
    told.advice ? el("p", { class: "advice" }, el("strong", {}, "Try: "), sentence(told.advice)) : null,
    ...told.others.map((other) => el("div", { class: "other" }, el("p", { class: "soft" }, `${other.kind} ${other.name}`), whyParts(other, hands, nowMs))),
  ].filter((one) => one !== null);
}

/** A press leads to the machine as it was after the entry. */
export function entryButton(entry, hands) {
  return el("button", {
    type: "button", class: "entry", title: momentText(entry.at), "aria-label": `Show entry ${entry.seq}, ${momentText(entry.at)}`,
    onclick: () => hands.go(entry.seq),
  }, String(entry.seq));
}

/** Names and values; what is empty is left out. */
export function facts(list, pairs) {
  keep(list, pairs.filter(([, value]) => value), ([name]) => name, ([name]) => el("div", {}, el("dt", {}, name), el("dd")),
    (node, [, value]) => tell(node.lastChild, value));
}

/** The volumes, in the same way. */
export function showVolumes(volumes, view, hands) {
  put(byId("volumes-count"), volumes.length ? String(volumes.length) : "");
  none(byId("no-volumes"), volumes.length, view.at === null ? "None: `capsulectl volume create NAME SIZE` makes one." : "There was none at this moment.");
  keep(byId("volumes"), volumes, (one) => `${one.name}/${one.uid}`, (one) => makeVolume(one, hands), (node, one) => updateVolume(node, one, view, hands));
}

function makeVolume(volume, hands) {
  const bar = el("div", { class: "bar" }, el("span"));
  const found = { kind: "volume", open: openWhy, shots: el("p", { class: "sub" }), sub: el("p", { class: "sub" }), bar, why: el("div", { class: "why" }) };
  return makeCard(volume, found, [found.sub, bar, found.shots], [found.why], hands);
}

function updateVolume(card, volume, view, hands) {
  const made = parts.get(card);
  card.dataset.tone = volumeTone(volume);
  put(made.phase, volume.phase);
  const used = volume.total ? `${bytes(volume.used)} used of ${bytes(volume.total)}` : bytes(volume.size);
  put(made.sub, [used, volume.mountedBy.length ? `for ${volume.mountedBy.join(", ")}` : "nobody's", volume.message].filter(Boolean).join("  ·  "));
  made.bar.hidden = !volume.total;
  made.bar.firstChild.style.width = `${volume.total ? Math.round((volume.used / volume.total) * 100) : 0}%`;
  made.shots.hidden = !volume.snapshots.length;
  put(made.shots, volume.snapshots.length ? `${many(volume.snapshots.length, "snapshot", "snapshots")}: ${volume.snapshots.map((shot) => shot.name).join(", ")}` : "");
  moved(made, volume, view, hands, ({ phase, message, mountedBy, holder, snapshots }) => [phase, message, mountedBy, holder, snapshots]);
}

/** The machine, and what it says of its slots. */
export function showMachine(info) {
  showSlots([
    [info.activeSlot, `runs release ${info.capsuleVersion}${info.lastVersion ? `; before it ${info.lastVersion}` : ""}`],
    [info.pendingSlot, `tentative: confirmed within ${span((info.pendingDeadlineUnix - info.localTimeUnix) * 1000)}, or back to ${info.activeSlot}`],
  ], info.mode === "hosted" ? "Hosted on another system: it has no slots to switch between." : "It says nothing of its slots.");
  const memory = info.memoryTotalBytes - info.memoryAvailableBytes;
  facts(byId("machine"), [
    ["Release", `${info.capsuleVersion}, ${info.mode}`],
    ["Condition", info.condition + (info.conditionMessage ? `: ${info.conditionMessage}` : "")],
    ["Processor", `${info.cpuCores} × ${info.cpuModel}`],
    ["Memory", `${bytes(memory)} of ${bytes(info.memoryTotalBytes)} in use`],
    ["State", `${bytes(info.permUsedBytes)} of ${bytes(info.permTotalBytes)} in use on its disk`],
    ["MicroVMs", info.microvmBackend ? `${info.microvmBackend} with ${info.microvmAccelerator.toUpperCase()}` : info.microvmLacks && `none: ${info.microvmLacks}`],
    ["Network", [info.bridge, info.subnet].filter(Boolean).join(", ")],
    ["Journal", `entry ${info.journalSeq}, ${bytes(info.journalSizeBytes)}`],
    ["Up", span(info.uptimeSeconds * 1000)],
  ]);
  showWarnings(info.warnings);
}

/** What an entry tells of the machine that wrote it; all else only the world knew then. */
export function showMachineThen(entry) {
  showSlots([[entry.slot, `ran release ${entry.release}`]], "It was hosted on another system, and had no slots.");
  facts(byId("machine"), [
    ["Release", entry.release],
    ["Boot", `${entry.boot.slice(0, 8)}, ${span(entry.bootSeconds * 1000)} after its beginning`],
  ]);
  showWarnings([]);
}

function showSlots(slots, otherwise) {
  const there = slots.filter(([name]) => name);
  keep(byId("slots"), there, ([name]) => name, () => el("li", { class: "slot" }, el("strong"), el("span")), (node, [name, text]) => {
    node.dataset.pending = String(text.startsWith("tentative"));
    put(node.firstChild, name);
    put(node.lastChild, text);
  });
  none(byId("slots-note"), there.length, otherwise);
}

function showWarnings(warnings) {
  keep(byId("warnings"), warnings, (one) => one, () => el("li"), (node, one) => tell(node, one));
}
