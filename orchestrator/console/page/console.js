// The operator's page: what comes in by the event stream is drawn by the module named after it.

import { drawAlerts, setFailure, setObserved } from "./alerts.js";
import { get } from "./base/api.js";
import { now, setClock, setConnected, startClock } from "./base/clock.js";
import { setCurtailState, startCurtail } from "./order_dialog.js";
import { SHOWN as DECISIONS_SHOWN, addDecision, loadDecisions } from "./decisions.js";
import { byId, setText, throttled } from "./base/dom.js";
import { SHOWN, drawFleets } from "./fleets.js";
import { addToHistory, loadHistory, redrawPower, startHistory } from "./charts/power_history.js";
import { drawJobs } from "./jobs.js";
import { drawNow } from "./now.js";
import { drawOrders, setOrders } from "./running_orders.js";
import { loadPlan, setPlan, stepsAhead } from "./plan.js";
import { drawPrices } from "./charts/price_chart.js";
import { listen } from "./base/stream.js";

let prices = null;
let fleets = [];
let priceShown = "";
let fresh = true; // the next state is the first of a connection: what was missed is fetched

const trying = (work) => async () => {
  try {
    await work();
  } catch (error) {
    setFailure(error);
  }
};

const refreshLists = throttled(1500, trying(async () => {
  const [fleetsNow, jobsNow] = await Promise.all([get(`fleets?limit=${SHOWN}`), get(`jobs?limit=${SHOWN}`)]);
  drawFleets(fleetsNow);
  drawJobs(jobsNow);
  fleets = fleetsNow.fleets;
  redrawPrices();
}));

const refreshPrices = throttled(500, trying(async () => {
  const [from, to] = [-1, 1].map((days) => encodeURIComponent(new Date(now() + days * 24 * 3_600_000).toISOString()));
  prices = await get(`prices?from=${from}&to=${to}`);
  redrawPrices();
}));

const refreshPlan = throttled(500, trying(async () => {
  await loadPlan();
  redrawPower();
  redrawPrices();
}));

const redrawPrices = throttled(700, () => {
  if (prices !== null) drawPrices(prices, fleets, stepsAhead());
});

async function catchUp(observed) {
  loadDecisions(await get(`decisions?limit=${DECISIONS_SHOWN}`));
  await loadHistory();
  if (observed) addToHistory(observed);
}

function onState(state) {
  setClock(state.clock);
  drawNow(state);
  setOrders(state.curtailments);
  setCurtailState(state);
  if (setPlan(state.plan)) refreshPlan();
  setObserved(state.observed);
  if (fresh) {
    fresh = false;
    trying(() => catchUp(state.observed))();
  }
  if (state.observed === null) return;
  setText("foot-note", `Observed every ${state.clock.tick_seconds} s of site time`);
  addToHistory(state.observed);
  refreshLists();
  const { usd_per_mwh: price, interval_start_utc: start } = state.observed.price;
  if (priceShown !== `${start} ${price}`) refreshPrices();
  priceShown = `${start} ${price}`;
}

function onLink(connected) {
  if (!connected) fresh = true;
  setConnected(connected);
  drawAlerts();
}

startClock();
startCurtail();
startHistory(setFailure);
setInterval(() => {
  drawAlerts();
  drawOrders();
}, 1000);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  redrawPower();
  redrawPrices();
});
byId("main").dataset.ready = "true";
listen((name, data) => (name === "decision" ? addDecision(data) : onState(data)), onLink);
