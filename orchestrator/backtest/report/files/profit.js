// Profit over time, of all strategies.

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
