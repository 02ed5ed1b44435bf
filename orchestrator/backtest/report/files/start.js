// Draws everything, and again for another theme and for paper.

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
