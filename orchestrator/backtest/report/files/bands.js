// The price-duration curve, and power by price.

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
