// The plan in force: its hours for the charts, and a line that says how old and how good it is.

import { get } from "./base/api.js";
import { byId, setText } from "./base/dom.js";
import * as format from "./base/format.js";
import { now } from "./base/clock.js";

const PROMISES = 3; // shown one by one
let outline = null; // as each state event brings it
let steps = []; // [{ ms, ... }] of the plan made at `held`
let endMs = 0;
let held = null;

/** Takes over how the plan stands. True if its hours are to be fetched. */
export function setPlan(plan) {
  outline = plan;
  if (plan.made_at === null) {
    steps = [];
    held = null;
  }
  drawLine();
  return plan.made_at !== held;
}

export async function loadPlan() {
  const plan = await get("plan?fleets_limit=0&jobs_limit=0");
  steps = plan.steps.map((step) => ({ ...step, ms: Date.parse(step.start) }));
  endMs = plan.end === null ? 0 : Date.parse(plan.end);
  held = plan.made_at;
}

/** The steps from now on, the first cut to begin now and the last repeated at its end. */
export function stepsAhead() {
  const at = now();
  if (endMs <= at) return [];
  const ahead = steps.filter((step, index) => (index + 1 < steps.length ? steps[index + 1].ms : endMs) > at);
  if (!ahead.length) return [];
  return [{ ...ahead[0], ms: Math.max(ahead[0].ms, at) }, ...ahead.slice(1), { ...ahead[ahead.length - 1], ms: endMs }];
}

/** What marks the hours ahead in a chart. */
export function plannedText() {
  return outline?.old ? `planned ${format.span(outline.age_seconds)} ago →` : "planned →";
}

function drawLine() {
  const line = byId("plan-line");
  line.dataset.level = outline.failed || outline.blocked || outline.old ? "warn" : "";
  setText("plan-line", outline.made_at === null ? outline.problem : words());
}

function words() {
  const made = format.near(Date.parse(outline.made_at), now());
  const parts = [`Plan of ${made}, ${format.span(Math.max(outline.age_seconds, 0))} old`];
  if (outline.profit_usd !== null) {
    parts.push(`expects $${format.number(outline.profit_usd)} by ${format.near(Date.parse(outline.end), now())}`);
  }
  if (outline.gap !== null && outline.bound_usd !== null) {
    parts.push(`at most ${format.share(outline.gap)} below the best possible, $${format.number(outline.bound_usd)}`);
  }
  if (outline.sound === false) parts.push("not sound: only promises that no plan could keep are told");
  if (outline.blocked) parts.push("no new one is made");
  else if (outline.failed) parts.push("the newest attempt failed");
  return parts.join(" · ");
}

/** What the alert bar says of the plan. */
export function planAlerts() {
  if (outline === null) return [];
  if (outline.made_at === null) return outline.blocked ? [{ level: "warn", title: "No plan", text: outline.problem }] : [];
  const alerts = outline.broken_promises.slice(0, PROMISES).map((text) => ({ level: "warn", title: "The plan cannot keep a promise", text }));
  const more = outline.broken_promises_total - alerts.length;
  if (more > 0) alerts.push({ level: "warn", title: `${format.number(more)} more promises`, text: "The plan cannot keep these either; /api/v1/plan lists them." });
  const age = format.span(outline.age_seconds);
  const inForce = `The one of ${format.near(Date.parse(outline.made_at), now())} stays in force, ${age} old.`;
  const why = outline.blocked || (outline.failed ? outline.problem : "");
  if (why) alerts.unshift({ level: "warn", title: "No new plan", text: `${why.replace(/\.$/, "")}. ${inForce}` });
  else if (outline.old) alerts.unshift({ level: "warn", title: "The plan is old", text: inForce });
  return alerts;
}
