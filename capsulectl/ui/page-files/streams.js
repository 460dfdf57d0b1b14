// A browser has six connections to one server, for all its tabs together, and a stream keeps one for good. So a tab has
// streams only while it is seen.

export const MANY = "is this page open in many windows at once? A browser has six connections for all of them together, and each takes one, two with a log: close some.";

/** Have the stream that `open` makes, an EventSource, whenever the page is seen. Returns what ends that. */
export function whileSeen(open) {
  let source = null;
  const turn = () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else {
      source ??= open();
    }
  };
  document.addEventListener("visibilitychange", turn);
  turn();
  return () => {
    document.removeEventListener("visibilitychange", turn);
    source?.close();
  };
}
