// Figures and times as text. Times are shown in the site's own time zone.

let zone = "UTC";
const formats = new Map();

export function setZone(name) {
  if (name === zone) return;
  zone = name;
  formats.clear();
}

function formatted(at, options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options }));
  return formats.get(key).format(at);
}

const HOUR_MINUTE = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

export const clock = (at) => formatted(at, { ...HOUR_MINUTE, second: "2-digit" });
export const hourMinute = (at) => formatted(at, HOUR_MINUTE);
export const day = (at) => formatted(at, { day: "numeric", month: "short", year: "numeric" });
export const wallClock = (at) => new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format(at);

/** The zone's offset from UTC at `at`, as `UTC-5`. */
export function offsetName(at) {
  const parts = new Intl.DateTimeFormat("en-GB", { timeZone: zone, timeZoneName: "shortOffset" }).formatToParts(at);
  return parts.find((part) => part.type === "timeZoneName").value.replace("GMT", "UTC");
}

/** Milliseconds to add to UTC for the zone's local time at `at`. */
export function offsetMs(at) {
  const match = /UTC(?:([+-])(\d+)(?::(\d+))?)?/.exec(offsetName(at));
  if (!match || !match[1]) return 0;
  return (match[1] === "-" ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3] || 0)) * 60_000;
}

/** `hh:mm`, with the day before it where that is not the day of `now`. */
export function near(at, now) {
  return day(at) === day(now) ? hourMinute(at) : `${formatted(at, { day: "numeric", month: "short" })} ${hourMinute(at)}`;
}

export function number(value, digits = 0) {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Power in the unit that reads best: `88.1 MW`, `640 kW`. */
export function power(kw) {
  return Math.abs(kw) >= 1000 ? `${number(kw / 1000, 1)} MW` : `${number(kw, Math.abs(kw) < 10 ? 1 : 0)} kW`;
}

export function price(usdPerMwh) {
  return number(usdPerMwh, Math.abs(usdPerMwh) < 1000 ? 2 : 0);
}

export function share(part) {
  return `${number(part * 100, part > 0.0005 && part < 0.1 ? 1 : 0)} %`;
}

/** A span such as `850 ms`, `21 s`, `4 min`, `3 h 20 min`. */
export function span(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${number(seconds, seconds < 10 && seconds % 1 ? 1 : 0)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const rest = minutes % 60;
  return rest ? `${Math.floor(minutes / 60)} h ${rest} min` : `${minutes / 60} h`;
}

export const words = (name) => name.replaceAll("_", " ");
