// What all charts share: data unpacked, time, colours and axes. Times are the site's: plotly knows no zones, so each stretch
// is shown at the offset that holds in its middle.

const DATA = JSON.parse(document.getElementById("chart-data").textContent);
const DAY_S = 86_400;
const CLOSE_S = 21 * DAY_S; // up to here, power is drawn by intervals, beyond by days
const BEND = 60; // USD/MWh up to which the price scale is nearly linear
const TICKS = [-5000, -1000, -250, -100, -50, 0, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 50_000];
const MINUS = "\u2212";
const byId = (id) => document.getElementById(id);

const bend = (price) => Math.asinh(price / BEND);
const number = (value, digits = 0) =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", MINUS);
/** Names are text: plotly would read tags in them. */
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const highestKw = Math.max(DATA.limit_kw, 1);
const [POWER, KW] = highestKw < 1000 ? ["kW", 1] : ["MW", 1000];

function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}
function power(packed) {
  return packed && Array.from(new Uint16Array(bytes(packed.of)), (value) => (value / 65_535) * packed.most);
}
const intervals = {
  start: Array.from(new Uint32Array(bytes(DATA.intervals.start_s))),
  price: Array.from(new Float32Array(bytes(DATA.intervals.price))),
  mining: power(DATA.intervals.mining), hpc: power(DATA.intervals.hpc), beside: power(DATA.intervals.beside),
  step: DATA.intervals.step_s,
};
const FIRST_S = intervals.start[0];
const LAST_S = intervals.start[intervals.start.length - 1] + intervals.step;

function zoneAt(second) {
  return DATA.zone.reduce((found, zone) => (zone[0] <= second ? zone : found), DATA.zone[0]);
}
const local = (second, offset) => new Date((second + offset) * 1000).toISOString().slice(0, 19);
const instant = (text, offset) => Date.parse(`${text.slice(0, 19).replace(" ", "T")}Z`.replace(/T(\d\d:\d\d)Z$/, "T$1:00Z")) / 1000 - offset;
/** plotly leaves out what is zero at the end of its dates. */
const whole = (text) => (text.length === 10 ? `${text}T00:00:00` : text);

function look() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ground", "ink", "muted", "line", "faint", "mining", "hpc", "cap", "accent", "base", "violet", "rose"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
function faded(colour, opacity) {
  const hex = colour.length === 4 ? colour.replace(/[0-9a-f]/gi, "$&$&") : colour;
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, ${opacity})`;
}
function axis(colours, more) {
  return { gridcolor: colours.faint, linecolor: colours.line, zerolinecolor: colours.line, tickcolor: colours.line, ticks: "outside",
    ticklen: 4, fixedrange: true, automargin: true, ...more, title: { font: { size: 12 }, standoff: 8, ...more.title } };
}
function layout(colours, more) {
  return {
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colours.muted },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 54, r: 14, t: 40, b: 36 }, hovermode: "x unified",
    hoverlabel: { bgcolor: colours.ground, bordercolor: colours.line, font: { color: colours.ink } },
    legend: { orientation: "h", x: 0, y: 1.01, yanchor: "bottom", traceorder: "normal", font: { size: 12, color: colours.ink } },
    separators: ".,", ...more,
  };
}
const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false };
const draw = (id, traces, look_) => Plotly.react(byId(id), traces, look_, CONFIG);

/** Ticks of a bent price scale, and its range. */
function priceAxis(values, colours, more) {
  const low = values.reduce((least, value) => Math.min(least, value), 0);
  const high = values.reduce((most, value) => Math.max(most, value), 60);
  const shown = TICKS.filter((tick) => tick >= low * 1.05 - 5 && tick <= high * 1.35);
  return axis(colours, { tickvals: shown.map(bend), ticktext: shown.map((tick) => number(tick)),
    range: [bend(low) - 0.12, bend(high) + 0.25], zeroline: true, title: { text: "USD/MWh" }, ...more });
}
const bent = (values) => values.map((value) => (value === null ? null : bend(value)));

/** Each strategy keeps its colour and dash in all charts. */
function styles(colours) {
  const others = [[colours.violet, "dash"], [colours.hpc, "dashdot"], [colours.rose, "longdash"], [colours.mining, "longdashdot"]];
  return Object.fromEntries(Object.keys(DATA.profit.usd).map((name) => {
    if (name === DATA.shown) return [name, { color: colours.accent, width: 3, dash: "solid" }];
    if (name === DATA.beside) return [name, { color: colours.base, width: 2, dash: "solid" }];
    if (name === "perfect-prices") return [name, { color: colours.ink, width: 1.5, dash: "dot" }];
    const [color, dash] = others.shift() || [colours.muted, "dot"];
    return [name, { color, width: 2, dash }];
  }));
}
