// What an operator must not miss: a lost connection, breaches, stale inputs, readings that cannot be true.

import { byId, el } from "./base/dom.js";
import * as format from "./base/format.js";
import { linkAlert } from "./base/clock.js";
import { planAlerts } from "./plan.js";

let observed = null;
let failure = null;
let drawn = "";

export function setObserved(seen) {
  observed = seen;
  failure = null;
  drawAlerts();
}

/** Something that the page asked for and did not get. */
export function setFailure(error) {
  failure = error.message;
  drawAlerts();
}

export function drawAlerts() {
  const alerts = collect();
  const text = JSON.stringify(alerts);
  if (text === drawn) return; // unchanged: not read out again
  drawn = text;
  byId("alerts").replaceChildren(
    ...alerts.map((alert) => el("div", { "data-level": alert.level }, el("strong", {}, alert.title), el("span", {}, alert.text))),
  );
}

function collect() {
  const alerts = [linkAlert()].filter(Boolean);
  if (failure && !alerts.length) alerts.push({ level: "warn", title: "Not all could be read.", text: failure });
  if (!observed) return alerts;
  for (const breach of observed.breaches) {
    const since = `since ${format.clock(Date.parse(breach.opened_at))}`;
    alerts.push({ level: "bad", title: `Breach: ${format.words(breach.kind)}, ${breach.subject}`, text: `${breach.detail} (${breach.state} ${since})` });
  }
  alerts.push(...planAlerts());
  for (const hold of observed.holds) {
    const closing = hold.cap_kw !== null;
    alerts.push({ level: closing ? "bad" : "warn", title: closing ? "Safe power closes in" : "Held on setpoints", text: `${sentence(hold.text)}.` });
  }
  listed(alerts, "Sources of readings that fail", Object.entries(observed.sources).map(([source, why]) => `${source}: ${why}`));
  listed(alerts, "Read in part", Object.values(observed.partial));
  if (observed.stale.length) {
    const some = observed.stale.slice(0, 8).join(", ");
    const more = observed.stale.length > 8 ? ` and ${observed.stale.length - 8} more` : "";
    alerts.push({ level: "warn", title: "Stale inputs", text: `${some}${more}. Their stale policy's figures stand in.` });
  }
  const suspects = Object.entries(observed.suspect);
  if (suspects.length) {
    const some = suspects.slice(0, 4).map(([device, why]) => `${device}: ${why}`).join("; ");
    const more = suspects.length > 4 ? `; and ${suspects.length - 4} more` : "";
    alerts.push({ level: "warn", title: "Readings that cannot be true", text: `${some}${more}. They are neither counted nor booked.` });
  }
  const moved = observed.biases.filter((bias) => bias.moved);
  if (moved.length) {
    const some = moved.slice(0, 4).map((bias) => `${bias.of} draws ${percent(bias.share)} more than it says (${percent(bias.before)} before)`).join("; ");
    alerts.push({ level: "warn", title: "Readings that drift from the meters", text: `${some}.` });
  }
  const unexplained = Object.entries(observed.unexplained_kw);
  if (unexplained.length) {
    const some = unexplained.slice(0, 4).map(([rack, kw]) => `${rack}: ${format.power(kw)}`).join("; ");
    const more = unexplained.length > 4 ? `; and ${unexplained.length - 4} more` : "";
    alerts.push({ level: "warn", title: "Power that nobody asked for", text: `${some}${more}, beyond what their setpoints explain.` });
  }
  if (observed.estimated.length) {
    const some = observed.estimated.slice(0, 8).join(", ");
    const more = observed.estimated.length > 8 ? ` and ${observed.estimated.length - 8} more` : "";
    alerts.push({ level: "warn", title: "Energy is estimated", text: `${some}${more}: no counter of theirs goes on, so their power is integrated.` });
  }
  return alerts;
}

function listed(alerts, title, texts) {
  if (!texts.length) return;
  const more = texts.length > 4 ? `; and ${texts.length - 4} more` : "";
  alerts.push({ level: "warn", title, text: `${texts.slice(0, 4).join("; ")}${more}.` });
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);
const percent = (share) => `${format.number(100 * share, 1)} %`;
