// What the charts share: colours, layout, times. Drawn by plotly.js; times go in as the site's local time at today's offset.

export const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset" };

/** Local time as plotly's dates, which know no zones. */
export function local(ms, offset) {
  return new Date(ms + offset).toISOString().slice(0, 19);
}

export function look() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return Object.fromEntries(
    ["ink", "muted", "line", "faint", "panel", "mining", "hpc", "overhead", "cap", "accent", "day-ahead", "warn"].map((name) => [name, colour(name)]),
  );
}

export function layout(colours, more) {
  const axis = { gridcolor: colours.faint, linecolor: colours.line, zerolinecolor: colours.line, tickcolor: colours.line,
    ticks: "outside", ticklen: 4, fixedrange: true };
  return {
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colours.muted },
    paper_bgcolor: "transparent", plot_bgcolor: "transparent",
    margin: { l: 44, r: 12, t: 8, b: 26 },
    hovermode: "x unified",
    hoverlabel: { bgcolor: colours.panel, bordercolor: colours.line, font: { color: colours.ink } },
    legend: { orientation: "h", traceorder: "normal", x: 0, y: 1.09, yanchor: "bottom", font: { size: 12 }, itemclick: false, itemdoubleclick: false },
    ...more,
    xaxis: { ...axis, type: "date", tickformat: "%H:%M", hoverformat: "%a %H:%M:%S", showgrid: false, nticks: 7, ...more.xaxis },
    yaxis: { ...axis, ...more.yaxis },
  };
}

/** A `#rrggbb` colour with an opacity. */
export function faded(colour, opacity = 0.78) {
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, ${opacity})`;
}

/** The upright line at `at`; what is right of it is planned. */
export function nowLine(at, colours) {
  return { type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { width: 1, color: colours.muted, dash: "dot" } };
}

/** Text right of `at`, above what is planned and under the legend. */
export function aheadMark(at, text, colours) {
  return { x: at, yref: "paper", y: 1, xanchor: "left", yanchor: "bottom", showarrow: false, text, font: { size: 11, color: colours.muted } };
}
