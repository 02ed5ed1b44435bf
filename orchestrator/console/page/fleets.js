// Mining fleets: what was asked of them, what they measure, what their hash is worth, and why.

import { byId, el, setText } from "./base/dom.js";
import * as format from "./base/format.js";

export const SHOWN = 200;

export function drawFleets(document) {
  const { fleets, total } = document;
  setText("fleets-count", total > fleets.length ? `first ${fleets.length} of ${format.number(total)}` : `${total}`);
  byId("fleets").replaceChildren(
    ...(fleets.length ? fleets.map(row) : [el("tr", { class: "empty" }, el("td", { colspan: "6" }, "No fleets on this site."))]),
  );
}

function row(fleet) {
  return el("tr", {},
    el("td", {}, el("b", {}, fleet.name), el("small", {}, fleet.model)),
    el("td", {}, modes(fleet)),
    el("td", { class: "num" }, format.power(fleet.power_kw), el("small", {}, ` of ${format.power(fleet.nameplate_kw)}`),
      fleet.assumed_kw > 0 ? el("small", { class: "assumed", title: fleet.power_text }, `${format.power(fleet.assumed_kw)} assumed`) : null),
    el("td", { class: "num" }, fleet.hashrate_phs === null ? "no reading" : `${format.number(fleet.hashrate_phs)} PH/s`,
      el("small", {}, ` ${format.number(fleet.efficiency_j_per_th, 1)} J/TH`)),
    el("td", { class: "num" }, format.number(fleet.break_even_usd_per_mwh), el("small", {}, " USD/MWh")),
    why(fleet.reason, fleet.next),
  );
}

function modes(fleet) {
  const counts = Object.entries(fleet.racks_by_mode).filter(([, racks]) => racks > 0);
  const strongest = Object.keys(fleet.racks_by_mode)[0];
  const text = counts.map(([mode, racks]) => `${racks} ${mode}`).join(", ");
  const bar = el("div", { class: "modes", role: "img", "aria-label": `${text} of ${fleet.racks} racks` },
    counts.map(([mode, racks]) => el("i", {
      class: mode === "sleep" ? "sleep" : mode === strongest ? "" : "low",
      style: { width: `${(100 * racks) / fleet.racks}%` },
      title: `${racks} ${mode}`,
    })));
  const flags = [];
  if (fleet.silent_racks) flags.push(`${fleet.silent_racks} silent`);
  if (fleet.stuck_racks) flags.push(`${fleet.stuck_racks} stuck`);
  return [bar, el("small", {}, text), flags.length ? el("small", { class: "flag" }, flags.join(", ")) : null];
}

/** A cell with a reason and what the plan has next, each cut after some lines; the whole of it is in its tooltip. */
export function why(reason, next) {
  return el("td", { class: "why" }, el("span", { title: reason }, reason || "not moved yet"),
    next ? el("span", { class: "next", title: next }, next) : null);
}
