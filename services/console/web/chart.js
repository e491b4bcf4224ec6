// A small line chart of an alert's series, with the alert's start marked.
import {clock, number, svg} from "./dom.js";

const W = 720, H = 190, LEFT = 58, RIGHT = 12, TOP = 20, BOTTOM = 24;

// Steps of 1, 2 or 5 times a power of ten: three or four lines over the range.
function ticks(lo, hi) {
  const raw = (hi - lo) / 3, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(k => k * power).find(s => s >= raw);
  const out = [];
  for (let v = Math.ceil(lo / step) * step; v <= hi + step * 1e-9 && out.length < 8; v += step)
    out.push(Math.abs(v) < step * 1e-9 ? 0 : v);
  return out;
}

function extent(points) {
  const values = points.filter(p => p[1] !== null).map(p => p[1]);
  let lo = Math.min(...values), hi = Math.max(...values);
  if (lo >= 0 && lo < (hi - lo) * 2)
    lo = 0;
  if (hi === lo) {
    hi += Math.abs(hi) || 1;
    lo = Math.min(lo, 0);
  }
  return [lo, hi + (hi - lo) * 0.05];
}

function curve(points, x, y) {
  let d = "", pen = false;
  for (const [t, v] of points) {
    if (v === null) {
      pen = false;
      continue;
    }
    d += `${pen ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}`;
    pen = true;
  }
  return d;
}

// series: {unit, points: [[ms, value | null], ...]}; from, to, startedMs and endedMs (0 = still open) in ms.
export function chart(series, from, to, startedMs, endedMs, title) {
  const points = series.points;
  const [lo, hi] = extent(points);
  const x = t => LEFT + (t - from) / (to - from) * (W - LEFT - RIGHT);
  const y = v => H - BOTTOM - (v - lo) / (hi - lo) * (H - TOP - BOTTOM);
  const end = endedMs || to;
  const root = svg("svg", {class: "chart", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title});
  for (const v of ticks(lo, hi))
    root.append(svg("line", {class: "grid", x1: LEFT, x2: W - RIGHT, y1: y(v), y2: y(v)}),
                svg("text", {x: LEFT - 8, y: y(v) + 4, "text-anchor": "end"}, number(v)));
  for (let k = 0; k <= 4; k++) {
    const t = from + (to - from) * k / 4;
    root.append(svg("text", {x: x(t), y: H - 6, "text-anchor": k === 0 ? "start" : k === 4 ? "end" : "middle"},
                    clock(t * 1e6)));
  }
  if (startedMs >= from && startedMs <= to) {
    const right = Math.min(x(end), W - RIGHT);
    root.append(svg("rect", {class: "open-span", x: x(startedMs), y: TOP, width: Math.max(0, right - x(startedMs)),
                             height: H - TOP - BOTTOM}),
                svg("line", {class: "mark", x1: x(startedMs), x2: x(startedMs), y1: TOP - 4, y2: H - BOTTOM}),
                svg("text", {class: "mark-label", x: x(startedMs), y: TOP - 7, "text-anchor": "middle"}, "alert"));
  }
  if (series.unit && series.unit !== "1")
    root.append(svg("text", {x: 2, y: 12}, series.unit));
  root.append(svg("path", {class: "line", d: curve(points, x, y)}));
  return root;
}
