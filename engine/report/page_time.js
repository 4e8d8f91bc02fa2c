// Time without gaps: the charts count bars, so that closed hours take no room. All share one visible range.

const times = DATA.chart.ts;
const whole = [-0.5, Math.max(times.length, 1) - 0.5];
let visible = whole.slice();

const MINUTE = 60000;
const DAY = 1440 * MINUTE;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const TICK_MINUTES = [1, 2, 5, 10, 15, 30, 60, 120, 240, 360, 720];
const TICK_DAYS = [1, 2, 7, 14];
const TICK_MONTHS = [1, 3, 6, 12, 24, 60, 120];

const narrow = () => window.innerWidth < 600;
const dayText = (d) => `${MONTHS[d.getUTCMonth()]} ${d.getUTCDate()}`;
const monthOf = (ms) => new Date(ms - 1).getUTCFullYear() * 12 + new Date(ms - 1).getUTCMonth();

// Ways to space ticks, finest first: the number of the stretch that a bar closes in, and the label of a stretch. A bar
// that closes at midnight belongs to the day that ends.
const SPACINGS = [
  ...TICK_MINUTES.map((m) => ({ of: (ms) => Math.floor(ms / (m * MINUTE)), label: (k) => clockText(k * m * MINUTE), group: (k) => dayText(new Date(k * m * MINUTE)) })),
  ...TICK_DAYS.map((d) => ({ of: (ms) => Math.floor((ms - 1) / (d * DAY)), label: (k, ms) => dayText(new Date(ms - 1)), group: (k, ms) => new Date(ms - 1).getUTCFullYear() })),
  ...TICK_MONTHS.map((m) => ({ of: (ms) => Math.floor(monthOf(ms) / m), label: (k, ms) => (m < 12 ? MONTHS[monthOf(ms) % 12] : Math.floor(monthOf(ms) / 12)), group: (k, ms) => (m < 12 ? Math.floor(monthOf(ms) / 12) : "") })),
];

const clockText = (ms) => new Date(ms).toISOString().slice(11, 16);

// Rows in view, as a half-open range.
function visibleRows() {
  return [Math.max(Math.ceil(visible[0] - 1), 0), Math.min(Math.floor(visible[1] + 1) + 1, times.length)];
}

function boundaries(spacing, from, to, most) {
  const found = [];
  let last = from > 0 ? spacing.of(times[from - 1]) : null;
  for (let i = from; i < to; i++) {
    const number = spacing.of(times[i]);
    if (number !== last && last !== null) {
      found.push([i, number]);
      if (found.length > most) return null;
    }
    last = number;
  }
  return found;
}

// Places and texts of the ticks: as many round times as there is room for.
function ticks(most) {
  const [from, to] = visibleRows();
  const least = (0.5 * (visible[1] - visible[0])) / most;
  let chosen = null;
  const spacing = SPACINGS.find((s) => (chosen = boundaries(s, from, to, most)) !== null) || SPACINGS[SPACINGS.length - 1];
  const vals = [];
  const text = [];
  let group = null;
  for (const [i, number] of chosen || []) {
    if (vals.length && i - vals[vals.length - 1] < least) continue;
    const own = spacing.group(number, times[i]);
    vals.push(i);
    text.push(`${spacing.label(number, times[i])}${own === group || own === "" ? "" : `<br>${own}`}`);
    group = own;
  }
  return vals.length ? { tickvals: vals, ticktext: text } : { tickvals: [from], ticktext: [moment(times[from])] };
}

function timeAxis(id, extra) {
  const room = document.getElementById(id).clientWidth;
  const title = { text: "%{customdata}" };
  return axis(Object.assign({ range: visible.slice(), unifiedhovertitle: title, ...ticks(Math.max(2, Math.floor(room / 95))) }, extra));
}

function show(from, to) {
  const range = [Math.max(from, whole[0]), Math.min(to, whole[1])];
  if (!(range[1] > range[0]) || (range[0] === visible[0] && range[1] === visible[1])) return;
  visible = range;
  drawOverview();
  drawPrice();
}

// Bars from one to another with room on both sides, so that what happened between them is seen in its place.
function showBars(first, last) {
  const room = Math.max(12, Math.round(0.6 * (last - first)));
  show(first - room, last + room);
}

function follow(id) {
  document.getElementById(id).on("plotly_relayout", (change) => {
    if (change["xaxis.autorange"]) show(whole[0], whole[1]);
    else if ("xaxis.range[0]" in change) show(Number(change["xaxis.range[0]"]), Number(change["xaxis.range[1]"]));
    else if ("xaxis.range" in change) show(Number(change["xaxis.range"][0]), Number(change["xaxis.range"][1]));
  });
}
