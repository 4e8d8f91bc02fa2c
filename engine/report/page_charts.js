// The charts. Those over time share one visible range and draw no more than the screen can show.

const MOST_POINTS = 2400;
const MOST_CANDLES = 320;
const MOST_MARKERS = 1200;
const MINUTE = 60000;
const WIDTHS = [1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 720, 1440, 2880, 10080, 43200].map((m) => m * MINUTE);

const times = DATA.chart.ts;
const whole = times.length ? [times[0], times[times.length - 1]] : [0, 1];
let visible = whole.slice();
let chosen = 0;

function visibleRows() {
  const from = Math.max(lowerBound(times, visible[0]) - 1, 0);
  const to = Math.min(lowerBound(times, visible[1] + 1) + 1, times.length);
  return [from, to];
}

function curve(values, extra) {
  const [from, to] = visibleRows();
  const kept = thin(values, from, to, MOST_POINTS);
  return Object.assign({ type: "scatter", mode: "lines", x: kept.map((i) => times[i]), y: kept.map((i) => values[i]) }, extra);
}

function drawOverview() {
  const line = (name, width) => ({ color: color(name), width });
  const traces = [
    curve(DATA.chart.buy_and_hold, { name: DATA.benchmark, line: line("held", 1.4), hovertemplate: "%{y:,.2f}" }),
    curve(DATA.chart.equity, { name: "Equity", line: line("own", 1.8), hovertemplate: "%{y:,.2f}" }),
    curve(DATA.chart.drawdown, { name: "Drawdown", yaxis: "y2", line: line("bad", 1), fill: "tozeroy", fillcolor: color("fill"), hovertemplate: "%{y:.2%}", showlegend: false }),
    curve(DATA.chart.exposure, { name: "Exposure", yaxis: "y3", line: Object.assign(line("own", 1), { shape: "hv" }), fill: "tozeroy", fillcolor: color("area"), hovertemplate: "%{y:.2f}x", showlegend: false }),
  ];
  const layout = baseLayout({
    showlegend: true,
    hovermode: "x unified",
    margin: { l: 60, r: 16, t: 30, b: 36 },
    xaxis: axis({ type: "date", range: visible.slice(), anchor: "y3", hoverformat: "%Y-%m-%d %H:%M" }),
    yaxis: axis({ domain: [0.46, 1], tickformat: ",.6~g", title: { text: "Account" } }),
    yaxis2: axis({ domain: [0.23, 0.41], tickformat: ".1%", title: { text: "Drawdown" }, rangemode: "tozero" }),
    yaxis3: axis({ domain: [0, 0.18], ticksuffix: "x", title: { text: "Exposure" } }),
  });
  return Plotly.react("overview", traces, layout, CONFIG);
}

// Bars of the visible range, joined to candles of a round length of time.
function candlesInView(symbol) {
  const [from, to] = visibleRows();
  const step = times.length > 1 ? (whole[1] - whole[0]) / (times.length - 1) : MINUTE;
  const wanted = Math.max((visible[1] - visible[0]) / MOST_CANDLES, Math.min(step, smallestStep()));
  const width = WIDTHS.find((w) => w >= wanted) || WIDTHS[WIDTHS.length - 1];
  const candles = [];
  for (let i = from; i < to; i++) {
    if (Number.isNaN(symbol.open[i])) continue;
    const slot = Math.floor((times[i] - 1) / width);
    const last = candles[candles.length - 1];
    if (last && last.slot === slot) {
      last.high = Math.max(last.high, symbol.high[i]);
      last.low = Math.min(last.low, symbol.low[i]);
      last.close = symbol.close[i];
    } else {
      candles.push({ slot, open: symbol.open[i], high: symbol.high[i], low: symbol.low[i], close: symbol.close[i] });
    }
  }
  return [candles, width];
}

function smallestStep() {
  let step = Infinity;
  for (let i = 1; i < Math.min(times.length, 500); i++) step = Math.min(step, times[i] - times[i - 1]);
  return step;
}

function candleTrace(candles, width) {
  const text = candles.map((c) => `${moment(c.slot * width)} to ${moment((c.slot + 1) * width).slice(11)}<br>open ${price(c.open)}<br>high ${price(c.high)}<br>low ${price(c.low)}<br>close ${price(c.close)}`);
  const side = (name) => ({ line: { color: color(name), width: 1 }, fillcolor: color(name) });
  return {
    type: "candlestick", name: "Price", hoverinfo: "text", text,
    x: candles.map((c) => (c.slot + 0.5) * width),
    open: candles.map((c) => c.open), high: candles.map((c) => c.high), low: candles.map((c) => c.low), close: candles.map((c) => c.close),
    increasing: side("good"), decreasing: side("bad"), opacity: 0.55, showlegend: false,
  };
}

function fillsInView(symbolIndex) {
  const fills = DATA.fills;
  const shown = [];
  for (let i = lowerBound(fills.ts, visible[0]); i < fills.ts.length && fills.ts[i] <= visible[1]; i++) {
    if (fills.symbol[i] === symbolIndex) shown.push(i);
  }
  return shown;
}

function fillTrace(indices, side) {
  const fills = DATA.fills;
  const picked = indices.filter((i) => fills.side[i] === side);
  const text = picked.map((i) => {
    const profit = fills.realized[i] ? `<br>profit ${money(fills.realized[i])} before fees` : "";
    return `<b>${side > 0 ? "Buy" : "Sell"} ${price(fills.quantity[i])} at ${price(fills.price[i])}</b><br>${moment(fills.ts[i])}<br>${escapeText(DATA.roles[fills.role[i]]).replace("_", " ")}, position then ${price(fills.position[i])}${profit}`;
  });
  return {
    type: "scatter", mode: "markers", name: side > 0 ? "Buy" : "Sell", hoverinfo: "text", text,
    x: picked.map((i) => fills.ts[i]), y: picked.map((i) => fills.price[i]),
    marker: { symbol: side > 0 ? "triangle-up" : "triangle-down", size: 10, color: color(side > 0 ? "good" : "bad"), line: { color: color("panel"), width: 1 } },
  };
}

function drawCandles() {
  const symbol = DATA.symbols[chosen];
  const [candles, width] = candlesInView(symbol);
  const inView = fillsInView(chosen);
  const every = Math.ceil(inView.length / MOST_MARKERS);
  const marked = every > 1 ? inView.filter((_, k) => k % every === 0) : inView;
  const minutes = width / MINUTE;
  const length = minutes < 60 ? `${minutes} min` : minutes < 1440 ? `${minutes / 60} h` : `${minutes / 1440} d`;
  const some = every > 1 ? `One fill in ${every} is marked: zoom in to see them all.` : `${inView.length} fills in view.`;
  document.getElementById("candle-hint").textContent = `Candles of ${length}; zoom in for shorter ones. ${some}${DATA.fills_note}`;
  const layout = baseLayout({
    showlegend: true, hovermode: "closest", dragmode: "zoom", margin: { l: 60, r: 16, t: 30, b: 36 },
    xaxis: axis({ type: "date", range: visible.slice(), rangeslider: { visible: false } }),
    yaxis: axis({ tickformat: ",.7~g", title: { text: "Price" } }),
  });
  return Plotly.react("candles", [candleTrace(candles, width), fillTrace(marked, 1), fillTrace(marked, -1)], layout, CONFIG);
}

function show(from, to) {
  const range = [Math.max(from, whole[0]), Math.min(to, whole[1])];
  if (!(range[1] > range[0]) || (range[0] === visible[0] && range[1] === visible[1])) return;
  visible = range;
  drawOverview();
  drawCandles();
}

function follow(id) {
  document.getElementById(id).on("plotly_relayout", (change) => {
    if (change["xaxis.autorange"]) show(whole[0], whole[1]);
    else if ("xaxis.range[0]" in change) show(toMs(change["xaxis.range[0]"]), toMs(change["xaxis.range[1]"]));
    else if ("xaxis.range" in change) show(toMs(change["xaxis.range"][0]), toMs(change["xaxis.range"][1]));
  });
}

function empty(id, text) {
  const place = document.getElementById(id);
  place.className = "empty";
  place.textContent = text;
}

function drawDistribution(returns) {
  if (returns.length < 5) return empty("distribution", "Needs at least five sessions");
  const low = Math.min(...returns);
  const high = Math.max(...returns);
  const bins = Math.max(8, Math.min(60, Math.ceil(2 * Math.cbrt(returns.length))));
  const size = (high - low) / bins || 1e-6;
  const counts = new Array(bins).fill(0);
  for (const r of returns) counts[Math.min(Math.floor((r - low) / size), bins - 1)] += 1;
  const centers = counts.map((_, k) => low + (k + 0.5) * size);
  const trace = { type: "bar", x: centers, y: counts, width: size * 0.92, marker: { color: centers.map((c) => color(c < 0 ? "bad" : "good")), opacity: 0.75 }, hovertemplate: "%{x:.2%}: %{y} sessions<extra></extra>" };
  const marks = [["mean", returns.reduce((a, b) => a + b, 0) / returns.length, "own"], ["VaR 95", DATA.var_95, "soft"]].filter((m) => m[1] !== null);
  return Plotly.react("distribution", [trace], baseLayout({
    margin: { l: 46, r: 16, t: 24, b: 36 }, bargap: 0.05,
    xaxis: axis({ tickformat: ".1%" }), yaxis: axis({ title: { text: "Sessions" } }),
    shapes: marks.map((m) => ({ type: "line", x0: m[1], x1: m[1], yref: "paper", y0: 0, y1: 1, line: { color: color(m[2]), width: 1.5, dash: "dot" } })),
    annotations: marks.map((m) => ({ x: m[1], yref: "paper", y: 1.09, showarrow: false, text: m[0], font: { color: color(m[2]), size: 11 } })),
  }), CONFIG);
}

function drawRolling(returns) {
  const window_ = Math.min(63, Math.floor(returns.length / 2));
  if (window_ < 20) return empty("rolling", "Needs at least forty sessions");
  const x = [];
  const y = [];
  for (let i = window_; i <= returns.length; i++) {
    const part = returns.slice(i - window_, i);
    const mean = part.reduce((a, b) => a + b, 0) / window_;
    const variance = part.reduce((a, b) => a + (b - mean) ** 2, 0) / (window_ - 1);
    x.push(DATA.sessions.ts[i - 1]);
    y.push(variance > 0 ? (mean / Math.sqrt(variance)) * Math.sqrt(DATA.periods_per_year) : null);
  }
  const trace = { type: "scatter", mode: "lines", x, y, line: { color: color("own"), width: 1.8 }, hovertemplate: "%{x|%Y-%m-%d}: %{y:.2f}<extra></extra>" };
  return Plotly.react("rolling", [trace], baseLayout({
    margin: { l: 46, r: 16, t: 24, b: 36 }, xaxis: axis({ type: "date" }), yaxis: axis({ zeroline: true, zerolinewidth: 1.5 }),
    annotations: [{ xref: "paper", yref: "paper", x: 0, y: 1.09, showarrow: false, text: `over ${window_} sessions, annualised`, font: { size: 11 } }],
  }), CONFIG);
}
