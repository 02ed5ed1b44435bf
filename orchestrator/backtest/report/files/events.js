// The dearest hours, beside each other.

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
