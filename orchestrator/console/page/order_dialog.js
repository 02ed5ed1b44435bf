// Ordering a curtailment: fill in, review, order.

import { post } from "./base/api.js";
import { byId, el } from "./base/dom.js";
import * as format from "./base/format.js";
import { now, speed } from "./base/clock.js";
import { doubtful } from "./now.js";

let state = null;
let order = null; // what is under review; null while the form is filled in

export const setCurtailState = (latest) => { state = latest; };

export function startCurtail() {
  const dialog = byId("curtail");
  const form = byId("curtail-form");
  byId("curtail-open").addEventListener("click", () => {
    form.reset();
    byId("curtail-where").replaceChildren(
      el("option", { value: "" }, "The whole site"),
      ...(state?.observed?.feeders ?? []).map(({ name }) => el("option", { value: name }, `Feeder ${name}`)));
    show(null);
    dialog.showModal();
    form.elements.mw.focus();
  });
  byId("curtail-back").addEventListener("click", () => (order === null ? dialog.close() : show(null)));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fail("");
    if (order === null) review(form);
    else await send(dialog);
  });
}

function review(form) {
  const { feeder, kind, mw, minutes, reason } = Object.fromEntries(new FormData(form));
  const kw = Number(mw) * 1000;
  if (mw === "" || !Number.isFinite(kw) || kw < 0 || (kind === "shed" && kw === 0)) {
    return fail(kind === "shed" ? "Give the power to shed in MW, above 0." : "Give the limit in MW, 0 or more.", form.elements.mw);
  }
  if (!(Number(minutes) > 0 && Number(minutes) <= 10_080)) return fail("Give a time of at most 10,080 minutes.", form.elements.minutes);
  if (!reason.trim()) return fail("Give a reason; it goes on record.", form.elements.reason);
  show({ ...(feeder && { feeder }), [kind === "shed" ? "shed_kw" : "limit_kw"]: kw, for_minutes: Number(minutes), reason: reason.trim() });
}

async function send(dialog) {
  const button = byId("curtail-next");
  button.disabled = true;
  try {
    await post("curtailments", order);
    dialog.close();
  } catch (error) {
    fail(error.message);
  } finally {
    button.disabled = false;
  }
}

/** Shows the form (null) or the review of an order. */
function show(reviewed) {
  order = reviewed;
  fail("");
  byId("curtail-fill").hidden = order !== null;
  byId("curtail-review").hidden = order === null;
  byId("curtail-back").textContent = order === null ? "Close" : "Back";
  const next = byId("curtail-next");
  next.textContent = order === null ? "Review" : "Curtail now";
  next.classList.toggle("danger", order !== null);
  if (order === null) return;
  const end = now() + order.for_minutes * 60_000;
  const where = order.feeder === undefined ? "the site" : `feeder ${order.feeder}`;
  const what = order.shed_kw === undefined ? `Hold ${where} at or under ${format.power(order.limit_kw)}` : `Shed ${format.power(order.shed_kw)} of ${where}`;
  byId("curtail-summary").textContent = `${what} for ${format.span(order.for_minutes * 60)}, until ${format.near(end, now())}.`;
  byId("curtail-facts").replaceChildren(...facts().map((text) => el("li", {}, text)));
  next.focus();
}

function facts() {
  const found = [];
  const seen = state?.observed;
  const place = order.feeder === undefined ? seen?.grid : seen?.feeders.find(({ name }) => name === order.feeder);
  if (place !== undefined) {
    const kw = place.power_kw;
    const shares = doubtful(place) ? ` (${place.text})` : "";
    const limit = order.shed_kw === undefined ? order.limit_kw : kw - order.shed_kw;
    const drop = kw - limit;
    found.push(`${order.feeder === undefined ? "Grid power" : `Power of feeder ${order.feeder}`} is ${format.power(kw)} now${shares}; ${drop > 0 ? `${format.power(drop)} will have to go` : "nothing has to go"}.`);
  }
  found.push("Guaranteed jobs run on as long as anything else can be shed.");
  if (state?.clock.simulated) found.push(`Site time is simulated: that is ${format.span((order.for_minutes * 60) / speed())} on your own clock.`);
  found.push(`Reason on record: ${order.reason}`);
  return found;
}

function fail(text, field) {
  byId("curtail-error").textContent = text;
  field?.focus();
}
