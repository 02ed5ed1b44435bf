// Elements made from text. Nothing that comes from the server is ever parsed as HTML.

export const byId = (id) => document.getElementById(id);

/** An element with attributes (null and false are left out) and children: elements, or text as it is. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "style") Object.assign(made.style, value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Sets an element's text, only where it differs, so that a screen reader does not read it again. */
export function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

/** Calls `work` at most once in `everyMs`; a call in between is made up for at the end of that time. */
export function throttled(everyMs, work) {
  let last = -Infinity;
  let timer = null;
  return () => {
    if (timer !== null) return;
    const wait = Math.max(last + everyMs - performance.now(), 0);
    timer = setTimeout(() => {
      timer = null;
      last = performance.now();
      work();
    }, wait);
  };
}
