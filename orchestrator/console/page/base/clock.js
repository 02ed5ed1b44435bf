// Site time, kept going between events, and whether what is shown is still true.

import { byId, setText } from "./dom.js";
import * as format from "./format.js";

let origin = null; // { site: ms, wall: ms, speed, end: ms or null, tickMs }
let connected = false;
let lostAt = null;
let heardAt = null;

/** Site time now, ms since 1970. */
export function now() {
  if (origin === null) return Date.now();
  const moved = (performance.now() - origin.wall) * origin.speed;
  return origin.end === null ? origin.site + moved : Math.min(origin.site + moved, Math.max(origin.end, origin.site));
}

export function setClock(clock) {
  format.setZone(clock.timezone);
  origin = {
    site: Date.parse(clock.now),
    wall: performance.now(),
    speed: clock.speed,
    end: clock.day_end ? Date.parse(clock.day_end) : null,
    tickMs: clock.tick_seconds * 1000,
  };
  heardAt = performance.now();
  const badge = byId("simulated");
  badge.hidden = !clock.simulated;
  badge.textContent = `simulated time, ${format.number(clock.speed)}×`;
}

export const speed = () => (origin ? origin.speed : 1);

export function setConnected(state) {
  if (connected && !state) lostAt = new Date();
  connected = state;
  if (state) lostAt = null;
  draw();
}

/** `connecting`, `live`, `lost` (no connection) or `silent` (connected, but nothing new for three ticks and 8 s). */
function linkState() {
  if (heardAt === null) return "connecting";
  if (!connected) return "lost";
  const allowed = (3 * origin.tickMs) / origin.speed + 8000;
  return performance.now() - heardAt > allowed ? "silent" : "live";
}

function draw() {
  const state = linkState();
  const link = byId("link");
  link.dataset.state = state;
  document.body.dataset.link = state;
  const since = lostAt ? ` since ${format.wallClock(lostAt)}` : "";
  setText("link", { connecting: "Connecting", live: "Live", lost: `Disconnected${since}`, silent: "No news" }[state]);
  if (origin === null) return;
  const stopped = state === "lost" || state === "silent";
  const at = stopped ? origin.site : now();
  setText("clock", format.clock(at));
  byId("clock").dateTime = new Date(at).toISOString();
  setText("clock-day", `${format.day(at)}, ${format.offsetName(at)}`);
}

export function startClock() {
  setInterval(draw, 250);
}

/** What the alert bar says of the connection; null while all is well. */
export function linkAlert() {
  const state = linkState();
  if (state !== "lost" && state !== "silent") return null;
  const what = state === "lost" ? "Disconnected." : "The controller sends nothing new.";
  const seen = format.clock(origin.site);
  return { level: "bad", title: what, text: `All figures are as of ${seen} site time. Trying again by itself.` };
}
