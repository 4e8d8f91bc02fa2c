// The page of a comparison: curves laid over each other, a map of two parameters, and a table. A click opens a variant.

const DATA = JSON.parse(document.getElementById("data").textContent);
const PER_PAGE = 50;
const rows = DATA.rows;
const element = (id) => document.getElementById(id);
const percent = (v, sign) => (v === null || v === undefined ? "n/a" : (sign && v > 0 ? "+" : "") + (100 * v).toFixed(2) + " %");
const number = (v) => (v === null || v === undefined ? "n/a" : v.toFixed(2));
const write = (v, kind) => (kind === "percent" ? percent(v, true) : kind === "count" ? (v === null ? "n/a" : String(v)) : number(v));
const colored = (column) => ["return", "sharpe", "excess"].includes(column);

function openVariant(row) {
  if (row.run) {
    window.open(encodeURI(row.run) + "/report.html", "_blank");
    return;
  }
  const box = element("opened");
  box.hidden = false;
  box.textContent = row.status === "done" ? "No report was kept for this variant. To make it: " : `${row.variant}: ${row.error}`;
  if (row.status === "done") {
    const code = document.createElement("code");
    code.textContent = row.command;
    box.append(code);
  }
  box.scrollIntoView({ block: "nearest" });
}

function drawCurves() {
  const shown = rows.filter((row) => row.curve);
  const winnerLast = shown.slice().sort((a, b) => Number(a.winner) - Number(b.winner));
  const traces = winnerLast.map((row) => ({
    type: "scatter", mode: "lines", name: row.name + (row.winner ? " (winner)" : ""), x: DATA.times, y: row.curve,
    line: { color: color(row.winner ? "own" : "held"), width: row.winner ? 2.4 : 1 }, opacity: row.winner ? 1 : 0.55,
    showlegend: row.winner, customdata: DATA.times.map(() => row.number),
    hovertemplate: `${escapeHtml(row.name)}<br>%{x|%Y-%m-%d %H:%M}: %{y:+.2%}<extra></extra>`,
  }));
  traces.push({
    type: "scatter", mode: "lines", name: `Benchmark: ${DATA.benchmark_name}`, x: DATA.times, y: DATA.benchmark,
    line: { color: color("warn"), width: 1.6, dash: "dot" }, hovertemplate: "Benchmark<br>%{x|%Y-%m-%d %H:%M}: %{y:+.2%}<extra></extra>",
  });
  const cuts = DATA.cuts.map((x) => ({ type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: { color: color("soft"), width: 1, dash: "dash" } }));
  const words = DATA.cuts.length ? [{ x: DATA.cuts[DATA.cuts.length - 1], y: 1, yref: "paper", text: "out-of-sample", showarrow: false, xanchor: "left", yanchor: "top", xshift: 4, font: { color: color("soft"), size: 11 } }] : [];
  const layout = baseLayout({
    showlegend: true, hovermode: "closest", margin: { l: 56, r: 12, t: 30, b: 36 }, shapes: cuts, annotations: words,
    xaxis: axis({ type: "date" }), yaxis: axis({ tickformat: "+.1%" }),
  });
  const all = shown.length === rows.filter((row) => row.status === "done").length;
  element("curves-hint").textContent = `Return since the start${all ? "" : ` of the first ${shown.length} variants`}. A click on a line opens its report.`;
  const chart = element("curves");
  Plotly.react(chart, traces, layout, CONFIG);
  chart.removeAllListeners("plotly_click");
  chart.on("plotly_click", (event) => event.points.length && event.points[0].customdata && openVariant(byNumber(event.points[0].customdata)));
}

const byNumber = (wanted) => rows.find((row) => row.number === wanted);
const escapeHtml = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

const map = { agent: null, x: null, y: null, metric: null };
const axesOf = (agent) => (DATA.maps.find((one) => one.agent === agent) || { varied: [] }).varied;

function choice(label, values, key, names) {
  const box = document.createElement("label");
  const select = document.createElement("select");
  values.forEach((value, i) => select.append(new Option(names ? names[i] : value, value, false, value === map[key])));
  select.addEventListener("change", () => { map[key] = select.value; settle(key); drawMap(); });
  box.append(label, select);
  return box;
}

// Two different parameters, of the agent that is chosen.
function settle(changed) {
  const varied = axesOf(map.agent);
  if (!varied.includes(map.x)) map.x = varied[varied.length > 1 ? 1 : 0];
  if (!varied.includes(map.y) || map.y === map.x) {
    const other = varied.find((name) => name !== map.x) || null;
    if (changed === "y" && other) map.x = varied.find((name) => name !== map.y);
    else map.y = other;
  }
}

function drawMap() {
  const panel = element("map-panel");
  panel.hidden = !DATA.maps.length;
  if (panel.hidden) return;
  map.agent = map.agent || DATA.maps[0].agent;
  map.metric = map.metric || DATA.metrics.find((one) => one.column === "sharpe").key;
  settle();
  const varied = axesOf(map.agent);
  const box = element("map-choices");
  box.replaceChildren();
  if (DATA.maps.length > 1) box.append(choice("Agent", DATA.maps.map((one) => one.agent), "agent", DATA.maps.map((one) => one.name)));
  box.append(choice("Across", varied, "x"));
  if (map.y) box.append(choice("Up", varied, "y"));
  box.append(choice("Colour", DATA.metrics.map((one) => one.key), "metric", DATA.metrics.map((one) => one.label)));
  const metric = DATA.metrics.find((one) => one.key === map.metric);
  const mine = rows.filter((row) => row.agent === map.agent && row.status === "done");
  const levels = (name) => [...new Set(mine.map((row) => row.parameters[name]))].sort((a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a) < String(b) ? -1 : 1));
  const xs = levels(map.x), ys = map.y ? levels(map.y) : [""];
  const cells = ys.map((y) => xs.map((x) => {
    const here = mine.filter((row) => row.parameters[map.x] === x && (!map.y || row.parameters[map.y] === y) && row.values[map.metric] !== null);
    return here.sort((a, b) => b.values[map.metric] - a.values[map.metric])[0] || null;
  }));
  const several = varied.length > (map.y ? 2 : 1);
  element("map-hint").textContent = `A plateau is worth more than a peak. ${several ? "Each cell shows the best over the other parameters. " : ""}A click on a cell opens its report.`;
  const z = cells.map((line) => line.map((row) => (row ? row.values[map.metric] : null)));
  const known = z.flat().filter((v) => v !== null);
  const signed = metric.signed && known.some((v) => v < 0) && known.some((v) => v > 0);
  const most = Math.max(...known.map(Math.abs), 1e-12);
  const few = xs.length * ys.length <= 400 && xs.length <= Math.max(element("map").clientWidth / 46, 3);
  const trace = {
    type: "heatmap", x: xs.map(String), y: ys.map(String), z, xgap: 2, ygap: 2, hoverongaps: false,
    text: z.map((line) => line.map((v) => (v === null ? "" : write(v, metric.kind)))), texttemplate: few ? "%{text}" : "",
    customdata: cells.map((line) => line.map((row) => (row ? escapeHtml(row.name) : ""))),
    hovertemplate: "%{customdata}<br>" + metric.label + " %{text}<extra></extra>",
    colorscale: signed ? [[0, color("bad")], [0.5, color("panel")], [1, color("good")]] : [[0, color("hover")], [1, color("own")]],
    ...(signed ? { zmin: -most, zmax: most } : {}), colorbar: { thickness: 10, outlinewidth: 0, tickformat: metric.kind === "percent" ? ".1%" : "", tickfont: { color: color("soft") } },
    showscale: element("map").clientWidth > 520,
  };
  const layout = baseLayout({
    margin: { l: 56, r: 12, t: 34, b: 44 },
    xaxis: axis({ type: "category", title: { text: map.x }, showgrid: false }),
    yaxis: axis({ type: "category", title: { text: map.y || "" }, showgrid: false }),
  });
  const chart = element("map");
  chart.style.height = `${Math.min(Math.max(130 + 40 * ys.length, 210), 620)}px`;
  Plotly.react(chart, [trace], layout, CONFIG);
  chart.removeAllListeners("plotly_click");
  chart.on("plotly_click", (event) => {
    const [i, j] = event.points[0].pointIndex || event.points[0].pointNumber;
    if (cells[i][j]) openVariant(cells[i][j]);
  });
}

const table = { column: null, down: true, page: 0 };

function ordered() {
  if (table.column === null) return rows;
  const value = (row) => (table.column === "variant" ? row.name : row.values[table.column]);
  const known = rows.filter((row) => value(row) !== null && value(row) !== undefined);
  const unknown = rows.filter((row) => !known.includes(row));
  known.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (table.down ? -1 : 1));
  return known.concat(unknown);
}

function heading(line, key, label, word) {
  const th = document.createElement("th");
  const button = document.createElement("button");
  if (word) th.className = "word";
  button.textContent = label;
  button.addEventListener("click", () => {
    table.down = table.column === key ? !table.down : key !== "variant";
    table.column = key;
    table.page = 0;
    drawTable();
  });
  if (table.column === key) th.setAttribute("aria-sort", table.down ? "descending" : "ascending");
  th.append(button);
  line.append(th);
}

// The line above the headings: which part they are of.
function groups() {
  const line = document.createElement("tr");
  line.className = "over";
  line.append(document.createElement("th"));
  DATA.parts.forEach((part) => {
    const th = document.createElement("th");
    th.colSpan = DATA.metrics.length / DATA.parts.length;
    th.textContent = part;
    line.append(th);
  });
  return line;
}

function drawTable() {
  const whole = element("variants");
  const head = document.createElement("thead"), body = document.createElement("tbody"), line = document.createElement("tr");
  heading(line, "variant", "Variant", true);
  DATA.metrics.forEach((metric) => heading(line, metric.key, metric.short));
  if (DATA.parts.length > 1) head.append(groups());
  head.append(line);
  const all = ordered(), pages = Math.ceil(all.length / PER_PAGE);
  all.slice(table.page * PER_PAGE, (table.page + 1) * PER_PAGE).forEach((row) => body.append(tableRow(row)));
  whole.replaceChildren(head, body);
  const nav = element("pages");
  nav.replaceChildren();
  if (pages < 2) return;
  const step = (label, by) => {
    const button = document.createElement("button");
    button.textContent = label;
    button.disabled = table.page + by < 0 || table.page + by >= pages;
    button.addEventListener("click", () => { table.page += by; drawTable(); });
    return button;
  };
  nav.append(step("Back", -1), `${table.page + 1} of ${pages}`, step("On", 1));
}

function tableRow(row) {
  const line = document.createElement("tr");
  if (row.winner) line.className = "winner";
  const name = document.createElement("td");
  name.className = "word";
  name.title = row.variant;
  if (row.run) {
    const link = document.createElement("a");
    link.href = encodeURI(row.run) + "/report.html";
    link.textContent = (row.winner ? "★ " : "") + row.name;
    name.append(link);
  } else name.textContent = (row.winner ? "★ " : "") + row.name;
  line.append(name);
  if (row.status !== "done") {
    const cell = document.createElement("td");
    cell.className = "word bad";
    cell.colSpan = DATA.metrics.length;
    cell.textContent = `${row.status === "refused" ? "not possible" : "failed"}: ${row.error}`;
    line.append(cell);
  } else {
    DATA.metrics.forEach((metric) => {
      const cell = document.createElement("td"), value = row.values[metric.key];
      cell.textContent = write(value, metric.kind);
      if (colored(metric.column) && value) cell.className = value > 0 ? "good" : "bad";
      line.append(cell);
    });
  }
  line.addEventListener("click", (event) => { if (event.target.tagName !== "A") openVariant(row); });
  return line;
}

function draw() {
  drawCurves();
  drawMap();
  drawTable();
}

element("steps-panel").hidden = !DATA.steps;
draw();
dark.addEventListener("change", draw);
