// The page: what is known, kept fresh by events, shown. Only this file asks for lists and listens.
import {ago, badge, clock, coarse, el, setNow, show, tick, word} from "./dom.js";
import {detail, idOf, listItem, loadCharts, titleOf} from "./incident.js";

const $ = id => document.getElementById(id);
const known = {services: null, incidents: new Map(), alerts: new Map(), sessions: [], story: new Map(), missing: {}};
let selected = "", dirty = new Set(), painting = false;

// ---- what is shown ----

function paint(...parts) {
  for (const p of parts)
    dirty.add(p);
  if (painting)
    return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    const now = dirty;
    dirty = new Set();
    for (const p of now)
      PAINT[p]();
    paintVerdict();
  });
}

const byNews = (a, b) => (a.state === "resolved") - (b.state === "resolved") || b.started_ns - a.started_ns;
const sorted = () => [...known.incidents.values()].sort(byNews);
const chosen = () => known.incidents.get(selected) || sorted()[0];

function paintVerdict() {
  const open = sorted().filter(i => i.state !== "resolved");
  const sick = known.services ? known.services.services.filter(s => s.state === "down" || s.state === "not_ready") : [];
  let text = "No incident is open, and every service is healthy.";
  if (!known.services)
    text = "Loading";
  else if (open.length)
    text = open.length === 1 ? `One incident: ${titleOf(open[0])}, ${word(open[0].state)}` : `${open.length} incidents are open.`;
  else if (sick.length)
    text = `${sick.map(s => s.name).join(", ")}: ${sick.length === 1 ? word(sick[0].state) : "not healthy"}. No incident is open.`;
  else if (known.missing.incidents)
    text = "Whether an incident is open is not known: the responder does not answer.";
  if ($("verdict").textContent !== text)
    $("verdict").textContent = text;
  document.title = open.length ? `(${open.length}) Aceso` : "Aceso";
}

function serviceTile(s) {
  const facts = [];
  if (s.state === "healthy" && s.latency_ms !== undefined)
    facts.push(`${s.latency_ms.toFixed(1)} ms`);
  if (s.state === "healthy" && s.started_ns)
    facts.push(`up ${coarse(known.services.now_ns - s.started_ns)}`);
  if (s.restarts)
    facts.push(`${s.restarts} ${s.restarts === 1 ? "restart" : "restarts"}`);
  const mine = known.services.services.find(x => x.name === "console");
  if (s.version && mine && s.version !== mine.version)
    facts.push(`version ${s.version}`);
  const sick = s.state === "down" || s.state === "not_ready";
  return el("li", {class: `service ${s.state}`, title: [s.address, s.version].filter(Boolean).join(", version "), "data-service": s.name},
    el("h3", {}, el("span", {class: "dot", "aria-hidden": "true"}), s.name),
    el("p", {}, s.about),
    sick ? el("p", {class: "why"}, `${word(s.state)} since ${clock(s.since_ns)}${s.detail ? `: ${s.detail}` : ""}`)
         : el("p", {}, [word(s.state), ...facts].join(" · ")));
}

function paintServices() {
  const f = known.services;
  $("services-count").textContent = `${f.healthy} of ${f.total} healthy`;
  show($("services"), f.services.map(serviceTile));
}

function notice(what) {
  const m = known.missing[what];
  return m && el("p", {class: "notice", role: "status"}, `The ${m.service} cannot tell: ${m.reason}. `,
                 m.seen ? `What is shown is from ${clock(m.seen)}.` : "");
}

function paintIncidents() {
  const list = sorted(), now = chosen();
  show($("incidents-notice"), notice("incidents"));
  show($("incident-list"), list.length ? list.map(i => listItem(i, i === now))
    : el("li", {class: "empty"}, known.missing.incidents ? "" : "None so far."));
  const inIncident = new Set(list.flatMap(i => i.alerts.map(a => a.meta && a.meta.id)));
  const stray = [...known.alerts.values()].filter(a => a.state !== "closed" && !inIncident.has(a.meta.id));
  show($("stray"), stray.length > 0 && el("details", {"data-key": "stray"},
    el("summary", {}, `${stray.length} open ${stray.length === 1 ? "alert" : "alerts"} outside of incidents`),
    el("ul", {}, stray.slice(0, 50).map(a => el("li", {}, a.reason || a.rule)))));
}

function paintDetail() {
  const i = chosen();
  show($("detail"), i ? detail(i) : el("p", {class: "empty"},
    "When the detector raises alerts, the responder groups them here: the reason, the cause with its proof, and the repair."));
  loadCharts($("detail"));
}

const outcome = (yes, seconds) => el("td", {class: "num"}, yes ? `yes, ${seconds.toFixed(1)} s` : "no");

function sessionRow(s) {
  const over = s.phase === "done" || s.phase === "failed", k = s.scores;
  const wait = el("td", {class: "muted"}, over ? "" : "…");
  return el("tr", {"data-phase": s.phase}, el("td", {}, el("b", {}, s.problem), el("br"), el("span", {class: "muted mono"}, s.namespace)),
    el("td", {}, s.agent), el("td", {}, s.void_run ? badge("void") : badge(s.phase), el("p", {class: "muted"}, s.error || (over ? "" : known.story.get(s.meta && s.meta.id)))),
    k ? outcome(k.detected, k.ttd_s) : wait, k ? outcome(k.localised, k.ttl_s) : wait.cloneNode(true),
    k ? outcome(k.mitigated, k.ttm_s) : wait.cloneNode(true),
    el("td", {}, s.truth ? `${s.truth.components.join(" or ")}: ${s.truth.fault}` : ""),
    el("td", {class: "num"}, s.started_ns ? ago(s.started_ns) : ""));
}

function paintSessions() {
  const head = ["Problem", "Agent", "Phase", "Detected", "Localised", "Repaired", "Truth", "Begun"];
  show($("sessions"), notice("sessions"), known.sessions.length
    ? el("div", {class: "scroll"}, el("table", {}, el("thead", {}, el("tr", {}, head.map(h => el("th", {scope: "col"}, h)))),
         el("tbody", {}, known.sessions.map(sessionRow))))
    : !known.missing.sessions && el("p", {class: "empty"}, "No problem has been run yet: aceso lab run, or make demo."));
}

const PAINT = {services: paintServices, incidents: paintIncidents, detail: paintDetail, sessions: paintSessions};

// ---- what is known ----

function takeServices(f) {
  const before = known.services && new Map(known.services.services.map(s => [s.name, s.state]));
  known.services = f;
  setNow(f.now_ns);
  paint("services");
  for (const [name, load] of [["responder", loadIncidents], ["detector", loadAlerts], ["lab", loadSessions]]) {
    const s = f.services.find(x => x.name === name);
    if (before && s && s.state === "healthy" && before.get(name) !== "healthy")
      load(); // it is back: what it knows may be newer
  }
}

function takeIncident(i) {
  const id = idOf(i), had = known.incidents.get(id);
  if (!id || (had && had.revision > i.revision))
    return;
  known.incidents.set(id, i);
  for (const old of sorted().slice(200))
    known.incidents.delete(idOf(old));
  paint("incidents");
  if (chosen() === i)
    paint("detail");
}

function takeAlert(a) {
  if (!a.meta)
    return;
  if (a.state === "closed")
    known.alerts.delete(a.meta.id);
  else
    known.alerts.set(a.meta.id, a);
  paint("incidents");
}

async function load(what, path, take) {
  let j;
  try {
    const answer = await fetch(path);
    j = await answer.json();
    if (!answer.ok)
      j = {unavailable: {service: "console", reason: j.error || `answer ${answer.status}`}};
  } catch {
    j = {unavailable: {service: "console", reason: "it does not answer"}};
  }
  if (j.unavailable) {
    const had = known.missing[what];
    known.missing[what] = {...j.unavailable, seen: had ? had.seen : known.seen && known.seen[what]};
  } else {
    delete known.missing[what];
    known.seen = {...known.seen, [what]: Date.now() * 1e6};
    take(j);
  }
  return !j.unavailable;
}

async function loadIncidents() {
  await load("incidents", "/api/incidents", j => j.incidents.forEach(takeIncident));
  paint("incidents", "detail");
}

async function loadAlerts() {
  await load("alerts", "/api/alerts?open=1&limit=200", j => {
    known.alerts = new Map(j.alerts.filter(a => a.meta).map(a => [a.meta.id, a]));
  });
  paint("incidents");
}

async function loadSessions() {
  await load("sessions", "/api/sessions?limit=20", j => {
    known.sessions = j.sessions.sort((a, b) => b.started_ns - a.started_ns);
  });
  paint("sessions");
}

const loadServices = () => load("services", "/api/services", takeServices);
const loadAll = () => Promise.all([loadServices(), loadIncidents(), loadAlerts(), loadSessions()]);

// Many steps of a session in a row are one reading.
let sessionsSoon = 0;
function sessionMoved({id, event}) {
  known.story.set(id, event.text); // the latest word of each; for the running ones only
  if (known.story.size > 50)
    known.story.delete(known.story.keys().next().value);
  paint("sessions");
  sessionsSoon = sessionsSoon || setTimeout(() => {
    sessionsSoon = 0;
    loadSessions();
  }, 500);
}

// An incident that is linked to but not in the list.
async function loadLinked(id) {
  if (id && !known.incidents.has(id) && await load("linked", `/api/incidents/${encodeURIComponent(id)}`, takeIncident))
    paint("detail");
}

// ---- live ----

function setLive(state, text) {
  $("live").dataset.state = state;
  $("live").textContent = text;
}

function connect() {
  const source = new EventSource("/api/events");
  const on = (name, take) => source.addEventListener(name, e => take(JSON.parse(e.data)));
  on("services", takeServices);
  on("incident", takeIncident);
  on("alert", takeAlert);
  on("session", sessionMoved);
  on("reload", loadAll);
  source.onopen = () => {
    setLive("on", "live");
    loadAll(); // what happened while nobody listened
  };
  source.onerror = () => {
    setLive("off", "not connected");
    if (source.readyState !== EventSource.CLOSED)
      return;
    setLive("wait", "every 10 s"); // too many pages: read now and then, and try again
    setTimeout(() => {
      loadAll();
      connect();
    }, 10000);
  };
}

// ---- people ----

function route() {
  const m = /^#incident\/(.+)$/.exec(location.hash);
  try {
    selected = m ? decodeURIComponent(m[1]) : "";
  } catch {
    selected = ""; // a broken link
  }
  loadLinked(selected);
  paint("incidents", "detail");
}

function step(by) {
  const list = sorted(), at = list.indexOf(chosen());
  const next = list[Math.max(0, Math.min(list.length - 1, at + by))];
  if (next)
    location.hash = `#incident/${encodeURIComponent(idOf(next))}`;
}

const THEMES = {"": "system", light: "light", dark: "dark"};
function setTheme(t) {
  if (t)
    document.documentElement.dataset.theme = t;
  else
    delete document.documentElement.dataset.theme;
  $("theme").textContent = `Theme: ${THEMES[t]}`;
}

function start() {
  let theme = "";
  try {
    theme = localStorage.getItem("theme") || "";
  } catch { /* storage is closed to this page: the system's theme it is */ }
  setTheme(theme in THEMES ? theme : "");
  $("theme").addEventListener("click", () => {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(document.documentElement.dataset.theme || "") + 1) % names.length];
    setTheme(next);
    try {
      localStorage.setItem("theme", next);
    } catch { /* as above */ }
  });
  addEventListener("hashchange", route);
  addEventListener("keydown", e => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea, select"))
      return;
    if (e.key === "j" || e.key === "k")
      step(e.key === "j" ? 1 : -1);
  });
  setInterval(tick, 1000);
  setInterval(() => loadCharts($("detail")), 5000);
  route();
  loadAll();
  connect();
}

start();
