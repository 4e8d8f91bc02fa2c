// The heat map of returns, the table of trades, and the start of it all.

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const PAGE = 25;

// Compound the session returns that share a key.
function compound(returns, key) {
  const found = new Map();
  returns.forEach((r, i) => {
    const name = key(new Date(DATA.sessions.ts[i] - 1));
    found.set(name, (found.has(name) ? found.get(name) : 1) * (1 + r));
  });
  return found;
}

function heatCell(growth, scale, extra = "") {
  if (growth === undefined) return "<td></td>";
  const value = growth - 1;
  const share = scale ? Math.min(Math.abs(value) / scale, 1) : 0;
  const tint = `color-mix(in srgb, var(--${value < 0 ? "bad" : "good"}) ${Math.round(10 + 55 * share)}%, transparent)`;
  return `<td class="${extra}" style="background:${value ? tint : "var(--page)"}" title="${percent(value, 3)}">${(100 * value).toFixed(1).replace("-0.0", "0.0")}</td>`;
}

function heatTable(rows, columns, headings, cells, total) {
  const scale = Math.max(...[...cells.values()].map((g) => Math.abs(g - 1)));
  const head = `<tr><th></th>${headings.map((h) => `<th>${h}</th>`).join("")}<th>Total</th></tr>`;
  const body = rows.map((row) => `<tr><th class="word">${row}</th>${columns.map((c) => heatCell(cells.get(`${row}-${c}`), scale)).join("")}${heatCell(total.get(row), scale, "total")}</tr>`);
  return `<table aria-label="Returns in percent"><thead>${head}</thead><tbody>${body.join("")}</tbody></table>`;
}

function drawHeatmap(returns) {
  if (!returns.length) return empty("heatmap", "No session ended");
  const pad = (n) => String(n).padStart(2, "0");
  const month = (d) => `${d.getUTCFullYear()}-${pad(d.getUTCMonth() + 1)}`;
  const months = compound(returns, month);
  const two = Array.from({ length: 31 }, (_, i) => pad(i + 1));
  let html = "";
  if (months.size > 1) {
    const years = compound(returns, (d) => String(d.getUTCFullYear()));
    html += heatTable([...years.keys()], two.slice(0, 12), MONTHS, months, years);
  }
  if (months.size <= 6) {
    const days = compound(returns, (d) => `${month(d)}-${pad(d.getUTCDate())}`);
    html += heatTable([...months.keys()], two, two.map(Number), days, months);
  }
  document.getElementById("heatmap").innerHTML = html + '<p class="hint">In percent, sessions by the day they end on (UTC).</p>';
  return null;
}

const COLUMNS = [
  ["Symbol", "symbol", "word", escapeText],
  ["Side", "side", "word", escapeText],
  ["Entry", "entry", "word", moment],
  ["Exit", "exit", "word", moment],
  ["Size", "quantity", "", price],
  ["Entry price", "entry_price", "", price],
  ["Exit price", "exit_price", "", price],
  ["Profit", "profit", "", (v) => `<span class="${v < 0 ? "bad" : "good"}">${money(v)}</span>`],
  ["Return", "return", "", (v) => percent(v, 3)],
  ["Fees", "fees", "", money],
  ["Bars", "bars", "", (v) => v.toLocaleString("en-US")],
  ["Closed by", "closed_by", "word", (v) => escapeText(v).replaceAll("_", " ")],
];

const order = { column: -1, down: false, page: 0 };

function sortedTrades() {
  const count = DATA.trades.entry.length;
  const rows = Array.from({ length: count }, (_, i) => i);
  if (order.column < 0) return rows;
  const values = DATA.trades[COLUMNS[order.column][1]];
  const compare = (a, b) => (values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : a - b);
  return rows.sort(order.down ? (a, b) => compare(b, a) : compare);
}

function drawTrades() {
  const table = document.getElementById("trades");
  const rows = sortedTrades();
  if (!rows.length) return empty("pages", "No trades");
  const last = Math.ceil(rows.length / PAGE) - 1;
  order.page = Math.max(0, Math.min(order.page, last));
  const head = COLUMNS.map(([name, , kind], k) => {
    const sorted = k === order.column ? ` aria-sort="${order.down ? "descending" : "ascending"}"` : "";
    const arrow = k === order.column ? (order.down ? " ↓" : " ↑") : "";
    return `<th class="${kind}"${sorted}><button data-column="${k}">${name}${arrow}</button></th>`;
  });
  const shown = rows.slice(order.page * PAGE, (order.page + 1) * PAGE);
  const body = shown.map((i) => `<tr>${COLUMNS.map(([, key, kind, format]) => `<td class="${kind}">${format(DATA.trades[key][i])}</td>`).join("")}</tr>`);
  table.innerHTML = `<thead><tr>${head.join("")}</tr></thead><tbody>${body.join("")}</tbody>`;
  const pages = document.getElementById("pages");
  pages.innerHTML = `<button data-step="-1"${order.page ? "" : " disabled"}>Previous</button><span>Page ${order.page + 1} of ${last + 1}</span><button data-step="1"${order.page < last ? "" : " disabled"}>Next</button>`;
  return null;
}

document.getElementById("trades").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const column = Number(button.dataset.column);
  order.down = order.column === column ? !order.down : COLUMNS[column][2] !== "word";
  order.column = column;
  order.page = 0;
  drawTrades();
});

document.getElementById("pages").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  order.page += Number(button.dataset.step);
  drawTrades();
});

function offerSymbols() {
  const select = document.getElementById("symbol");
  DATA.symbols.forEach((symbol, k) => select.add(new Option(symbol.name, String(k))));
  select.hidden = DATA.symbols.length < 2;
  select.addEventListener("change", () => {
    chosen = Number(select.value);
    drawCandles();
  });
}

function drawAll() {
  const returns = sessionReturns(DATA.sessions.equity, DATA.initial_capital);
  if (times.length) {
    drawOverview();
    drawCandles();
  } else {
    empty("overview", "No bars");
    empty("candles", "No bars");
  }
  drawDistribution(returns);
  drawRolling(returns);
  drawHeatmap(returns);
}

offerSymbols();
drawAll();
drawTrades();
if (times.length) ["overview", "candles"].forEach(follow);
dark.addEventListener("change", drawAll);
