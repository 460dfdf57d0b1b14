// What the page asks of the machine's memory. Whatever is past never changes, so an answer is asked for once.

const KEPT = 200;
const answers = new Map();

/** A read: `path` is one of the server's closed list. Throws an Error with the machine's own words. */
export async function ask(path, query, signal) {
  const words = new URLSearchParams(query);
  const response = await fetch(`read/${path}?${words}`, { signal, cache: "no-store", credentials: "omit" });
  const data = await response.json();
  if (!response.ok) throw new Error(data.why || "the machine gave no answer");
  return data;
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
