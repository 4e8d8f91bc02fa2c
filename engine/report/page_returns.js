// Returns of the sessions: their distribution, the rolling Sharpe ratio, and a table by day and month.

function drawDistribution(returns) {
  if (returns.length < 5 || returns.every((r) => r === 0)) return leaveOut("distribution");
  const low = Math.min(...returns);
  const high = Math.max(...returns);
  const bins = Math.max(8, Math.min(60, Math.ceil(2 * Math.cbrt(returns.length))));
  const size = (high - low) / bins || 1e-6;
  const counts = new Array(bins).fill(0);
  for (const r of returns) counts[Math.min(Math.floor((r - low) / size), bins - 1)] += 1;
  const centers = counts.map((_, k) => low + (k + 0.5) * size);
  const trace = { type: "bar", x: centers, y: counts, width: size * 0.92, marker: { color: centers.map((c) => color(c < 0 ? "bad" : "good")), opacity: 0.75 }, hovertemplate: `%{x:${percentTicks(size)}}: %{y} sessions<extra></extra>` };
  const marks = [["mean", returns.reduce((a, b) => a + b, 0) / returns.length, "own"], ["VaR 95", DATA.var_95, "soft"]].filter((m) => m[1] !== null);
  return Plotly.react("distribution", [trace], baseLayout({
    margin: { l: 46, r: 16, t: 24, b: 36 }, bargap: 0.05,
    xaxis: axis({ tickformat: percentTicks(high - low), nticks: narrow() ? 4 : 7 }), yaxis: axis({ title: side("Sessions") }),
    shapes: marks.map((m) => ({ type: "line", x0: m[1], x1: m[1], yref: "paper", y0: 0, y1: 1, line: { color: color(m[2]), width: 1.5, dash: "dot" } })),
    annotations: marks.map((m) => ({ x: m[1], yref: "paper", y: 1.09, showarrow: false, text: m[0], font: { color: color(m[2]), size: 11 } })),
  }), config());
}

function drawRolling(returns) {
  const window_ = Math.min(63, Math.floor(returns.length / 2));
  if (window_ < 20) return leaveOut("rolling");
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
  }), config());
}

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
  return `<td class="${extra}" style="background:${value ? tint : "var(--page)"}" title="${percent(value, 3)}">${(100 * value).toFixed(scale < 0.005 ? 2 : 1).replace(/^-(0\.0+)$/, "$1")}</td>`;
}

function heatTable(rows, columns, headings, cells, total) {
  const scale = Math.max(...[...cells.values()].map((g) => Math.abs(g - 1)));
  const used = columns.map((c) => rows.some((row) => cells.has(`${row}-${c}`)));
  const some = (list) => (narrow() ? list.filter((_, k) => used[k]) : list);
  const head = `<tr><th></th>${some(headings).map((h) => `<th>${h}</th>`).join("")}<th>Total</th></tr>`;
  const body = rows.map((row) => `<tr><th class="word">${row}</th>${some(columns).map((c) => heatCell(cells.get(`${row}-${c}`), scale)).join("")}${heatCell(total.get(row), scale, "total")}</tr>`);
  return `<table aria-label="Returns in percent"><thead>${head}</thead><tbody>${body.join("")}</tbody></table>`;
}

function drawHeatmap(returns) {
  if (returns.length < 2 || returns.every((r) => r === 0)) return leaveOut("heatmap");
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
