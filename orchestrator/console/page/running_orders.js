// Running curtailments, and ending one.

import { remove } from "./base/api.js";
import { byId, el } from "./base/dom.js";
import * as format from "./base/format.js";
import { now } from "./base/clock.js";

let orders = [];
let drawn = "";

export function setOrders(running) {
  orders = running;
  drawOrders();
}

export function drawOrders() {
  const running = orders.filter((order) => Date.parse(order.until) > now());
  const texts = running.map(describe);
  const text = JSON.stringify([running.map((order) => order.id), texts]);
  if (text === drawn) return;
  drawn = text;
  const focused = document.activeElement?.dataset?.order;
  byId("orders").replaceChildren(...running.map((order, index) => row(order, texts[index])));
  if (focused) byId("orders").querySelector(`[data-order="${CSS.escape(focused)}"]`)?.focus();
}

function describe(order) {
  const until = Date.parse(order.until);
  const shed = order.shed_kw === null ? "" : ` (${format.power(order.shed_kw)} shed)`;
  return `${order.feeder === null ? "" : `feeder ${order.feeder} `}at or under ${format.power(order.limit_kw)}${shed} until ${format.near(until, now())}, ${format.span(Math.max(until - now(), 0) / 1000)} left`;
}

function row(order, text) {
  const button = el("button", { type: "button", class: "button danger small", "data-order": order.id, "aria-label": `End curtailment ${order.id}` }, "End…");
  button.addEventListener("click", () => confirmEnd(order, text));
  return el("div", {}, el("strong", {}, `Curtailment ${order.id}`), el("span", {}, text), el("span", { class: "muted" }, `“${order.reason}”, by ${order.source}`), button);
}

function confirmEnd(order, text) {
  const dialog = byId("cancel");
  byId("cancel-summary").textContent = `${order.id}, ${text}. What it holds down comes back as the price decides.`;
  byId("cancel-error").textContent = "";
  byId("cancel-back").onclick = () => dialog.close();
  byId("cancel-form").onsubmit = async (event) => {
    event.preventDefault();
    try {
      await remove(`curtailments/${encodeURIComponent(order.id)}`);
      dialog.close();
      setOrders(orders.filter((each) => each.id !== order.id));
    } catch (error) {
      byId("cancel-error").textContent = error.message;
    }
  };
  dialog.showModal();
}
