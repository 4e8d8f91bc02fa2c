// What the page holds: typed columns decoded once, and small helpers that all charts share.

const TYPES = { f8: Float64Array, f4: Float32Array, i4: Int32Array };

function decode(column) {
  const bytes = Uint8Array.from(atob(column.bytes), (c) => c.charCodeAt(0));
  return new TYPES[column.type](bytes.buffer);
}

function decodeAll(tree) {
  if (tree === null || typeof tree !== "object") return tree;
  if ("bytes" in tree && "type" in tree) return decode(tree);
  if (Array.isArray(tree)) return tree.map(decodeAll);
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, decodeAll(value)]));
}

const DATA = decodeAll(JSON.parse(document.getElementById("data").textContent));

const escapeText = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

// Money as in engine.report.presentation: the sign or the code of its currency, and digits that count below a cent.
const SIGN = { USD: "$", EUR: "€", GBP: "£", JPY: "¥" }[DATA.currency] || "";
const CODE = SIGN || !DATA.currency ? "" : ` ${DATA.currency}`;
function money(value) {
  const size = Math.abs(value);
  const small = size > 0 && size < 0.1 && Math.abs(size - Number(size.toFixed(2))) > 0.01 * size;
  const digits = small ? Math.min(8, 1 - Math.floor(Math.log10(size))) : 2;
  const amount = size.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${value < 0 && /[1-9]/.test(amount) ? "-" : ""}${SIGN}${amount}${CODE}`;
}
const count = (value) => value.toLocaleString("en-US", { maximumFractionDigits: value < 100 ? 2 : 0 });
const percent = (value, digits = 2) => (100 * value).toFixed(digits) + " %";
const price = (value) => String(Number(value.toPrecision(9)));
const moment = (ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");

// First index whose value is not below `value`.
function lowerBound(times, value) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Indices that keep the extremes of a curve when there are more points than pixels.
function thin(values, from, to, most) {
  const count = to - from;
  if (count <= most) return Array.from({ length: count }, (_, i) => from + i);
  const size = Math.ceil((2 * count) / most);
  const kept = [];
  for (let start = from; start < to; start += size) {
    const end = Math.min(start + size, to);
    let low = start;
    let high = start;
    for (let i = start; i < end; i++) {
      if (values[i] < values[low]) low = i;
      if (values[i] > values[high]) high = i;
    }
    kept.push(Math.min(low, high));
    if (low !== high) kept.push(Math.max(low, high));
  }
  if (kept[kept.length - 1] !== to - 1) kept.push(to - 1);
  return kept;
}

// Session returns: value at a session's end over that of the session before.
function sessionReturns(values, initial) {
  return Array.from(values, (value, i) => {
    const before = i ? values[i - 1] : initial;
    return before > 0 ? value / before - 1 : 0;
  });
}
