// The event stream, read through fetch so that the key can go with it. Reconnects by itself.

import { ask } from "./api.js";

const SILENCE_MS = 40_000; // the server sends a comment every 15 s
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

/** Calls `onEvent(name, data)` for each event and `onLink(connected)` when the connection comes and goes. */
export async function listen(onEvent, onLink) {
  let wait = FIRST_WAIT_MS;
  for (;;) {
    try {
      await readOnce((name, data) => {
        wait = FIRST_WAIT_MS;
        onEvent(name, data);
      }, onLink);
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof TypeError)) console.warn("event stream:", error.message);
    }
    onLink(false);
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  }
}

async function readOnce(onEvent, onLink) {
  const abort = new AbortController();
  let silence = setTimeout(() => abort.abort(), SILENCE_MS);
  try {
    const answer = await ask("/api/v1/events", { signal: abort.signal, headers: { Accept: "text/event-stream" } });
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    onLink(true);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), SILENCE_MS);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      blocks.forEach((block) => dispatch(block, onEvent));
    }
  } finally {
    clearTimeout(silence);
  }
}

function dispatch(block, onEvent) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  if (data.length) onEvent(name, JSON.parse(data.join("\n")));
}
