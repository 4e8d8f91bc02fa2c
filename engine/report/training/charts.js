
// Draws every chart of the page from what it holds.

const NARROW = 700;
const CHARTS = JSON.parse(document.getElementById("data").textContent);

function faint(name, alpha) {
  const hex = color(name);
  const part = (k) => parseInt(hex.slice(1 + 2 * k, 3 + 2 * k), 16);
  return `rgba(${part(0)}, ${part(1)}, ${part(2)}, ${alpha})`;
}

function band(x, series) {
  const edge = (y, extra) => Object.assign({ type: "scatter", mode: "lines", x, y, line: { width: 0 }, hoverinfo: "skip", showlegend: false }, extra);
  return [edge(series.low, {}), edge(series.high, { fill: "tonexty", fillcolor: faint("c" + series.color, 0.18) })];
}

function lines(chart, format) {
  return chart.series.flatMap((series) => {
    const alone = series.y.filter((value) => value !== null).length < 2;
    const line = {
      type: "scatter", mode: alone ? "markers" : "lines", name: series.name, x: chart.x, y: series.y,
      line: { color: color("c" + series.color), width: series.thin ? 1 : 2 }, marker: { color: color("c" + series.color), size: 7 },
      opacity: series.thin ? 0.7 : 1, showlegend: !series.thin && chart.series.length > 1,
      hovertemplate: `%{y:${format}}` + (series.name && chart.series.length > 1 ? "" : "<extra></extra>"),
    };
    return series.low.length ? [...band(chart.x, series), line] : [line];
  });
}

function bars(chart, format) {
  return chart.series.map((series) => {
    const known = series.low.length > 0;
    return {
      type: "bar", name: series.name, x: chart.x, y: series.y, marker: { color: color("c" + series.color), opacity: 0.85 },
      hovertemplate: `%{x}: %{y:${format}}<extra></extra>`,
      error_y: known
        ? { type: "data", symmetric: false, color: color("soft"), thickness: 1.5, width: 5,
            array: series.high.map((value, k) => value - series.y[k]), arrayminus: series.low.map((value, k) => series.y[k] - value) }
        : undefined,
    };
  });
}

// A curve that never moves gets a range of its own: Plotly would show -1 to 1 around it.
function range(chart) {
  const values = chart.series.flatMap((series) => [...series.y, ...series.low, ...series.high]).filter((value) => value !== null);
  const low = Math.min(...values), high = Math.max(...values);
  const pad = Math.abs(low) / 2 || 1;
  return chart.kind === "lines" && low === high ? { range: [low - pad, high + pad] } : {};
}

function draw(chart) {
  const inBars = chart.kind === "bars";
  const format = chart.percent ? ".2~%" : ",.4~g";
  const legend = !inBars && chart.series.filter((series) => !series.thin).length > 1;
  const layout = baseLayout({
    showlegend: legend, hovermode: inBars ? "closest" : "x unified", margin: { l: 56, r: 10, t: legend ? 30 : 10, b: 40 }, bargap: 0.25,
    xaxis: axis(inBars ? { type: "category", tickangle: 0, tickvals: chart.x.filter((_, k) => k % (chart.x.length > 7 ? Math.ceil(chart.x.length / 5) : 1) === 0) } : { title: { text: chart.x_label }, tickformat: ",~g" }),
    yaxis: axis({ tickformat: chart.percent ? ".2~%" : ",.3~g", zeroline: true, zerolinewidth: 1.5, ...range(chart) }),
  });
  layout.legend.traceorder = "normal";
  // on a small chart the buttons would cover the legend
  const config = document.getElementById(chart.name).clientWidth < NARROW ? Object.assign({}, CONFIG, { displayModeBar: false }) : CONFIG;
  return Plotly.react(chart.name, inBars ? bars(chart, format) : lines(chart, format), layout, config);
}

const drawAll = () => Object.values(CHARTS).forEach(draw);
drawAll();
dark.addEventListener("change", drawAll);
