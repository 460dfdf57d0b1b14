// What the page asks of the machine's memory. Whatever is past never changes, so an answer is asked for once.

import { MANY } from "./streams.js";

const KEPT = 200;
const BOUND_MS = 65_000; // a little longer than the machine may take
const answers = new Map();

/** A read: `path` is one of the server's closed list. Throws an Error with the machine's own words. */
export async function ask(path, query, given) {
  const words = new URLSearchParams(query);
  const bound = AbortSignal.timeout(BOUND_MS);
  const signal = given ? AbortSignal.any([given, bound]) : bound;
  try {
    const response = await fetch(`read/${path}?${words}`, { signal, cache: "no-store", credentials: "omit" });
    const data = await response.json();
    if (!response.ok) throw new Error(data.why || "the machine gave no answer");
    return data;
  } catch (error) {
    throw bound.aborted && !given?.aborted ? new Error(`no answer came within ${BOUND_MS / 1000} s: ${MANY}`) : error;
  }
}

/** The same for what cannot change any more. */
export async function recall(path, query, signal) {
  const key = `${path}?${new URLSearchParams(query)}`;
  if (answers.has(key)) return answers.get(key);
  const data = await ask(path, query, signal);
  remember(path, query, data);
  return data;
}

/** What is known by another way need not be asked. */
export function remember(path, query, data) {
  answers.set(`${path}?${new URLSearchParams(query)}`, data);
  if (answers.size > KEPT) answers.delete(answers.keys().next().value);
}

/** Another journal may stand there now: nothing that was answered counts. */
export function forget() {
  answers.clear();
}
