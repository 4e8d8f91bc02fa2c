// Equity beside buy and hold, drawdown and exposure, no more points than the screen can show.

const MOST_POINTS = 2400;

function curve(values, extra) {
  const [from, to] = visibleRows();
  const kept = thin(values, from, to, MOST_POINTS);
  return Object.assign({ type: "scatter", mode: "lines", x: kept, y: kept.map((i) => values[i]), customdata: kept.map((i) => moment(times[i])) }, extra);
}

function drawOverview() {
  const line = (name, width) => ({ color: color(name), width });
  const amount = `${SIGN}%{y:,.2f}${CODE}`;
  const traces = [
    curve(DATA.chart.buy_and_hold, { name: DATA.benchmark[0].toUpperCase() + DATA.benchmark.slice(1), line: line("held", 1.4), hovertemplate: amount }),
    curve(DATA.chart.equity, { name: "Equity", line: line("own", 1.8), hovertemplate: amount }),
    curve(DATA.chart.drawdown, { name: "Drawdown", yaxis: "y2", line: line("bad", 1), fill: "tozeroy", fillcolor: color("fill"), hovertemplate: "%{y:.2%}", showlegend: false }),
    curve(DATA.chart.exposure, { name: "Exposure", yaxis: "y3", line: Object.assign(line("own", 1), { shape: "hv" }), fill: "tozeroy", fillcolor: color("area"), hovertemplate: "%{y:.2f}x", showlegend: false }),
  ];
  // a run that never held anything has neither drawdown nor exposure to draw
  const still = spread(DATA.chart.exposure) === 0 && spread(DATA.chart.drawdown) === 0;
  const layout = baseLayout({
    showlegend: true,
    hovermode: "x unified",
    margin: margins(),
    xaxis: timeAxis("overview", { anchor: still ? "y" : "y3" }),
    yaxis: axis({ domain: [still ? 0 : 0.46, 1], tickprefix: SIGN, tickformat: spread(DATA.chart.equity) < 10 ? ",.2f" : ",.6~g", title: side(`Account${CODE && `,${CODE}`}`) }),
    yaxis2: axis({ domain: [0.23, 0.41], tickformat: percentTicks(spread(DATA.chart.drawdown)), title: side("Drawdown"), rangemode: "tozero", nticks: 4 }),
    shapes: DATA.takeovers.map(({ at }) => ({ type: "line", xref: "x", x0: at, x1: at, yref: "paper", y0: still ? 0 : 0.46, y1: 1, line: { color: color("soft"), width: 1, dash: "dot" } })),
    annotations: takeoverNames(still ? 0 : 0.46),
    yaxis3: axis({ domain: [0, 0.18], tickformat: ".3~g", ticksuffix: "x", title: side("Exposure"), nticks: 4 }),
  });
  return Plotly.react("overview", still ? traces.slice(0, 2) : traces, layout, config());
}

// Who decides from a row on, beside the line that marks it; where names would lie on each other, the next one stands lower.
function takeoverNames(bottom) {
  const room = document.getElementById("overview").clientWidth;
  const [from, to] = visible;
  const ends = [];
  return DATA.takeovers.filter(({ at }) => at >= from && at <= to).map(({ at, name }) => {
    const x = (room * (at - from)) / (to - from);
    let level = ends.findIndex((end) => end < x);
    if (level < 0) level = ends.length;
    const text = name.length > 24 ? `${name.slice(0, 23)}…` : name;
    const left = x + 7 * text.length > room - 80;
    ends[level] = left ? x : x + 7 * text.length + 8;
    return { x: at, xref: "x", yref: "paper", y: Math.max(1 - 0.045 * level, bottom + 0.05), xanchor: left ? "right" : "left", yanchor: "top", text: escapeText(text), hovertext: escapeText(name), showarrow: false, font: { size: 11, color: color("soft") } };
  });
}

// On a small screen names of axes and the tools would take the room of the curves.
const side = (text) => ({ text: narrow() ? "" : text });
const margins = () => ({ l: narrow() ? 8 : 60, r: narrow() ? 8 : 16, t: 30, b: 36 });
const config = () => Object.assign({}, CONFIG, { displayModeBar: narrow() ? false : "hover" });

// As many decimals as tell the ticks of an axis apart.
const percentTicks = (range) => `.${range > 0 ? Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(25 * range)))) : 1}~%`;

function spread(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return high - low;
}
