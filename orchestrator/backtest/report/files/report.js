// The charts, drawn by plotly.js from the data in the page. Times are the site's: plotly knows no zones, so each stretch
// is shown at the offset that holds in its middle.
(() => {
  "use strict";

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

  // --- packed figures -------------------------------------------------------------------------------------------------

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

  // --- time -----------------------------------------------------------------------------------------------------------

  function zoneAt(second) {
    return DATA.zone.reduce((found, zone) => (zone[0] <= second ? zone : found), DATA.zone[0]);
  }
  const local = (second, offset) => new Date((second + offset) * 1000).toISOString().slice(0, 19);
  const instant = (text, offset) => Date.parse(`${text.slice(0, 19).replace(" ", "T")}Z`.replace(/T(\d\d:\d\d)Z$/, "T$1:00Z")) / 1000 - offset;
  /** plotly leaves out what is zero at the end of its dates. */
  const whole = (text) => (text.length === 10 ? `${text}T00:00:00` : text);

  // --- look -----------------------------------------------------------------------------------------------------------

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

  // --- profit ---------------------------------------------------------------------------------------------------------

  function drawProfit(colours) {
    const [, offset] = zoneAt(FIRST_S);
    const x = DATA.profit.end_s.map((second) => local(second, offset));
    const long = LAST_S - FIRST_S > CLOSE_S;
    const line = styles(colours);
    const names = Object.keys(DATA.profit.usd).sort((a, b) => (a === DATA.shown) - (b === DATA.shown)); // on top of the others
    const base = DATA.beside && DATA.profit.usd[DATA.beside];
    const chart = (id, of) => {
      const all = of.flatMap(([, values]) => values);
      const most = all.reduce((found, value) => Math.max(found, Math.abs(value)), 0);
      const [unit, each] = most >= 2e6 ? ["million USD", 1e6] : most >= 2e3 ? ["thousand USD", 1e3] : ["USD", 1];
      draw(id, of.map(([name, values]) => ({
        x, y: values.map((value) => value / each), customdata: values, name: plain(name), type: "scatter", mode: "lines", line: line[name],
        hovertemplate: "%{customdata:,.0f} USD",
      })), layout(colours, {
        margin: { l: 54, r: 14, t: 48, b: 36 },
        xaxis: axis(colours, { type: "date", showgrid: false, nticks: 8, hoverformat: long ? "%a %-d %b %Y" : "%a %-d %b, %H:%M" }),
        yaxis: axis(colours, { title: { text: unit }, zeroline: true, tickformat: ",~f" }),
      }));
    };
    chart("profit-chart", names.map((name) => [name, DATA.profit.usd[name]]));
    if (base) {
      chart("gain-chart", names.filter((name) => name !== DATA.beside)
        .map((name) => [name, DATA.profit.usd[name].map((value, at) => value - base[at])]));
    }
  }

  // --- price against power --------------------------------------------------------------------------------------------

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

  // --- the dearest hours ----------------------------------------------------------------------------------------------

  let eventShown = 0;

  function drawEvent(colours) {
    const event = DATA.events[eventShown];
    const [, offset, zone] = zoneAt(event.start_s[0]);
    const sides = [[DATA.shown, event.shown], ...(event.beside ? [[DATA.beside, event.beside]] : [])];
    const width = sides.length === 1 ? 1 : 0.475;
    const most = sides.reduce((found, [, use]) => use.mining.reduce((high, kw, at) => Math.max(high, kw + use.hpc[at]), found), DATA.limit_kw);
    const prices = [...event.price, ...(event.decided || [])];
    const traces = [];
    const more = {};
    const notes = [];
    sides.forEach(([name, use], at) => {
      const domain = at === 0 ? [0, width] : [1 - width, 1];
      const [xaxis, power_, price] = at === 0 ? ["x", "y", "y2"] : ["x2", "y3", "y4"];
      const key = (axis_) => `${axis_[0]}axis${axis_.slice(1)}`;
      const { x, columns: [settled, mining, hpc, decided] } = stepped(event.start_s, event.step_s, offset,
        [event.price, use.mining, use.hpc, ...(event.decided ? [event.decided] : [])]);
      const first = at === 0;
      traces.push(
        stack(x, hpc, "HPC", colours.hpc, { stackgroup: `use${at}`, xaxis, yaxis: power_, showlegend: first }),
        stack(x, mining, "Mining", colours.mining, { stackgroup: `use${at}`, xaxis, yaxis: power_, showlegend: first }),
        priceTrace(x, settled, colours.ink, { xaxis, yaxis: price, showlegend: first, line: { width: 2, color: colours.ink, shape: "hv" } }),
      );
      if (decided) {
        traces.push(priceTrace(x, decided, colours.violet, { xaxis, yaxis: price, showlegend: first, name: "As first published",
          line: { width: 1.5, dash: "dot", color: colours.violet, shape: "hv" } }));
      }
      if (first) traces.push(limitKey(colours, x, { xaxis, yaxis: power_ }));
      more[key(xaxis)] = axis(colours, { type: "date", domain, anchor: power_, showgrid: false, nticks: 6, tickformat: "%H:%M\n%-d %b",
        hoverformat: `%a %-d %b, %H:%M ${zone}` });
      more[key(power_)] = axis(colours, { domain: [0, 0.5], anchor: xaxis, range: [0, (most / KW) * 1.06], nticks: 6,
        title: { text: first ? POWER : "" } });
      more[key(price)] = priceAxis(prices, colours, { domain: [0.58, 0.94], anchor: xaxis, title: { text: first ? "USD/MWh" : "" } });
      notes.push({ text: `<b>${plain(name)}</b>`, x: domain[0], xref: "paper", xanchor: "left", y: 1.005, yref: "paper", yanchor: "top", showarrow: false,
        font: { size: 13, color: colours.ink } });
      more.shapes = [...(more.shapes || []), { ...limitLine(colours, power_), x0: domain[0], x1: domain[1] }];
    });
    draw("event-chart", traces, layout(colours, { ...more, annotations: notes, margin: { l: 54, r: 14, t: 34, b: 48 } }));
    for (const [at, button] of [...byId("event-buttons").children].entries()) button.setAttribute("aria-pressed", String(at === eventShown));
  }

  // --- power by price -------------------------------------------------------------------------------------------------

  function drawBands(colours) {
    const { share, price } = DATA.duration;
    draw("duration-chart", [{ x: share, y: bent(price), customdata: price, type: "scatter", mode: "lines", line: { width: 2, color: colours.ink },
      hovertemplate: "%{x:.2f} % of the time at or above %{customdata:,.2f} USD/MWh<extra></extra>" }], layout(colours, {
      showlegend: false, hovermode: "x", margin: { l: 54, r: 14, t: 12, b: 48 },
      xaxis: axis(colours, { type: "log", range: [Math.log10(share[0]), 2], tickvals: [0.01, 0.1, 1, 10, 100], ticktext: ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"],
        title: { text: "of the time (logarithmic)" } }),
      yaxis: priceAxis(price, colours, {}),
    }));
    const bands = DATA.bands;
    const scale = 1000 / KW; // data are in MW
    const bar = (values, name, colour) => ({ x: bands.name, y: values.map((value) => value * scale), name, type: "bar", marker: { color: colour },
      hovertemplate: `%{y:,.1f} ${POWER}` });
    draw("bands-chart", [
      bar(bands.hpc, "HPC", colours.hpc), bar(bands.mining, "Mining", colours.mining),
      ...(bands.beside ? [{ x: bands.name, y: bands.beside.map((value) => value * scale), name: plain(DATA.beside), type: "scatter", mode: "markers",
        marker: { symbol: "line-ew", size: 22, line: { width: 2, color: colours.ink } }, hovertemplate: `%{y:,.1f} ${POWER}` }] : []),
    ], layout(colours, {
      barmode: "stack", bargap: 0.28, margin: { l: 54, r: 14, t: 34, b: 64 },
      xaxis: axis(colours, { type: "category", title: { text: "USD/MWh, and hours at such prices" }, ticks: "", tickangle: 0, tickfont: { size: 11 }, showgrid: false,
        tickvals: bands.name, ticktext: bands.name.map((name, at) => `${name}<br>${number(bands.hours[at], bands.hours[at] < 10 ? 1 : 0)} h`) }),
      yaxis: axis(colours, { rangemode: "tozero", title: { text: POWER }, nticks: 6 }),
    }));
  }

  // --- all of it ------------------------------------------------------------------------------------------------------

  function drawAll() {
    const colours = look();
    drawProfit(colours);
    drawPower(colours);
    drawEvent(colours);
    drawBands(colours);
  }

  DATA.events.forEach((event, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = event.name;
    button.addEventListener("click", () => { eventShown = at; drawEvent(look()); });
    byId("event-buttons").append(button);
  });
  for (const bar of document.querySelectorAll(".look")) bar.hidden = false;
  for (const button of document.querySelectorAll("[data-look]")) button.addEventListener("click", () => lookAt(button.dataset.look));

  drawAll();
  byId("power-chart").on("plotly_relayout", onZoom);
  byId("power-chart").on("plotly_doubleclick", () => show(FIRST_S, LAST_S));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  /** On paper charts are as wide as the sheet and light, whatever the screen shows. */
  function forPaper(paper) {
    document.documentElement.classList.toggle("paper", paper);
    drawAll();
    for (const chart of document.querySelectorAll(".chart")) if (chart.layout) window.Plotly.Plots.resize(chart);
  }
  window.addEventListener("beforeprint", () => forPaper(true));
  window.addEventListener("afterprint", () => forPaper(false));
})();
