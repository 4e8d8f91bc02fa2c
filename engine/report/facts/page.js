// The page of facts: each curve of all markets in one picture, with the band of its interval.

const DATA = JSON.parse(document.getElementById("data").textContent);
const HUES = ["own", "bad", "good", "warn", "held", "soft"];
const plainText = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function traces(chart) {
  const found = [];
  chart.lines.forEach((line, k) => {
    if (!line) return;
    const hue = color(HUES[k % HUES.length]), name = plainText(DATA.names[k]);
    const edge = { type: "scatter", mode: "lines", x: line.x, line: { width: 0 }, hoverinfo: "skip", showlegend: false, legendgroup: name };
    found.push({ ...edge, y: line.low });
    found.push({ ...edge, y: line.high, fill: "tonexty", fillcolor: faint(hue) });
    found.push({
      type: "scatter", mode: line.x.length > 60 ? "lines" : "lines+markers", name, legendgroup: name, x: line.x, y: line.value,
      line: { color: hue, width: 1.6, dash: k >= HUES.length ? "dot" : "solid" }, marker: { size: 4 },
      hovertemplate: `${name}<br>%{x:.4~g}: %{y:.4~g}<extra></extra>`,
    });
  });
  return found;
}

function faint(hue) {
  const parts = /^#(..)(..)(..)$/.exec(hue);
  return parts ? `rgba(${parts.slice(1).map((part) => parseInt(part, 16)).join(",")},0.13)` : "rgba(128,128,128,0.13)";
}

function draw() {
  DATA.charts.forEach((chart) => {
    const layout = baseLayout({
      showlegend: DATA.names.length > 1, hovermode: "closest", margin: { l: 56, r: 12, t: 56, b: 40 },
      xaxis: axis({ title: { text: chart.across, standoff: 6 }, type: chart.logarithmic.includes("x") ? "log" : "linear" }),
      yaxis: axis({ type: chart.logarithmic.includes("y") ? "log" : "linear", zeroline: true }),
    });
    Plotly.react(document.getElementById(chart.key), traces(chart), layout, CONFIG);
  });
}

draw();
dark.addEventListener("change", draw);
