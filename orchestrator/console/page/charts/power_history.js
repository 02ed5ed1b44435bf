// Power over the window shown: fetched once, then carried on by the events.

import { get } from "../base/api.js";
import { byId, throttled } from "../base/dom.js";
import { now } from "../base/clock.js";
import { stepsAhead } from "../plan.js";
import { drawPower } from "./power_chart.js";

const MOST_POINTS = 1200;
let hours = 24;
let points = [];

export const redrawPower = throttled(700, () => drawPower(points, hours, stepsAhead()));

export async function loadHistory() {
  const from = new Date(now() - hours * 3_600_000).toISOString();
  const document = await get(`observations?points=600&from=${encodeURIComponent(from)}`);
  points = document.observations.map((row) => ({ ...row, ms: Date.parse(row.at) }));
  redrawPower();
}

/** Adds what a state event saw. */
export function addToHistory(observed) {
  const ms = Date.parse(observed.at);
  if (points.length && ms <= points[points.length - 1].ms) return;
  points.push({ ms, grid_kw: observed.grid.power_kw, mining_kw: observed.mining_kw, hpc_kw: observed.hpc_kw, overhead_kw: observed.overhead_kw, limit_kw: observed.grid.limit_kw });
  const start = now() - hours * 3_600_000;
  points = points.filter((point) => point.ms >= start);
  if (points.length > MOST_POINTS) loadHistory().catch(() => {}); // thinned out by the server; the next event shows what is wrong
  redrawPower();
}

export function startHistory(onError) {
  byId("window").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    hours = Number(button.dataset.hours);
    for (const each of byId("window").children) each.setAttribute("aria-pressed", String(each === button));
    loadHistory().catch(onError);
  });
}
