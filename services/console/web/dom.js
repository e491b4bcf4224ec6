// Elements and texts. What comes from the services only ever becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [k, v] of Object.entries(attributes || {})) {
    if (v === undefined || v === null || v === false)
      continue;
    node.setAttribute(k, v === true ? "" : String(v));
  }
  for (const c of children.flat(Infinity)) {
    if (c === undefined || c === null || c === false || c === "")
      continue;
    node.append(c instanceof Node ? c : document.createTextNode(String(c)));
  }
  return node;
}

export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// Replaces what is in parent; what has the same data-key keeps its focus and, for details, stays open.
export function show(parent, ...nodes) {
  const focus = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const open = new Map();
  for (const d of parent.querySelectorAll("details[data-key]"))
    open.set(d.dataset.key, d.open);
  parent.replaceChildren(...nodes.flat(Infinity).filter(Boolean));
  for (const d of parent.querySelectorAll("details[data-key]")) {
    if (open.has(d.dataset.key))
      d.open = open.get(d.dataset.key);
  }
  if (focus !== undefined)
    for (const n of parent.querySelectorAll("[data-key]"))
      if (n.dataset.key === focus)
        n.focus({preventScroll: true});
}

const two = n => String(n).padStart(2, "0");

export function clock(ns, withTenths) {
  const d = new Date(ns / 1e6);
  const text = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return withTenths ? `${text}.${Math.floor(d.getMilliseconds() / 100)}` : text;
}

export function day(ns) {
  const d = new Date(ns / 1e6);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

// A length of time: "2.4 s", "3 min 05 s", "2 h 10 min", "4 d 3 h".
export function span(ns) {
  const s = Math.max(0, ns / 1e9);
  if (s < 60)
    return s < 9.95 ? `${s.toFixed(1)} s` : `${Math.round(s)} s`;
  const m = Math.floor(s / 60), h = Math.floor(m / 60);
  if (m < 60)
    return `${m} min ${two(Math.floor(s % 60))} s`;
  return h < 48 ? `${h} h ${two(m % 60)} min` : `${Math.floor(h / 24)} d ${h % 24} h`;
}

// The same in its largest unit alone: "55 s", "3 min", "2 h", "4 d".
export const coarse = ns => {
  const s = Math.max(0, ns / 1e9);
  return s < 60 ? `${Math.floor(s)} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 172800 ? `${Math.floor(s / 3600)} h`
                                                                           : `${Math.floor(s / 86400)} d`;
};

// The services' clock as seen from here: it moves on between answers.
let skew = 0;
export const setNow = ns => { skew = ns - Date.now() * 1e6; };
export const now = () => Date.now() * 1e6 + skew;

// "12 s ago", kept up to date by tick().
export const ago = ns => el("time", {"data-ago": ns, title: `${day(ns)} ${clock(ns)}`}, `${span(now() - ns)} ago`);
export const since = ns => el("time", {"data-since": ns, title: `since ${day(ns)} ${clock(ns)}`}, span(now() - ns));

export function tick() {
  for (const t of document.querySelectorAll("time[data-ago]"))
    t.textContent = `${span(now() - Number(t.dataset.ago))} ago`;
  for (const t of document.querySelectorAll("time[data-since]"))
    t.textContent = span(now() - Number(t.dataset.since));
}

// Four digits are enough for people. NaN and infinities come as text.
export function number(v) {
  if (typeof v !== "number" || !Number.isFinite(v))
    return String(v);
  if (v === 0 || (Math.abs(v) >= 1e-3 && Math.abs(v) < 1e6))
    return String(Number(v.toPrecision(4)));
  return v.toExponential(2);
}

const WORDS = {
  open: "open", diagnosing: "diagnosing", mitigating: "repairing", verifying: "verifying", resolved: "resolved",
  needs_human: "needs people", dry_run: "dry run", not_ready: "not ready", intended: "under way",
  replace_pod: "replace pod", rollout_restart: "restart rollout", rollout_undo: "undo rollout",
  scale: "scale", restore: "restore", store_auth: "store refuses access",
};
export const word = s => WORDS[s] || String(s || "").replaceAll("_", " ");
export const badge = s => el("span", {class: `badge ${/^[a-z_]+$/.test(s || "") ? s : ""}`}, word(s));
