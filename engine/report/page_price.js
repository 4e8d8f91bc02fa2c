// Candles with fills, trades and what a strategy plotted; beneath them volume, position, and what the agents decided.

const MOST_CANDLES = 320;
const MOST_MARKERS = 1200;
const MOST_LINES = 400;
const WIDTHS = [1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 720, 1440, 2880, 10080, 43200].map((m) => m * MINUTE);
let chosen = 0;

// Bars of the visible range, joined to candles of a round length of time.
function candlesInView(symbol) {
  const [from, to] = visibleRows();
  const step = smallestStep();
  const wanted = Math.max(((to - from) * step) / MOST_CANDLES, step);
  const width = WIDTHS.find((w) => w >= wanted) || WIDTHS[WIDTHS.length - 1];
  const candles = [];
  for (let i = from; i < to; i++) {
    if (Number.isNaN(symbol.open[i])) continue;
    const slot = Math.floor((times[i] - 1) / width);
    const last = candles[candles.length - 1];
    const volume = symbol.volume ? symbol.volume[i] : 0;
    if (last && last.slot === slot) {
      last.high = Math.max(last.high, symbol.high[i]);
      last.low = Math.min(last.low, symbol.low[i]);
      last.close = symbol.close[i];
      last.volume += volume;
      last.stop = i;
    } else {
      candles.push({ slot, start: i, stop: i, volume, open: symbol.open[i], high: symbol.high[i], low: symbol.low[i], close: symbol.close[i] });
    }
  }
  return [candles, width];
}

function smallestStep() {
  let step = Infinity;
  for (let i = 1; i < Math.min(times.length, 500); i++) step = Math.min(step, times[i] - times[i - 1]);
  return Number.isFinite(step) ? step : MINUTE;
}

// Bodies are bars and wicks are lines: a candle is then as wide as its bars, also where a session cuts it short.
function candleTraces(candles, width) {
  const rising = (c) => c.close >= c.open;
  const text = candles.map((c) => `${moment(times[c.start] - smallestStep())} to ${clockText(times[c.stop])}<br>open ${price(c.open)}<br>high ${price(c.high)}<br>low ${price(c.low)}<br>close ${price(c.close)}${c.volume ? `<br>volume ${count(c.volume)}` : ""}`);
  const x = candles.map((c) => (c.start + c.stop) / 2);
  const widths = candles.map((c) => 0.72 * (c.stop - c.start + 1));
  const paint = candles.map((c) => color(rising(c) ? "good" : "bad"));
  const thinnest = 0.004 * (Math.max(...candles.map((c) => c.high)) - Math.min(...candles.map((c) => c.low)));
  const bodies = {
    type: "bar", name: "Price", x, width: widths, base: candles.map((c) => Math.min(c.open, c.close)), y: candles.map((c) => Math.max(Math.abs(c.close - c.open), thinnest)),
    hoverinfo: "text", hovertext: text, textposition: "none", marker: { color: paint, opacity: 0.6, line: { width: 0 } }, showlegend: false,
  };
  const wick = (up) => {
    const some = candles.filter((c) => rising(c) === up);
    return {
      type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, line: { color: color(up ? "good" : "bad"), width: 1 }, opacity: 0.6,
      x: some.flatMap((c) => [(c.start + c.stop) / 2, (c.start + c.stop) / 2, null]), y: some.flatMap((c) => [c.low, c.high, null]),
    };
  };
  const traded = { type: "bar", name: "Volume", yaxis: "y2", x, width: widths, y: candles.map((c) => c.volume), marker: { color: paint, opacity: 0.45, line: { width: 0 } }, hovertemplate: "volume %{y:,.4~g}<extra></extra>", showlegend: false };
  return [bodies, wick(true), wick(false), ...(DATA.symbols[chosen].volume ? [traded] : [])];
}

function fillsInView() {
  const fills = DATA.fills;
  const shown = [];
  for (let i = lowerBound(fills.at, visible[0]); i < fills.at.length && fills.at[i] <= visible[1]; i++) {
    if (fills.symbol[i] === chosen) shown.push(i);
  }
  return shown;
}

function fillTrace(indices, way) {
  const fills = DATA.fills;
  const picked = indices.filter((i) => fills.side[i] === way);
  const text = picked.map((i) => {
    const profit = fills.realized[i] ? `<br>profit ${money(fills.realized[i])} before fees` : "";
    return `<b>${way > 0 ? "Buy" : "Sell"} ${price(fills.quantity[i])} at ${price(fills.price[i])}</b><br>${moment(fills.ts[i])}<br>${escapeText(fills.roles[fills.role[i]]).replaceAll("_", " ")}, position then ${price(fills.position[i])}${profit}<br>fill ${i + 1}`;
  });
  return {
    type: "scatter", mode: "markers", name: way > 0 ? "Buy" : "Sell", hoverinfo: "text", text, customdata: picked.map((i) => ({ fill: i + 1 })),
    x: picked.map((i) => fills.at[i]), y: picked.map((i) => fills.price[i]),
    marker: { symbol: way > 0 ? "triangle-up" : "triangle-down", size: 10, color: color(way > 0 ? "good" : "bad"), line: { color: color("panel"), width: 1 } },
  };
}

function tradesInView() {
  const trades = DATA.trades;
  const name = DATA.symbols[chosen].name;
  const shown = [];
  for (let i = 0; i < trades.entry_at.length; i++) {
    if (trades.symbol[i] === name && trades.exit_at[i] >= visible[0] && trades.entry_at[i] <= visible[1]) shown.push(i);
  }
  return shown;
}

// Lines from entry to exit: those that earned, and those that lost.
function tradeTrace(indices, good) {
  const trades = DATA.trades;
  const picked = indices.filter((i) => trades.profit[i] >= 0 === good);
  const about = (i) => `<b>Trade ${i + 1}: ${escapeText(trades.side[i])} ${price(trades.quantity[i])}</b><br>${money(trades.profit[i])} (${percent(trades.return[i], 3)})<br>${escapeText(trades.closed_by[i])}`;
  return {
    type: "scatter", mode: "lines", name: good ? "Gain" : "Loss", hoverinfo: "text", showlegend: false,
    x: picked.flatMap((i) => [trades.entry_at[i], trades.exit_at[i], null]), y: picked.flatMap((i) => [...endsOf(i), null]),
    text: picked.flatMap((i) => [about(i), about(i), null]), customdata: picked.flatMap((i) => [{ trade: i }, { trade: i }, null]),
    line: { color: color(good ? "good" : "bad"), width: 1.6, dash: "dot" },
  };
}

function plotTraces(axisOf) {
  return DATA.plots.filter((line) => line.symbol === chosen).map((line) => {
    const from = lowerBound(line.at, visible[0] - 1);
    const to = lowerBound(line.at, visible[1] + 1);
    const kept = thin(line.values, from, to, MOST_POINTS);
    return { type: "scatter", mode: "lines", name: escapeText(line.name), yaxis: axisOf(line.panel), x: kept.map((k) => line.at[k]), y: kept.map((k) => line.values[k]), customdata: kept.map((k) => moment(times[line.at[k]])), line: { width: 1.4 }, hovertemplate: `%{customdata}<br>${escapeText(line.name)} %{y:.7~g}<extra></extra>` };
  });
}

// Heights of what stands one below the other, from the top, as domains of their axes.
function domains(parts) {
  const gap = 0.025;
  const sum = parts.reduce((a, part) => a + part, 0);
  const room = 1 - gap * (parts.length - 1);
  let top = 1;
  return parts.map((part) => {
    const bottom = top - (room * part) / sum;
    const domain = [Math.max(bottom, 0), top];
    top = bottom - gap;
    return domain;
  });
}

function drawPrice() {
  const symbol = DATA.symbols[chosen];
  const [candles, width] = candlesInView(symbol);
  const fills = fillsInView();
  const every = Math.ceil(fills.length / MOST_MARKERS) || 1;
  const marked = every > 1 ? fills.filter((_, k) => k % every === 0) : fills;
  const trades = tradesInView();
  const lined = trades.length <= MOST_LINES ? trades : trades.filter((i) => i === selected.trade);
  const rows = strips();
  const panels = [...new Set(DATA.plots.filter((line) => line.symbol === chosen && line.panel !== null).map((line) => line.panel))];
  const heights = [300, symbol.volume ? 62 : 0, rows.length * 22, ...panels.map(() => 96)];
  const place = document.getElementById("candles");
  place.style.height = `${heights.reduce((a, h) => a + h, 0) + 90}px`;
  const shown = heights.filter((h) => h > 0);
  const stacked = domains(shown);
  const domain = heights.map((h) => (h > 0 ? stacked.shift() : null));
  const bottom = panels.length ? `y${3 + panels.length}` : rows.length ? "y3" : symbol.volume ? "y2" : "y";
  const layout = baseLayout({
    showlegend: true, hovermode: "closest", dragmode: narrow() ? "pan" : "zoom", margin: margins(), barmode: "overlay",
    xaxis: timeAxis("candles", { anchor: bottom }),
    yaxis: axis({ domain: domain[0], tickformat: ",.7~g", title: side("Price") }),
    shapes: selectedShapes(), annotations: selectedNotes(),
  });
  if (symbol.volume) layout.yaxis2 = axis({ domain: domain[1], tickformat: "~s", nticks: 3, title: side("Volume") });
  if (rows.length) layout.yaxis3 = axis({ domain: domain[2], range: [rows.length - 0.5, -0.5], tickvals: rows.map((_, k) => k), ticktext: rows.map((row) => row[0]), showgrid: false, zeroline: false, fixedrange: true });
  panels.forEach((panel, k) => (layout[`yaxis${4 + k}`] = axis({ domain: domain[3 + k], nticks: 4, tickformat: ",.6~g", title: side(escapeText(panel)) })));
  const axisOf = (panel) => (panel === null ? "y" : `y${4 + panels.indexOf(panel)}`);
  const traces = [
    ...candleTraces(candles, width), tradeTrace(lined, true), tradeTrace(lined, false), ...plotTraces(axisOf),
    ...rows.map((row, k) => strip(k, ...row.slice(1))), fillTrace(marked, 1), fillTrace(marked, -1),
  ];
  document.getElementById("candle-hint").textContent = hint(width, fills.length, every, trades.length - lined.length);
  return Plotly.react("candles", traces, layout, config());
}

function hint(width, fills, every, unlined) {
  const minutes = width / MINUTE;
  const length = minutes < 60 ? `${minutes} min` : minutes < 1440 ? `${minutes / 60} h` : `${minutes / 1440} d`;
  if (!DATA.fills.at.length) return `Candles of ${length}; the run has no fills.`;
  const some = every > 1 ? `one fill in ${every} is marked` : `${count(fills)} fills in view`;
  const lines = unlined > 0 ? `; zoom in to see trades as lines from entry to exit` : "";
  return `Candles of ${length}, ${some}${lines}. Click a fill or a trade for its explanation.${DATA.fills_note}`;
}
