// The tenants' jobs: what was promised, how far they are, and why they run or wait.

import { byId, el, setText } from "./base/dom.js";
import * as format from "./base/format.js";
import { now } from "./base/clock.js";
import { why } from "./fleets.js";

export function drawJobs(document) {
  const { jobs, total } = document;
  setText("jobs-count", total > jobs.length ? `first ${jobs.length} of ${format.number(total)}` : `${total}`);
  byId("jobs").replaceChildren(
    ...(jobs.length ? jobs.map(row) : [el("tr", { class: "empty" }, el("td", { colspan: "7" }, "No jobs."))]),
  );
}

function row(job) {
  return el("tr", {},
    el("td", {}, el("b", {}, job.name), el("small", {}, `${job.tenant}, ${job.pool}`)),
    el("td", {}, job.sla || "unknown tenant"),
    el("td", { class: "num", "data-label": "GPUs" }, format.number(job.gpus)),
    el("td", {}, el("span", { class: "state", "data-state": job.phase }, job.phase),
      job.interruptions ? el("small", {}, `stopped ${job.interruptions}×`) : null),
    el("td", {}, progress(job)),
    el("td", { "data-label": job.deadline && !job.outcome ? "Deadline" : null }, deadline(job)),
    why(job.reason, job.next),
  );
}

const ESTIMATED = "Estimated from the GPUs it was given and the time it ran: it serves no progress";

function progress(job) {
  if (job.done_share === null) return el("small", {}, "unknown");
  const text = `${format.share(job.done_share)} of ${format.number(job.work_gpu_hours, job.work_gpu_hours < 10 ? 1 : 0)} GPU-h`;
  return [
    el("div", { class: "track", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100",
      "aria-valuenow": String(Math.round(job.done_share * 100)),
      "aria-label": `Progress of ${job.name}${job.done_estimated ? ", estimated" : ""}` },
      el("i", { style: { width: `${job.done_share * 100}%` } })),
    el("small", job.done_estimated ? { title: ESTIMATED } : {}, job.done_estimated ? `about ${text}` : text),
  ];
}

function deadline(job) {
  if (job.outcome === "late" || job.outcome === "failed") return el("span", { class: "flag" }, job.outcome);
  if (job.outcome === "on_time") return "on time";
  if (job.deadline === null) return el("small", {}, "no deadline");
  const at = Date.parse(job.deadline);
  const left = (at - now()) / 1000;
  return [format.near(at, now()), left > 0 ? el("small", {}, `in ${format.span(left)}`) : el("small", { class: "flag" }, "past")];
}
