// Elements from data. Text goes in as text, always: nothing on this page reads a string as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `on…` are listeners, `class` and all else attributes; what is null or false is left out. */
export function el(tag, given = {}, ...children) {
  return filled(document.createElement(tag), given, children);
}

/** The same, of a drawing. */
export function draw(tag, given = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), given, children);
}

function filled(node, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((one) => one !== null && one !== undefined && one !== ""));
  return node;
}

/** Put a text in place; what is there already is left alone, so that a selection in it stays. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A sentence; what stands in it between backquotes is a command. */
export function sentence(text) {
  return text.split("`").map((part, place) => (place % 2 ? el("code", {}, part) : part));
}

const told = new WeakMap();

/** Put a sentence in place, as `put` does a text. */
export function tell(node, text) {
  if (told.get(node) === text) return;
  told.set(node, text);
  node.replaceChildren(...sentence(text));
}

export const byId = (id) => document.getElementById(id);

const kept = new WeakMap();

/** Children for items, one each, known by their keys: those that stay are updated in place and keep their focus. */
export function keep(parent, items, keyOf, make, update) {
  const before = kept.get(parent) ?? new Map();
  const now = new Map();
  let place = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    const node = before.get(key) ?? make(item);
    now.set(key, node);
    update(node, item);
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
  for (const [key, node] of before) if (!now.has(key)) node.remove();
  kept.set(parent, now);
}

/** Call at most every so many milliseconds: at once, and once more at the end. */
export function calmly(pause, action) {
  let timer = 0;
  let again = false;
  const run = () => {
    timer = 0;
    if (!again) return;
    again = false;
    timer = setTimeout(run, pause);
    action();
  };
  return () => {
    again = true;
    if (!timer) {
      again = false;
      timer = setTimeout(run, pause);
      action();
    }
  };
}

/** Tell those who listen to the page rather than look at it. */
export function say(text) {
  put(byId("say"), text);
}
