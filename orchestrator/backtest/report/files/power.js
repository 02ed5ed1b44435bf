// Price against power: days, and intervals where a stretch is looked at closely.

let view = [FIRST_S, LAST_S];

/** Step lines with a gap where intervals are missing. */
function stepped(start, step, offset, columns) {
  const x = [];
  const out = columns.map(() => []);
  start.forEach((second, at) => {
    x.push(local(second, offset));
    columns.forEach((values, column) => out[column].push(values[at]));
    if (start[at + 1] === second + step) return;
    x.push(local(second + step, offset));
    columns.forEach((values, column) => out[column].push(values[at]));
    if (at + 1 === start.length) return;
    x.push(local(second + step + 1, offset));
    columns.forEach((_, column) => out[column].push(null));
  });
  return { x, columns: out };
}

function stack(x, values, name, colour, more) {
  return { x, y: values.map((value) => (value === null ? null : value / KW)), name, type: "scatter", mode: "lines",
    line: { width: 0.6, color: colour, shape: "hv" }, fillcolor: faded(colour, 0.8), hovertemplate: `%{y:,.1f} ${POWER}`, ...more };
}

function drawPower(colours) {
  const [from, to] = view;
  const close = to - from <= CLOSE_S;
  const [, offset, zone] = zoneAt((from + to) / 2);
  const traces = close ? byInterval(colours, from, to, offset) : byDay(colours);
  const prices = traces.filter((trace) => trace.yaxis === "y2").flatMap((trace) => trace.customdata).filter((value) => value !== null);
  const resolution = close
    ? `Intervals of ${intervals.step / 60} min, times in ${zone}. `
    : "Means of days; the band is the range of the day\u2019s prices. ";
  byId("power-note").textContent = `${resolution}Drag over a stretch to look closer; up to three weeks are drawn by interval.`;
  draw("power-chart", traces, layout(colours, {
    dragmode: "zoom", margin: { l: 54, r: 14, t: 34, b: 36 },
    xaxis: axis(colours, { type: "date", fixedrange: false, showgrid: false, anchor: "y", nticks: 10, range: [local(from, offset), local(to, offset)],
      hoverformat: close ? "%a %-d %b, %H:%M" : "%a %-d %b %Y" }),
    yaxis: axis(colours, { domain: [0, 0.52], rangemode: "tozero", title: { text: POWER }, nticks: 6 }),
    yaxis2: priceAxis(prices, colours, { domain: [0.6, 1] }),
    shapes: [limitLine(colours, "y")],
  }));
  const all = from <= FIRST_S && to >= LAST_S;
  for (const button of document.querySelectorAll("[data-look]")) {
    const what = button.dataset.look;
    if (what === "all") button.setAttribute("aria-pressed", String(all));
    if (what === "back") button.disabled = from <= FIRST_S;
    if (what === "on") button.disabled = to >= LAST_S;
  }
}

function limitLine(colours, yref) {
  return { type: "line", xref: "paper", x0: 0, x1: 1, yref, y0: DATA.limit_kw / KW, y1: DATA.limit_kw / KW,
    line: { color: colours.cap, width: 1.5, dash: "dash" } };
}

function limitKey(colours, x, more) {
  return { x: [x[0]], y: [null], name: "Grid limit", type: "scatter", mode: "lines", line: { color: colours.cap, width: 1.5, dash: "dash" },
    hoverinfo: "skip", ...more };
}

function priceTrace(x, values, colour, more) {
  return { x, y: bent(values), customdata: values, name: "Settled price", type: "scatter", mode: "lines", yaxis: "y2",
    line: { width: 1.5, color: colour, shape: "hv" }, hovertemplate: "%{customdata:,.2f} USD/MWh", ...more };
}

function byInterval(colours, from, to, offset) {
  const first = intervals.start.findIndex((second) => second + intervals.step > from - DAY_S);
  const after = intervals.start.findIndex((second) => second >= to + DAY_S);
  const cut = (values) => values.slice(Math.max(first, 0), after < 0 ? undefined : after);
  const columns = [intervals.price, intervals.mining, intervals.hpc, ...(intervals.beside ? [intervals.beside] : [])].map(cut);
  const { x, columns: [price, mining, hpc, beside] } = stepped(cut(intervals.start), intervals.step, offset, columns);
  return [
    stack(x, hpc, "HPC", colours.hpc, { stackgroup: "use" }),
    stack(x, mining, "Mining", colours.mining, { stackgroup: "use" }),
    ...besideTrace(x, beside, colours, "hv"),
    limitKey(colours, x),
    priceTrace(x, price, colours.ink),
  ];
}

function byDay(colours) {
  const days = DATA.days;
  const x = days.date.map((date) => `${date}T12:00:00`);
  const smooth = { line: { width: 0.6, shape: "linear" } };
  const edge = { showlegend: false, hoverinfo: "skip", line: { width: 0, shape: "linear" } };
  return [
    stack(x, days.hpc, "HPC", colours.hpc, { stackgroup: "use", line: { ...smooth.line, color: colours.hpc } }),
    stack(x, days.mining, "Mining", colours.mining, { stackgroup: "use", line: { ...smooth.line, color: colours.mining } }),
    ...besideTrace(x, days.beside, colours, "linear"),
    limitKey(colours, x),
    priceTrace(x, days.lowest, colours.ink, edge),
    priceTrace(x, days.highest, colours.ink, { ...edge, fill: "tonexty", fillcolor: faded(colours.ink, 0.2) }),
    priceTrace(x, days.price, colours.ink, { name: "Settled price, mean",
      text: days.date.map((_, at) => `${number(days.lowest[at], 2)} to ${number(days.highest[at], 2)}`),
      hovertemplate: "%{customdata:,.2f} USD/MWh (%{text})", line: { width: 1.5, color: colours.ink, shape: "linear" } }),
  ];
}

function besideTrace(x, values, colours, shape) {
  return values ? [{ x, y: values.map((value) => (value === null ? null : value / KW)), name: plain(DATA.beside), type: "scatter", mode: "lines",
    line: { width: 1.5, color: colours.ink, dash: "dot", shape }, hovertemplate: `%{y:,.1f} ${POWER}` }] : [];
}

function show(from, to) {
  const length = Math.min(Math.max(to - from, 4 * intervals.step), LAST_S - FIRST_S);
  const start = Math.min(Math.max(from, FIRST_S), LAST_S - length);
  view = [start, start + length];
  drawPower(look());
}

function lookAt(what) {
  const length = view[1] - view[0];
  if (what === "all") return show(FIRST_S, LAST_S);
  if (what === "back") return show(view[0] - length, view[1] - length);
  if (what === "on") return show(view[0] + length, view[1] + length);
  const starts = DATA.events[0].start_s;
  const middle = starts[Math.floor(starts.length / 2)];
  return show(middle - 3.5 * DAY_S, middle + 3.5 * DAY_S);
}

function onZoom(change) {
  const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
  if (from === undefined || to === undefined) return;
  const [, offset] = zoneAt((view[0] + view[1]) / 2);
  const [start, end] = [from, to].map((text) => instant(whole(String(text)), offset));
  if (Number.isFinite(start) && Number.isFinite(end)) show(start, end);
}
