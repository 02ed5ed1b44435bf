// Power at the grid connection: as it was, and right of now as the plan has it.

import { byId } from "../base/dom.js";
import * as format from "../base/format.js";
import { now } from "../base/clock.js";
import { plannedText } from "../plan.js";
import { CONFIG, aheadMark, faded, layout, local, look, nowLine } from "./charts.js";

const USES = [["HPC", "hpc"], ["Mining", "mining"], ["Overhead", "overhead"]];
const MEANS_A_METER = 1e-6; // of grid power: without a meter it is the sum of its uses
const LEAST_PAST = 0.25; // of the hours chosen: measured power has at least this much room beside what is planned

/** `ahead` are the plan's steps from now on, each `{ ms, ... }`, the last one repeated at its end; empty without a plan. */
export function drawPower(observations, hours, ahead) {
  if (!window.Plotly) return;
  const colours = look();
  const at = now();
  const offset = format.offsetMs(at);
  const end = Math.max(at, observations.length ? observations[observations.length - 1].ms : 0);
  const planned = cut(ahead, end + hours * 3_600_000);
  const highest = Math.max(0, ...observations.map((row) => row.limit_kw), ...planned.map((step) => step.limit_kw));
  const [unit, kwEach] = highest < 1000 ? ["kW", 1] : ["MW", 1000];
  byId("power-unit").textContent = unit;
  const x = observations.map((row) => local(row.ms, offset));
  const xAhead = planned.map((step) => local(step.ms, offset));
  const use = ([name, key]) => ({
    x, y: observations.map((row) => row[`${key}_kw`] / kwEach), name, type: "scatter", mode: "lines", stackgroup: "use",
    line: { width: 0.8, color: colours[key] }, fillcolor: faded(colours[key]), hovertemplate: `%{y:.2f} ${unit}`,
  });
  const usePlanned = ([name, key]) => ({
    x: xAhead, y: planned.map((step) => step[`${key}_kw`] / kwEach), name: `${name}, planned`, type: "scatter", mode: "lines",
    stackgroup: "planned", showlegend: false, line: { shape: "hv", width: 0.8, color: faded(colours[key], 0.7) },
    fillcolor: faded(colours[key], 0.22),
    fillpattern: { shape: "/", fillmode: "overlay", size: 7, solidity: 0.12, fgcolor: faded(colours[key], 0.85), bgcolor: faded(colours[key], 0.22) },
    hovertemplate: `%{y:.2f} ${unit}`,
  });
  const cap = (rows, xs, name, more) => ({ x: xs, y: rows.map((row) => row.limit_kw / kwEach), name, type: "scatter", mode: "lines",
    hovertemplate: `%{y:.1f} ${unit}`, ...more });
  const traces = [...USES.map(use), ...byMeter(observations, x, kwEach, unit, colours), cap(observations, x, "Cap", { line: { shape: "hv", width: 2, color: colours.cap } })];
  if (planned.length) {
    traces.push(...USES.map(usePlanned),
      cap(planned, xAhead, "Cap, known ahead", { showlegend: false, line: { shape: "hv", width: 1.5, color: colours.cap, dash: "dash" } }));
  }
  const first = observations.length ? observations[0].ms : end - 60_000;
  const least = planned.length ? hours * 3_600_000 * LEAST_PAST : 600_000;
  const start = Math.max(end - hours * 3_600_000, Math.min(first, end - least));
  const last = planned.length ? planned[planned.length - 1].ms : end;
  const here = local(at, offset);
  window.Plotly.react(byId("power-chart"), traces, layout(colours, {
    margin: { l: 40, r: 12, t: 26, b: 26 },
    shapes: planned.length ? [nowLine(here, colours)] : [],
    annotations: planned.length ? [aheadMark(here, plannedText(), colours)] : [],
    xaxis: { range: [local(start, offset), local(last, offset)] },
    yaxis: { rangemode: "tozero", nticks: 6 },
  }), CONFIG);
}

/** Power by the connection's meter, where it is not what the devices' uses add up to. */
function byMeter(observations, x, kwEach, unit, colours) {
  const differs = (row) => Math.abs(row.grid_kw - USES.reduce((kw, [, key]) => kw + row[`${key}_kw`], 0)) > MEANS_A_METER * row.grid_kw;
  if (!observations.some(differs)) return [];
  return [{ x, y: observations.map((row) => row.grid_kw / kwEach), name: "By the meter", type: "scatter", mode: "lines",
    line: { width: 1.4, color: colours.ink }, hovertemplate: `%{y:.2f} ${unit}` }];
}

/** Steps up to `until`, the last one repeated there if it goes on beyond. */
function cut(ahead, until) {
  const shown = ahead.filter((step) => step.ms < until);
  return shown.length && shown.length < ahead.length ? [...shown, { ...shown[shown.length - 1], ms: until }] : shown;
}
