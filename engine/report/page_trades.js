// The table of trades, and the trade or fill that was clicked on.

const PAGE = 25;
const COLUMNS = [
  ["#", "number", "", (v) => `<button class="pick">${v}</button>`],
  ["Symbol", "symbol", "word", escapeText],
  ["Side", "side", "word", escapeText],
  ["Profit", "profit", "", (v) => `<span class="${v < 0 ? "bad" : v > 0 ? "good" : ""}">${money(v)}</span>`],
  ["Entry", "entry", "word", moment],
  ["Exit", "exit", "word", moment],
  ["Size", "quantity", "", price],
  ["Entry price", "entry_price", "", price],
  ["Exit price", "exit_price", "", price],
  ["Return", "return", "", (v) => percent(v, 3)],
  ["Fees", "fees", "", money],
  ["Bars", "bars", "", count],
  ["Closed by", "closed_by", "word", escapeText],
  ["Fills", "entry_fill", "word", (v, i) => (v ? `${v} to ${DATA.trades.exit_fill[i] || "?"}`.replace(" to ?", "") : "")],
].filter(([, key]) => key !== "symbol" || DATA.symbols.length > 1);
DATA.trades.number = Array.from(DATA.trades.entry, (_, i) => i + 1);

// Where a trade begins and ends on the chart: at its first and its last fill, for its own prices are means over all fills.
const endsOf = (i) => [["entry_fill", "entry_price"], ["exit_fill", "exit_price"]].map(([fill, mean]) => DATA.fills.price[DATA.trades[fill][i] - 1] ?? DATA.trades[mean][i]);

const order = { column: -1, down: false, page: 0 };
const selected = { trade: null, fill: null };

function sortedTrades() {
  const rows = Array.from(DATA.trades.number, (_, i) => i);
  if (order.column < 0) return rows;
  const values = DATA.trades[COLUMNS[order.column][1]];
  const compare = (a, b) => (values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : a - b);
  return rows.sort(order.down ? (a, b) => compare(b, a) : compare);
}

function drawTrades() {
  const rows = sortedTrades();
  if (!rows.length) return leaveOut("trades");
  const last = Math.ceil(rows.length / PAGE) - 1;
  order.page = Math.max(0, Math.min(order.page, last));
  const head = COLUMNS.map(([name, , kind], k) => {
    const sorted = k === order.column ? ` aria-sort="${order.down ? "descending" : "ascending"}"` : "";
    const arrow = k === order.column ? (order.down ? " ↓" : " ↑") : "";
    return `<th class="${kind}"${sorted}><button data-column="${k}">${name}${arrow}</button></th>`;
  });
  const shown = rows.slice(order.page * PAGE, (order.page + 1) * PAGE);
  const body = shown.map((i) => `<tr data-trade="${i}"${i === selected.trade ? ' class="picked"' : ""}>${COLUMNS.map(([, key, kind, format]) => `<td class="${kind}">${format(DATA.trades[key][i], i)}</td>`).join("")}</tr>`);
  document.getElementById("trades").innerHTML = `<thead><tr>${head.join("")}</tr></thead><tbody>${body.join("")}</tbody>`;
  const pages = document.getElementById("pages");
  pages.innerHTML = last ? `<button data-step="-1"${order.page ? "" : " disabled"}>Previous</button><span>Page ${order.page + 1} of ${last + 1}</span><button data-step="1"${order.page < last ? "" : " disabled"}>Next</button>` : "";
  return null;
}

// The number of the fill for `grandmodel explain`, in the folder that this page lies in.
function explainCommand(fill) {
  const folder = location.protocol === "file:" ? decodeURIComponent(location.pathname).replace(/\/[^/]*$/, "") : "RUN";
  const quoted = /^[\w./:@-]+$/.test(folder) ? folder : `'${folder.replaceAll("'", "'\\''")}'`;
  return `<code>grandmodel explain ${escapeText(quoted)} ${fill}</code>`;
}

// The trade that a fill belongs to; a fill that turns the position round closes one and opens the next.
function tradeOf(fill) {
  const trades = DATA.trades;
  const name = DATA.symbols[DATA.fills.symbol[fill - 1]].name;
  for (let i = 0; i < trades.entry.length; i++) {
    if (trades.symbol[i] === name && trades.entry_fill[i] && trades.entry_fill[i] <= fill && fill <= (trades.exit_fill[i] || Infinity)) return i;
  }
  return null;
}

function selectTrade(trade, fill = null) {
  Object.assign(selected, { trade, fill });
  const trades = DATA.trades;
  const detail = document.getElementById("detail");
  detail.hidden = false;
  const parts = [];
  if (trade !== null) {
    const gone = trades.exit_fill[trade] ? `${moment(trades.exit[trade])} at ${price(trades.exit_price[trade])}` : "still open";
    parts.push(`<b>Trade ${trade + 1}: ${escapeText(trades.side[trade])} ${price(trades.quantity[trade])} ${escapeText(trades.symbol[trade])}, ${money(trades.profit[trade])} (${percent(trades.return[trade], 3)})</b>`);
    parts.push(`${moment(trades.entry[trade])} at ${price(trades.entry_price[trade])}; ${gone}; closed by: ${escapeText(trades.closed_by[trade])}`);
  }
  const numbers = fill !== null ? [[fill, "This fill"]] : [[trades.entry_fill[trade], "Entry"], [trades.exit_fill[trade], "Exit"]];
  for (const [number, what] of numbers) {
    if (number) parts.push(`${what}, fill ${number}: ${explainCommand(number)}`);
  }
  detail.innerHTML = parts.join("<br>");
}

// Show a trade of the table in its place on the chart.
function showTrade(trade) {
  const symbol = DATA.symbols.findIndex((one) => one.name === DATA.trades.symbol[trade]);
  if (symbol !== chosen) {
    chosen = symbol;
    document.getElementById("symbol").value = String(symbol);
  }
  selectTrade(trade);
  const before = visible.join();
  showBars(DATA.trades.entry_at[trade], DATA.trades.exit_at[trade]);
  if (visible.join() === before) drawPrice();
  drawTrades();
  document.getElementById("price").scrollIntoView({ block: "start" });
}

function selectedShapes() {
  const trade = selected.trade;
  if (trade === null || DATA.trades.symbol[trade] !== DATA.symbols[chosen].name) return [];
  const [x0, x1] = [DATA.trades.entry_at[trade], DATA.trades.exit_at[trade]];
  const [y0, y1] = endsOf(trade);
  const tint = color(DATA.trades.profit[trade] < 0 ? "bad" : "good");
  return [
    { type: "rect", x0: x0 - 0.5, x1: x1 + 0.5, yref: "y domain", y0: 0, y1: 1, fillcolor: tint, opacity: 0.1, line: { width: 0 }, layer: "below" },
    { type: "line", x0, x1, y0, y1, line: { color: tint, width: 2.5 } },
  ];
}

function selectedNotes() {
  const trade = selected.trade;
  if (trade === null || DATA.trades.symbol[trade] !== DATA.symbols[chosen].name) return [];
  const text = `${trade + 1}: ${money(DATA.trades.profit[trade])}`;
  return [{ x: DATA.trades.exit_at[trade], y: endsOf(trade)[1], text, showarrow: true, arrowhead: 0, ax: 0, ay: -28, bgcolor: color("panel"), bordercolor: color("line"), font: { color: color("text") } }];
}

document.getElementById("trades").addEventListener("click", (event) => {
  const row = event.target.closest("tbody tr");
  if (row) return showTrade(Number(row.dataset.trade));
  const button = event.target.closest("button");
  if (!button) return null;
  const column = Number(button.dataset.column);
  order.down = order.column === column ? !order.down : !["word", "number"].includes(COLUMNS[column][2] || COLUMNS[column][1]);
  order.column = column;
  order.page = 0;
  return drawTrades();
});

document.getElementById("pages").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  order.page += Number(button.dataset.step);
  drawTrades();
});
