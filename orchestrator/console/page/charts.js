// The two charts, drawn by plotly.js. Times go in as the site's local time at today's offset.

import { byId } from "./dom.js";
import * as format from "./format.js";
import { now } from "./clock.js";

const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset" };
const BEND = 40; // USD/MWh up to which the price scale is nearly linear
const TICKS = [-5000, -1000, -250, -100, -40, 0, 40, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000];

const bend = (price) => Math.asinh(price / BEND);

/** Local time as plotly's dates, which know no zones. */
function local(ms, offset) {
  return new Date(ms + offset).toISOString().slice(0, 19);
}

function look() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(
    ["ink", "muted", "line", "faint", "panel", "mining", "hpc", "overhead", "cap", "accent", "day-ahead", "warn"].map((name) => [name, colour(name)]),
  );
}

function layout(colours, more) {
  const axis = { gridcolor: colours.faint, linecolor: colours.line, zerolinecolor: colours.line, tickcolor: colours.line,
    ticks: "outside", ticklen: 4, fixedrange: true };
  return {
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colours.muted },
    paper_bgcolor: "transparent", plot_bgcolor: "transparent",
    margin: { l: 44, r: 12, t: 8, b: 26 },
    hovermode: "x unified",
    hoverlabel: { bgcolor: colours.panel, bordercolor: colours.line, font: { color: colours.ink } },
    legend: { orientation: "h", traceorder: "normal", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 }, itemclick: false, itemdoubleclick: false },
    ...more,
    xaxis: { ...axis, type: "date", tickformat: "%H:%M", hoverformat: "%a %H:%M:%S", showgrid: false, nticks: 7, ...more.xaxis },
    yaxis: { ...axis, ...more.yaxis },
  };
}

export function drawPower(observations, hours) {
  if (!window.Plotly) return;
  const colours = look();
  const offset = format.offsetMs(now());
  const x = observations.map((row) => local(row.ms, offset));
  const highest = Math.max(0, ...observations.map((row) => row.limit_kw));
  const [unit, kwEach] = highest < 1000 ? ["kW", 1] : ["MW", 1000];
  byId("power-unit").textContent = unit;
  const use = (name, key, colour) => ({
    x, y: observations.map((row) => row[key] / kwEach), name, type: "scatter", mode: "lines", stackgroup: "use",
    line: { width: 0.8, color: colour }, fillcolor: faded(colour),
    hovertemplate: `%{y:.2f} ${unit}`,
  });
  const end = Math.max(now(), observations.length ? observations[observations.length - 1].ms : 0);
  const first = observations.length ? observations[0].ms : end - 60_000;
  const start = Math.max(end - hours * 3_600_000, Math.min(first, end - 600_000));
  const traces = [
    use("HPC", "hpc_kw", colours.hpc),
    use("Mining", "mining_kw", colours.mining),
    use("Overhead", "overhead_kw", colours.overhead),
    { x, y: observations.map((row) => row.limit_kw / kwEach), name: "Cap", type: "scatter", mode: "lines",
      line: { shape: "hv", width: 2, color: colours.cap }, hovertemplate: `%{y:.1f} ${unit}` },
  ];
  const range = [local(start, offset), local(end, offset)];
  window.Plotly.react(byId("power-chart"), traces, layout(colours, {
    margin: { l: 40, r: 12, t: 26, b: 26 },
    xaxis: { range },
    yaxis: { rangemode: "tozero", nticks: 6 },
  }), CONFIG);
}

export function drawPrices(prices, fleets) {
  if (!window.Plotly) return;
  const colours = look();
  const at = now();
  const offset = format.offsetMs(at);
  const real = stepped(prices.real_time, offset);
  const ahead = stepped(prices.day_ahead, offset);
  const values = [...real.values, ...ahead.values].filter((value) => value !== null);
  const breakEven = fleets.map((fleet) => fleet.break_even_usd_per_mwh).sort((a, b) => a - b);
  const shown = [...values, ...breakEven, 0];
  const low = Math.min(...shown);
  const high = Math.max(...shown, 60);
  const ticks = TICKS.filter((tick) => tick >= low * 1.05 - 5 && tick <= high * 1.4);
  const line = (name, steps, style, width) => ({
    x: steps.x, y: steps.values.map((value) => (value === null ? null : bend(value))), customdata: steps.values, name, type: "scatter", mode: "lines",
    line: { shape: "hv", width, ...style }, hovertemplate: "%{customdata:,.2f}",
  });
  const range = [local(Date.parse(prices.from_utc), offset), local(Date.parse(prices.to_utc), offset)];
  const shapes = [{ type: "line", x0: local(at, offset), x1: local(at, offset), yref: "paper", y0: 0, y1: 1,
    line: { width: 1, color: colours.muted, dash: "dot" } }];
  const annotations = [];
  if (breakEven.length) {
    const [least, most] = [breakEven[0], breakEven[breakEven.length - 1]];
    shapes.push({ type: "rect", xref: "paper", x0: 0, x1: 1, y0: bend(least), y1: bend(most), layer: "below",
      line: { width: 0 }, fillcolor: faded(colours.mining, 0.16) });
    const each = breakEven.length <= 12 ? breakEven : [least, most];
    shapes.push(...each.map((price) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: bend(price), y1: bend(price), layer: "below",
      line: { width: 1, color: faded(colours.mining, 0.75) } })));
    annotations.push({ xref: "paper", x: 0.01, y: bend(most), yanchor: "bottom", xanchor: "left", showarrow: false,
      text: `fleets break even, ${format.number(least)} to ${format.number(most)}`, font: { size: 11, color: colours.warn } });
  }
  window.Plotly.react(byId("price-chart"), [
    line("Day-ahead", ahead, { color: colours["day-ahead"], dash: "dash" }, 1.5),
    line("Real-time", real, { color: colours.ink }, 2),
  ], layout(colours, {
    margin: { l: 50, r: 12, t: 26, b: 26 },
    shapes, annotations,
    xaxis: { range, hoverformat: "%a %H:%M" },
    yaxis: { tickvals: ticks.map(bend), ticktext: ticks.map((tick) => format.number(tick)), zeroline: true,
      range: [bend(Math.min(low * 1.1, 0)) - 0.12, bend(high) + 0.3] },
  }), CONFIG);
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

/** A `#rrggbb` colour with an opacity. */
function faded(colour, opacity = 0.78) {
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, ${opacity})`;
}
