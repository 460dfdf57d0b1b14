// Moments, spans and sizes in words, and which tone a thing has.

let skew = 0;

/** The machine's clock counts, not this one's. */
export function setClock(machineMs) {
  skew = machineMs - Date.now();
}

export const clock = () => Date.now() + skew;

const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const short = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export const timeText = (ms) => time.format(ms);

/** A moment; its day only when it is not today's. */
export function momentText(ms, brief = false) {
  const clockText = (brief ? short : time).format(ms);
  return day.format(ms) === day.format(clock()) ? clockText : `${day.format(ms)}, ${clockText}`;
}

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** A span in its largest unit. */
export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [unit, size] = UNITS.find(([, one]) => seconds >= one) ?? ["s", 1];
  return `${Math.floor(seconds / size)} ${unit}`;
}

/** A size as the command line says it. */
export function bytes(count) {
  let value = count;
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (value < 1024 || unit === "TiB") return `${value < 10 && unit !== "B" ? value.toFixed(1) : Math.round(value)} ${unit}`;
    value /= 1024;
  }
}

export const many = (count, one, more) => `${count} ${count === 1 ? one : more}`;

/** How a workload is, in one word for its colour. */
export function toneOf(workload) {
  if (workload.detail === "unhealthy" || workload.phase === "failed") return "bad";
  if (["crash-loop", "backoff", "gave-up", "retrying"].includes(workload.detail)) return "bad";
  return { running: "ok", pending: "wait", stopped: "rest" }[workload.phase] ?? "rest";
}

/** Running (unhealthy): the phase, and what is behind it where that says more. */
export function phaseText(workload) {
  const word = workload.phase[0].toUpperCase() + workload.phase.slice(1);
  return !workload.detail || workload.detail === workload.phase ? word : `${word} · ${workload.detail}`;
}

/** How a volume is. */
export function volumeTone(volume) {
  if (["lost", "read-only"].includes(volume.phase)) return "bad";
  if (["making", "growing", "restoring", "deleting"].includes(volume.phase)) return "wait";
  return volume.phase === "in-use" ? "ok" : "rest";
}

/** What an entry tells of: trouble, a person's wish, a start, a boot, or a step between. */
export function markOf(entry) {
  if (entry.bad) return "bad";
  if (entry.type.startsWith("daemon.") || entry.type.startsWith("boot.")) return "boot";
  if (entry.person) return "person";
  if (["workload.started", "workload.adopted", "image.pulled"].includes(entry.type)) return "ok";
  return "step";
}
