// Numbers and times for people.

/** `0`, `0.4`, `12`, `3.4k`. */
export function number(value) {
  if (!value) return "0";
  if (value < 0.05) return "<0.1";
  if (value < 9.95) return value.toFixed(1).replace(/\.0$/, "");
  if (value < 999.5) return String(Math.round(value));
  for (const [unit, size] of [["k", 1e3], ["M", 1e6], ["G", 1e9]]) {
    if (value < size * 999.5) return `${(value / size).toPrecision(3).replace(/\.?0+$/, "")}${unit}`;
  }
  return value.toExponential(1);
}

/** `12/s`. */
export const rate = (value) => `${number(value)}/s`;

/** A duration in nanoseconds: `850 ns`, `12 µs`, `3.4 ms`, `2.5 s`. */
export function duration(nanos) {
  if (nanos === null || nanos === undefined) return "–";
  for (const [unit, size] of [["ns", 1], ["µs", 1e3], ["ms", 1e6]]) {
    const value = nanos / size;
    if (value < 999.5) return `${value < 9.95 && size > 1 ? value.toFixed(1) : Math.round(value)} ${unit}`;
  }
  return `${(nanos / 1e9).toFixed(1)} s`;
}

/** `817 B`, `12.3 KiB`. */
export function bytes(value) {
  if (value < 1024) return `${Math.round(value)} B`;
  for (const unit of ["KiB", "MiB", "GiB"]) {
    value /= 1024;
    if (value < 1024) return `${value.toFixed(1)} ${unit}`;
  }
  return `${(value / 1024).toFixed(1)} TiB`;
}

const two = (value) => String(value).padStart(2, "0");

/** The time of day of milliseconds since 1970: `09:14:03.250`. */
export function time(millis) {
  const date = new Date(millis);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** How long ago seconds since 1970 were: `3 min`, `2 d`. */
export function since(seconds) {
  const past = Math.max(0, Date.now() / 1000 - seconds);
  if (past < 60) return `${Math.round(past)} s`;
  if (past < 3600) return `${Math.round(past / 60)} min`;
  if (past < 86400) return `${Math.round(past / 3600)} h`;
  return `${Math.round(past / 86400)} d`;
}

export const shortDigest = (digest) => digest.replace(/^sha256:/, "").slice(0, 12);

/** The share of calls that fail, if any: `2%`. */
export function share(failed, all) {
  if (!failed || !all) return "";
  const percent = (100 * failed) / all;
  return percent < 0.1 ? "<0.1%" : `${percent < 10 ? percent.toFixed(1).replace(/\.0$/, "") : Math.round(percent)}%`;
}

/** A text of at most so many characters. */
export const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
