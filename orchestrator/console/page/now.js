// The key figures: price, grid power against its cap, the uses of power, hashprice.

import { byId, el, setText } from "./base/dom.js";
import * as format from "./base/format.js";

const BASIS = {
  real_time: "real-time",
  real_time_held: "last real-time price, held",
  day_ahead: "day-ahead, for want of real-time",
  fallback: "assumed, for want of any price",
};

export function drawNow(state) {
  const seen = state.observed;
  setText("site-name", state.site);
  if (seen === null) return;
  drawPrice(seen);
  drawGrid(seen);
  setText("mining", format.power(seen.mining_kw));
  setText("mining-note", `${format.number(seen.racks_awake)} of ${format.number(seen.racks)} racks awake, ${format.number(seen.hashrate_phs)} PH/s`);
  setText("hpc", format.power(seen.hpc_kw));
  setText("hpc-note", `${format.number(seen.gpus_busy)} of ${format.number(seen.gpus)} GPUs busy`);
  setText("overhead", format.power(seen.overhead_kw));
  const outdoor = seen.outdoor_c === null ? "" : `, ${format.number(seen.outdoor_c, 1)} °C outside`;
  setText("overhead-note", `PUE ${format.number(seen.pue, 3)}${outdoor}${quality(seen.outdoor_quality)}`);
  setText("hashprice", `$${format.number(seen.hashprice_usd_per_ph_day, 2)}`);
  setText("hashprice-note", `per PH/s and day${quality(seen.hashprice_quality)}`);
  byId("hashprice").closest(".figure").dataset.quality = seen.hashprice_quality;
  drawFeeders(seen.feeders);
  document.title = `${format.price(seen.price.usd_per_mwh)} USD/MWh, ${format.power(seen.grid.power_kw)}, ${state.site}`;
}

function drawPrice(seen) {
  const price = seen.price;
  setText("price", format.price(price.usd_per_mwh));
  byId("price").closest(".figure").dataset.quality = price.quality;
  const interval = `${format.hourMinute(Date.parse(price.interval_start_utc))} to ${format.hourMinute(Date.parse(price.interval_end_utc))}`;
  setText("price-note", `${BASIS[price.basis] || format.words(price.basis)}${quality(price.quality)}, ${interval}${charged(seen.charges)}`);
}

function drawGrid(seen) {
  const { power_kw: kw, limit_kw: limit, source } = seen.grid;
  const [value, unit] = format.power(kw).split(" ");
  setText("grid", value);
  setText("grid-cap", `${unit} of ${format.power(limit)}`);
  byId("grid").closest(".figure").dataset.above = String(kw > limit);
  const spare = limit - kw;
  const margin = spare >= 0 ? `${format.power(spare)} below the cap` : `${format.power(-spare)} above the cap`;
  setText("grid-note", `${margin}, set by ${source.startsWith("curtailment") ? source : `the ${source}`}`);
  drawShares(seen.grid);
  drawMeter(seen.meters.find((meter) => meter.name === "grid"));
  const bar = byId("grid-bar");
  const full = Math.max(limit, kw, 1);
  const piece = (kind, part) => el("i", { class: kind, style: { width: `${(100 * part) / full}%` } });
  bar.replaceChildren(piece("hpc", seen.hpc_kw), piece("mining", seen.mining_kw), piece("overhead", seen.overhead_kw),
    piece("residual", Math.max(seen.residual_kw, 0)));
  bar.setAttribute("aria-label", `${format.power(kw)} of ${format.power(limit)}, ${margin}`);
}

// What of the power is measured, what is assumed, and what suspect readings claim.
function drawShares(grid) {
  setText("grid-shares", grid.text);
  byId("grid-shares").dataset.quality = doubtful(grid) ? "assumed" : "fresh";
}

// What the connection's meter shows and the devices behind it leave unexplained.
function drawMeter(meter) {
  byId("grid-meter").hidden = meter === undefined;
  if (meter === undefined) return;
  if (meter.power_kw === null) return setText("grid-meter", `the meter is ${meter.quality}`);
  const more = meter.residual_kw >= 0 ? "more" : "less";
  const unseen = meter.unseen ? `, ${format.number(meter.unseen)} of which say nothing` : "";
  setText("grid-meter", `${format.power(Math.abs(meter.residual_kw))} ${more} than the devices behind it say${unseen}`);
}

function drawFeeders(feeders) {
  byId("feeders").replaceChildren(
    ...feeders.map((feeder) => {
      const part = feeder.limit_kw > 0 ? feeder.power_kw / feeder.limit_kw : 1;
      return el("li", {},
        el("span", {}, feeder.name),
        el("span", { class: "track", "data-above": String(part > 1), "aria-hidden": "true" },
          el("i", { style: { width: `${Math.min(part, 1) * 100}%` } })),
        el("span", {}, `${format.power(feeder.power_kw)} of ${format.power(feeder.limit_kw)}`),
        doubtful(feeder) ? el("small", { class: "assumed" }, feeder.text) : null);
    }),
  );
}

/** Whether not all power at a place is measured and believed. */
export const doubtful = (place) => place.assumed_kw > 0 || place.suspect_readings > 0;

const quality = (name) => (name === "fresh" ? "" : ` (${name})`);

// What is paid beside the market price: each contract in words, and what one more kWh costs now, all together.
function charged(charges) {
  const all = Object.values(charges);
  const texts = all.map((charge) => charge.text).join("; ");
  return all.length ? `; ${texts}; one more kWh is at ${format.price(all[0].marginal_usd_per_mwh)} USD/MWh` : "";
}
