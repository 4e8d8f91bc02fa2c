"use strict";
// What the charts of every page share: colours of the theme, axes, layout.

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const CONFIG = { displaylogo: false, responsive: true, modeBarButtons: [["toImage"], ["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]] };

function axis(extra) {
  return Object.assign({ gridcolor: color("line"), zerolinecolor: color("line"), linecolor: color("line"), automargin: true }, extra);
}

function baseLayout(extra) {
  return Object.assign(
    {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: color("soft"), size: 12, family: "system-ui, Segoe UI, Roboto, DejaVu Sans, sans-serif" },
      margin: { l: 60, r: 16, t: 8, b: 36 },
      hoverlabel: { bgcolor: color("panel"), bordercolor: color("line"), font: { color: color("text") }, align: "left" },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: color("held"), activecolor: color("own") },
      showlegend: false,
    },
    extra,
  );
}
