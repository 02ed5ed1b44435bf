// The price of the last 24 hours and of the next: real-time, day-ahead, and what the plan expects with its spread.

import { byId } from "../base/dom.js";
import * as format from "../base/format.js";
import { now } from "../base/clock.js";
import { CONFIG, faded, layout, local, look, nowLine } from "./charts.js";

const BEND = 40; // USD/MWh up to which the price scale is nearly linear
const TICKS = [-5000, -1000, -250, -100, -40, 0, 40, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000];
const DAY_MS = 24 * 3_600_000;

const bend = (price) => Math.asinh(price / BEND);

/** `ahead` are the plan's steps from now on, each `{ ms, ... }`, the last one repeated at its end; empty without a plan. */
export function drawPrices(prices, fleets, ahead) {
  if (!window.Plotly) return;
  const colours = look();
  const at = now();
  const offset = format.offsetMs(at);
  const real = stepped(prices.real_time, offset);
  const dayAhead = stepped(prices.day_ahead, offset);
  const breakEven = fleets.map((fleet) => fleet.break_even_usd_per_mwh).sort((a, b) => a - b);
  const values = [...real.values, ...dayAhead.values].filter((value) => value !== null);
  const shown = [...values, ...breakEven, 0, ...ahead.flatMap((step) => [step.low_usd_per_mwh, step.high_usd_per_mwh])];
  const low = shown.reduce((least, value) => Math.min(least, value));
  const high = shown.reduce((most, value) => Math.max(most, value), 60);
  const ticks = TICKS.filter((tick) => tick >= low * 1.05 - 5 && tick <= high * 1.4);
  const line = (name, steps, style, width) => ({
    x: steps.x, y: steps.values.map((value) => (value === null ? null : bend(value))), customdata: steps.values, name, type: "scatter", mode: "lines",
    line: { shape: "hv", width, ...style }, hovertemplate: "%{customdata:,.2f}",
  });
  const shapes = [nowLine(local(at, offset), colours)];
  const annotations = [];
  if (breakEven.length) {
    const [least, most] = [breakEven[0], breakEven[breakEven.length - 1]];
    shapes.push({ type: "rect", xref: "paper", x0: 0, x1: 1, y0: bend(least), y1: bend(most), layer: "below",
      line: { width: 0 }, fillcolor: faded(colours.mining, 0.16) });
    const each = breakEven.length <= 12 ? breakEven : [least, most];
    shapes.push(...each.map((price) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: bend(price), y1: bend(price), layer: "below",
      line: { width: 1, color: faded(colours.mining, 0.75) } })));
    annotations.push({ xref: "paper", x: 0.01, y: bend(most), yanchor: "bottom", xanchor: "left", showarrow: false,
      text: `fleets break even, ${format.number(least)} to ${format.number(most)}`, font: { size: 11, color: colours.warn }, bgcolor: faded(colours.panel, 0.8) });
  }
  window.Plotly.react(byId("price-chart"), [
    line("Day-ahead", dayAhead, { color: colours["day-ahead"], dash: "dash" }, 1.5),
    line("Real-time", real, { color: colours.ink }, 2),
    ...expected(ahead, colours, offset, line),
  ], layout(colours, {
    margin: { l: 50, r: 12, t: 26, b: 26 },
    shapes, annotations,
    xaxis: { range: span(prices, ahead, at).map((ms) => local(ms, offset)), hoverformat: "%a %H:%M" },
    yaxis: { tickvals: ticks.map(bend), ticktext: ticks.map((tick) => format.number(tick)), zeroline: true,
      range: [bend(Math.min(low * 1.1, 0)) - 0.12, bend(high) + 0.3] },
  }), CONFIG);
}

/** The expected price in its band, which holds four cases of five. */
function expected(ahead, colours, offset, line) {
  if (!ahead.length) return [];
  const x = ahead.map((step) => local(step.ms, offset));
  const row = (key) => ({ x, values: ahead.map((step) => step[key]) });
  const edge = (name, key, more) => ({ ...line(name, row(key), { color: faded(colours.accent, 0.35) }, 0.8), showlegend: false, ...more });
  return [
    edge("Four of five above", "low_usd_per_mwh"),
    edge("Four of five below", "high_usd_per_mwh", { fill: "tonexty", fillcolor: faded(colours.accent, 0.16) }),
    line("Expected", row("price_usd_per_mwh"), { color: colours.accent }, 2),
  ];
}

/** From a day before `at`, or the first price known since, to the end of what is known or planned, at most a day on. */
function span(prices, ahead, at) {
  const known = [...prices.real_time, ...prices.day_ahead];
  const starts = known.map((interval) => Date.parse(interval.interval_start_utc));
  const ends = [...known.map((interval) => Date.parse(interval.interval_end_utc)), ...ahead.map((step) => step.ms)];
  const first = starts.reduce((least, ms) => Math.min(least, ms), at);
  const last = ends.reduce((most, ms) => Math.max(most, ms), at);
  return [Math.max(first, at - DAY_MS), Math.min(last, at + DAY_MS)];
}

/** Step line through intervals, with a gap where one is missing. */
function stepped(intervals, offset) {
  const x = [];
  const values = [];
  intervals.forEach((interval, index) => {
    x.push(local(Date.parse(interval.interval_start_utc), offset));
    values.push(interval.usd_per_mwh);
    const next = intervals[index + 1];
    if (next && next.interval_start_utc === interval.interval_end_utc) return;
    x.push(local(Date.parse(interval.interval_end_utc), offset));
    values.push(interval.usd_per_mwh);
    if (next) {
      x.push(x[x.length - 1]);
      values.push(null);
    }
  });
  return { x, values };
}
