// Strips beneath the price: what was held, and what each agent of an ensemble wanted and how sure it was.

const MOST_CELLS = 1500;
const SEATS = {
  strategic: { low: -1, high: 1, colors: ["bad", "page", "good"], text: (v, c) => `${v > 0 ? "long" : v < 0 ? "short" : "neutral"}, ${percent(c, 0)} sure`, shade: (v, c) => v * (0.3 + 0.7 * c) },
  tactical: { low: 0, high: 2, colors: ["page", "own"], text: (v, c, d, k) => `scale ${v.toFixed(2)}, timing ${d.timing[k].toFixed(2)}, stop ${percent(d.stop[k])}, ${percent(c, 0)} sure`, shade: (v) => v },
  risk: { low: 0, high: 4, colors: ["page", "warn"], text: (v, c) => `exposure ${percent(v / 4, 0)}, ${percent(c, 0)} sure`, shade: (v) => v },
};

// Stretches over which a value held, those in view: where each begins, and where the next one does.
function stretches(at, upTo) {
  const found = [];
  for (let k = 0; k < at.length; k++) {
    const next = k + 1 < at.length ? at[k + 1] : upTo;
    if (next > at[k] && next >= visible[0] && at[k] <= visible[1]) found.push([k, at[k], next]);
  }
  const every = Math.ceil(found.length / MOST_CELLS);
  if (every === 1) return found;
  return found.filter((_, k) => k % every === 0).map((one, k, all) => [one[0], one[1], k + 1 < all.length ? all[k + 1][1] : upTo]);
}

function strip(row, cells, colors, low, high) {
  const scale = colors.map((name, k) => [k / (colors.length - 1), color(name)]);
  const last = cells[cells.length - 1];
  return {
    type: "heatmap", yaxis: "y3", showscale: false, zmin: low, zmax: high, colorscale: scale, hoverinfo: "text",
    x: [...cells.map((c) => c.start - 0.5), last.stop - 0.5], y: [row - 0.42, row + 0.42], z: [cells.map((c) => c.z)], text: [cells.map((c) => c.text)],
  };
}

// Rows beneath the price: what was held, and what each agent of an ensemble wanted.
function strips() {
  const rows = [];
  const held = [];
  DATA.fills.at.forEach((_, i) => DATA.fills.symbol[i] === chosen && held.push(i));
  if (held.length && !DATA.fills_note) {
    const most = Math.max(...held.map((i) => Math.abs(DATA.fills.position[i]))) || 1;
    const cells = stretches(held.map((i) => DATA.fills.at[i]), times.length).map(([k, start, stop]) => {
      const position = DATA.fills.position[held[k]];
      return { start, stop, z: position / most, text: `${moment(DATA.fills.ts[held[k]])}<br>position ${price(position)}` };
    });
    if (cells.length) rows.push(["position", cells, ["bad", "page", "good"], -1, 1]);
  }
  for (const one of DATA.agents.filter((a) => a.symbol === chosen || a.symbol < 0)) {
    const seat = SEATS[one.seat];
    const cells = stretches(one.at, times.length).map(([k, start, stop]) => {
      const [value, confidence] = [one.values[k], one.confidence[k]];
      return { start, stop, z: seat.shade(value, confidence), text: `${moment(times[one.at[k]])}<br>${one.seat}: ${seat.text(value, confidence, one, k)}` };
    });
    if (cells.length) rows.push([one.seat, cells, seat.colors, seat.low, seat.high]);
  }
  return rows;
}
