// The start of it all.

// What a run cannot show takes no place on its page.
function leaveOut(id) {
  const place = document.getElementById(id);
  if (place) place.closest(".panel").remove();
  return null;
}

function offerSymbols() {
  const select = document.getElementById("symbol");
  DATA.symbols.forEach((symbol, k) => select.add(new Option(symbol.name, String(k))));
  select.hidden = DATA.symbols.length < 2;
  select.addEventListener("change", () => {
    chosen = Number(select.value);
    drawPrice();
  });
}

function drawAll() {
  const returns = sessionReturns(DATA.sessions.equity, DATA.initial_capital);
  const drawn = (id) => document.getElementById(id) !== null;
  if (times.length) {
    drawOverview();
    drawPrice();
  } else {
    ["overview", "candles"].filter(drawn).forEach(leaveOut);
  }
  if (drawn("distribution")) drawDistribution(returns);
  if (drawn("rolling")) drawRolling(returns);
  if (drawn("heatmap")) drawHeatmap(returns);
}

// A click on a fill or on the line of a trade selects it.
function answerClicks() {
  document.getElementById("candles").on("plotly_click", (event) => {
    const about = event.points.map((point) => point.customdata).find((data) => data && (data.fill || data.trade !== undefined));
    if (!about) return;
    selectTrade(about.fill ? tradeOf(about.fill) : about.trade, about.fill || null);
    drawPrice();
    drawTrades();
  });
}

// A row of the drawdowns shows its time on the charts.
function answerDrawdowns() {
  document.querySelectorAll("[data-from]").forEach((row) =>
    row.addEventListener("click", () => {
      showBars(lowerBound(times, Number(row.dataset.from)), lowerBound(times, Number(row.dataset.to)));
      document.getElementById("overview").scrollIntoView({ block: "center" });
    }),
  );
}

if (times.length) offerSymbols();
drawAll();
drawTrades();
if (times.length) {
  ["overview", "candles"].forEach(follow);
  answerClicks();
  answerDrawdowns();
}
let laidOut = window.innerWidth;
window.addEventListener("resize", () => {
  if (times.length && window.innerWidth !== laidOut) drawAll();
  laidOut = window.innerWidth;
});
dark.addEventListener("change", drawAll);
