// The latest decisions: what was done, why, and how far each action is: sent, acknowledged, measured.

import { byId, el, setText } from "./base/dom.js";
import * as format from "./base/format.js";

export const SHOWN = 40;
const rows = new Map(); // id -> { item, text, at }

export function loadDecisions(document) {
  byId("decisions").replaceChildren();
  rows.clear();
  for (const decision of [...document.decisions].reverse()) put(decision);
  if (!rows.size) byId("decisions").append(el("li", { class: "empty" }, "No decision yet."));
  count();
}

/** Adds a decision, or draws it again where its outcomes have changed; reads a new one out. */
export function addDecision(decision) {
  byId("decisions").querySelector(".empty")?.remove();
  if (put(decision)) setText("announce", `${format.clock(Date.parse(decision.at))}: ${decision.summary}`);
  count();
}

/** Puts a decision in its place by time. True if it is new and the latest. */
function put(decision) {
  const text = JSON.stringify(decision);
  const known = rows.get(decision.id);
  if (known?.text === text) return false;
  const item = el("li", {}, body(decision, known?.item.querySelector("details").open));
  const at = Date.parse(decision.at);
  if (known) {
    const focused = known.item.contains(document.activeElement);
    known.item.replaceWith(item);
    if (focused) item.querySelector("summary").focus({ preventScroll: true });
    rows.set(decision.id, { item, text, at });
    return false;
  }
  const next = newestFirst().find(([, row]) => row.at <= at);
  if (!next && rows.size >= SHOWN) return false; // older than all that is shown
  byId("decisions").insertBefore(item, next ? next[1].item : null);
  rows.set(decision.id, { item, text, at });
  newestFirst().slice(SHOWN).forEach(([id, row]) => {
    row.item.remove();
    rows.delete(id);
  });
  return newestFirst()[0][0] === decision.id;
}

/** [id, row] of the decisions shown; of two at one moment the later added comes first. */
function newestFirst() {
  return [...rows].reverse().sort(([, a], [, b]) => b.at - a.at);
}

function body(decision, open) {
  return el("details", { open: Boolean(open) },
    el("summary", {},
      el("time", { datetime: decision.at }, format.clock(Date.parse(decision.at))),
      el("b", {}, decision.summary),
      el("span", { class: "note" }, progress(decision))),
    el("div", { class: "body" },
      decision.actions.map(action),
      figures(decision)));
}

/** `2 actions: 1 measured, 1 acknowledged`. */
function progress(decision) {
  if (!decision.actions.length) return "nothing to move";
  const counts = new Map();
  for (const each of decision.actions) {
    const state = each.outcome?.state || "planned";
    counts.set(state, (counts.get(state) || 0) + 1);
  }
  const [only] = counts.keys();
  const number = decision.actions.length;
  const states = counts.size === 1 ? only : [...counts].map(([state, many]) => `${many} ${state}`).join(", ");
  return `${number} ${number === 1 ? "action" : "actions"}, ${states}`;
}

function action(each) {
  const outcome = each.outcome;
  const change = `${each.change_kw > 0 ? "+" : each.change_kw < 0 ? "−" : ""}${format.power(Math.abs(each.change_kw))}`;
  const state = outcome?.state || "planned";
  return el("div", { class: "action" },
    el("div", { class: "head" }, el("span", {}, `${each.target}: ${each.move}`), el("span", {}, change)),
    el("p", {}, each.reason),
    el("p", { class: "note" }, el("span", { class: "state", "data-state": state }, state), times(outcome),
      outcome?.detail ? `. ${outcome.detail}` : ""));
}

/** When it was sent, and how long after that it was acknowledged and measured, in site time. */
function times(outcome) {
  if (!outcome?.sent_at) return "";
  const sent = Date.parse(outcome.sent_at);
  const after = (at) => format.span((Date.parse(at) - sent) / 1000);
  let text = `, sent ${format.clock(sent)}`;
  if (outcome.acknowledged_at) text += `, acknowledged after ${after(outcome.acknowledged_at)}`;
  if (outcome.measured_at) text += `, measured after ${after(outcome.measured_at)}`;
  return text;
}

function figures(decision) {
  const facts = [
    ["Price", `${format.price(decision.price_usd_per_mwh)} USD/MWh (${format.words(decision.price_basis)})`],
    ["Trigger", `${decision.trigger} at ${format.clock(Date.parse(decision.trigger_at))}`],
    ["Power", `${format.power(decision.measured_kw)} of ${format.power(decision.limit_kw)}`],
    ["Gain", `${format.number(decision.margin_usd_per_h, 2)} USD/h over leaving all as it was`],
  ];
  if (decision.binding.length) facts.push(["Held by", decision.binding.join(", ")]);
  decision.alternatives.slice(0, 5).forEach((text) => facts.push(["Not done", text]));
  return el("dl", {}, facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]).flat());
}

function count() {
  setText("decisions-count", rows.size ? `latest ${rows.size}` : "");
}
