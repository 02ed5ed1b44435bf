// Asks the API. Where the site wants a key, it is asked for once and kept in this tab.

import { byId } from "./dom.js";

const KEY = "wattshift-key";
let asked = null;

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `the server answered ${status}`);
    this.status = status;
  }
}

export function authorization() {
  const key = sessionStorage.getItem(KEY);
  // A header holds bytes: a key beyond ASCII goes as its UTF-8 bytes.
  return key ? { Authorization: `Bearer ${String.fromCharCode(...new TextEncoder().encode(key))}` } : {};
}

/** The answer, after asking for the key where one is needed. */
export async function ask(path, options = {}) {
  for (;;) {
    const answer = await fetch(path, { ...options, headers: { ...options.headers, ...authorization() } });
    if (answer.status !== 401) return answer;
    await askForKey();
  }
}

async function read(path, options) {
  const answer = await ask(`/api/v1/${path}`, options);
  const document = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Refused(answer.status, document);
  return document;
}

export const get = (path) => read(path);
export const remove = (path) => read(path, { method: "DELETE" });
export const post = (path, document) =>
  read(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(document) });

/** Resolves when a key was typed in; one dialog for all who wait. */
function askForKey() {
  if (asked === null) {
    asked = new Promise((resolve) => {
      const dialog = byId("key");
      const form = byId("key-form");
      byId("key-error").textContent = sessionStorage.getItem(KEY) ? "That key was not accepted." : "";
      form.onsubmit = (event) => {
        event.preventDefault();
        if (!form.elements.key.value) return;
        sessionStorage.setItem(KEY, form.elements.key.value.trim());
        form.reset();
        dialog.close();
        resolve();
      };
      dialog.oncancel = (event) => event.preventDefault();
      if (!dialog.open) dialog.showModal();
    }).finally(() => { asked = null; });
  }
  return asked;
}
