// One incident: milestones, cause and proof, alerts with their series, what happened, the audit trail.
import {chart} from "./chart.js";
import {ago, badge, clock, day, el, now, number, since, span, word} from "./dom.js";

export const idOf = i => i.meta ? i.meta.id : "";
const nameOf = k => k ? [k.component, k.metric].filter(Boolean).join(" · ") : "";
const labelsOf = k => (k && k.labels || []).map(l => `${l.key}=${l.value}`).join(", ");

export function titleOf(i) {
  const cause = i.diagnosis && !i.diagnosis.abstained && i.diagnosis.root_causes[0];
  if (cause)
    return cause.kind && cause.kind !== "unknown" ? `${cause.component}: ${word(cause.kind)}` : cause.component;
  const first = i.alerts.find(a => a.reason) || i.alerts[0];
  if (first && first.series)
    return nameOf(first.series);
  return i.summary || "Incident";
}

function milestones(i) {
  const steps = [["Started", i.started_ns], ["Detected", i.detected_ns], ["Diagnosed", i.diagnosed_ns],
                 ["Repaired", i.mitigated_ns], ["Resolved", i.resolved_ns]];
  return el("ol", {class: "steps", "aria-label": "Milestones"}, steps.map(([name, ns]) =>
    el("li", {class: ns ? "reached" : ""}, el("b", {}, name),
       ns ? [clock(ns), name === "Started" ? "" : ` (+${span(ns - i.started_ns)})`] : "not yet")));
}

function evidence(list) {
  if (!list.length)
    return null;
  return el("details", {"data-key": "evidence"}, el("summary", {}, `Evidence (${list.length})`),
    el("div", {class: "scroll"}, el("table", {},
      el("thead", {}, el("tr", {}, ["Measurement", "Before", "After", "Score", "Since"].map(h => el("th", {scope: "col"}, h)))),
      el("tbody", {}, list.map(e => el("tr", {},
        el("td", {}, [e.component, e.metric].filter(Boolean).join(" · ") || e.text),
        el("td", {class: "num"}, e.metric ? number(e.before) : ""), el("td", {class: "num"}, e.metric ? number(e.after) : ""),
        el("td", {class: "num"}, number(e.score)), el("td", {class: "num"}, e.onset_ns ? clock(e.onset_ns) : ""))))))
  );
}

const SHARED = {seconds: "added time", errors: "added errors"};

function cause(i) {
  const d = i.diagnosis;
  if (!d)
    return el("section", {}, el("h3", {}, "Root cause"),
              el("p", {class: "empty"}, i.state === "resolved" ? "It was over before a cause was sought."
                                      : i.state === "needs_human" ? "None was found." : "Not known yet."));
  const [best, ...others] = d.root_causes, beside = others.filter(c => c.share > 0), weighed = others.filter(c => !(c.share > 0));
  if (d.abstained || !best)
    return el("section", {}, el("h3", {}, "Root cause"), el("p", {class: "empty"}, d.text || "The diagnosis abstained."));
  return el("section", {}, el("h3", {}, "Root cause"), el("div", {class: "cause"},
    el("p", {class: "who"}, el("b", {}, best.component), el("span", {class: "badge bad"}, word(best.kind)),
       el("meter", {min: 0, max: 1, low: .4, high: .7, optimum: 1, value: best.confidence, "aria-label": "confidence"}),
       el("span", {class: "muted"}, `confidence ${Math.round(best.confidence * 100)} %`),
       d.low_confidence && el("span", {class: "badge warn"}, "low confidence")),
    best.text && el("p", {}, best.text),
    el("dl", {class: "facts"},
       d.first_failure && [el("dt", {}, "Failed first"), el("dd", {}, d.first_failure)],
       d.impact.length > 0 && [el("dt", {}, "Impact"), el("dd", {}, el("ul", {class: "chips"}, d.impact.map(c => el("li", {}, c))))],
       beside.length > 0 && [el("dt", {}, "At fault too"), el("dd", {}, el("ul", {class: "chips"}, [best, ...beside].map(c =>
         el("li", {}, `${c.component}: ${Math.round(c.share * 100)} % of the ${SHARED[c.share_of] || "score"}`))))],
       weighed.length > 0 && [el("dt", {}, "Also weighed"), el("dd", {}, weighed.map(c => `${c.component} (${Math.round(c.confidence * 100)} %)`).join(", "))],
       d.seconds > 0 && [el("dt", {}, "Found in"), el("dd", {}, `${number(d.seconds)} s`)]),
    evidence(best.evidence)));
}

function proof(i) {
  const path = i.diagnosis ? i.diagnosis.path : [];
  if (!path.length)
    return null;
  const linear = path.every((e, k) => k === 0 || path[k - 1].to === e.from);
  const nodes = [path[0].from, ...path.map(e => e.to)];
  const rows = e => [["Connected", e.topology], ["Deviates", e.deviation], ["Order", e.order]];
  return el("section", {}, el("h3", {}, "How it spread, and the proof of each step"),
    linear && el("ol", {class: "chain", "aria-hidden": "true"}, nodes.map(n => el("li", {}, n))),
    el("ol", {class: "path"}, path.map(e => el("li", {},
      el("p", {class: "edge"}, e.from, el("i", {"aria-label": "to"}, " → "), e.to),
      el("dl", {}, rows(e).filter(r => r[1]).map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)]))))));
}

// Drawn once: a chart whose alert has ended does not change any more.
const charts = new Map();

function chartBox(a, key) {
  const box = el("div", {});
  const kept = charts.get(key);
  if (kept && kept.node)
    box.append(kept.node);
  return box;
}

async function fillChart(box, a, key) {
  const from = a.started_ns - 120e9, to = Math.min(now(), (a.ended_ns || now()) + 60e9);
  const kept = charts.get(key);
  if (kept && (kept.loading || now() - kept.at < 4e9 || (a.ended_ns && kept.at > a.ended_ns + 60e9)))
    return;
  charts.set(key, {node: kept && kept.node, at: now(), loading: true});
  if (charts.size > 100)
    charts.delete(charts.keys().next().value);
  const q = new URLSearchParams({namespace: a.series.namespace || a.namespace, component: a.series.component,
                                 metric: a.series.metric, from: BigInt(Math.floor(from)), to: BigInt(Math.floor(to))});
  for (const l of a.series.labels)
    q.append("label", `${l.key}:${l.value}`);
  let node;
  try {
    const j = await (await fetch(`/api/series?${q}`)).json();
    const s = (j.series || []).find(x => x.points.some(p => p[1] !== null));
    const title = `${nameOf(a.series)} around the alert's start at ${clock(a.started_ns)}`;
    node = s ? chart(s, Math.max(from / 1e6, s.points[0][0]), to / 1e6, a.started_ns / 1e6, a.ended_ns / 1e6, title)
      : el("p", {class: "muted"}, j.unavailable ? `No chart: the ${j.unavailable.service}: ${j.unavailable.reason}.`
                                : j.error ? `No chart: ${j.error}.` : "No points of this series are stored.");
  } catch {
    node = el("p", {class: "muted"}, "No chart: the console does not answer.");
  }
  charts.set(key, {node, at: now(), loading: false});
  box.replaceChildren(node);
}

function alertCard(a, index) {
  const key = a.meta ? a.meta.id : String(index);
  const closed = a.state === "closed";
  const card = el("li", {},
    el("p", {class: "row"}, badge(closed ? "closed" : "open"), a.severity && badge(a.severity), el("b", {}, nameOf(a.series) || key),
       el("span", {class: "muted mono"}, labelsOf(a.series))),
    el("p", {class: "reason"}, a.reason || "No reason was given."),
    el("p", {class: "muted"}, `since ${clock(a.started_ns, true)}`, closed && a.ended_ns ? `, for ${span(a.ended_ns - a.started_ns)}` : "",
       a.values.length > 0 && [" · ", a.values.map(v => `${v.name} = ${number(v.value)}`).join(", ")]),
    a.rule_text && el("details", {"data-key": `rule-${key}`}, el("summary", {}, `Rule ${a.rule}, version ${a.rule_version}`),
                      el("pre", {}, a.rule_text)));
  if (!a.series || !a.series.metric || !a.series.component)
    return card;
  const box = chartBox(a, key);
  const fold = el("details", {"data-key": `chart-${key}`, open: index === 0}, el("summary", {}, "Series"), box);
  const load = () => fold.open && fillChart(box, a, key);
  fold.addEventListener("toggle", load);
  card.append(fold);
  return card;
}

function alerts(i) {
  const list = i.alerts.map((a, k) => [a, k]);
  const head = list.slice(0, 3), rest = list.slice(3);
  return el("section", {}, el("h3", {}, `Alerts (${list.length})`),
    el("ul", {class: "alerts"}, head.map(([a, k]) => alertCard(a, k))),
    rest.length > 0 && el("details", {"data-key": "more-alerts"}, el("summary", {}, `${rest.length} more`),
                          el("ul", {class: "alerts"}, rest.map(([a, k]) => alertCard(a, k)))));
}

const ACTION_TONE = {done: "ok", failed: "bad", refused: "warn", intended: "info", dry_run: "info"};

// Alerts that come within seconds of each other are one event: a fault shows in many places at once.
const TOGETHER_NS = 5e9;

function clusters(list, time) {
  const out = [];
  for (const a of [...list].sort((x, y) => x[time] - y[time])) {
    const last = out[out.length - 1];
    if (last && a[time] - last[last.length - 1][time] <= TOGETHER_NS)
      last.push(a);
    else
      out.push([a]);
  }
  return out;
}

function alertEvent(list, time, tone, one, many) {
  const name = a => nameOf(a.series) || a.rule, first = list[0];
  const reason = time === "started_ns" ? first.reason : "";
  if (list.length === 1)
    return {ns: first[time], tone, title: `${one}: ${name(first)}`, sub: reason};
  const where = [...new Set(list.map(a => a.series && a.series.component).filter(Boolean))];
  const each = el("details", {"data-key": `${time}-${first[time]}`}, el("summary", {}, "Each of them"),
    el("ul", {class: "each"}, list.map(a => el("li", {}, el("time", {}, clock(a[time], true)), ` ${name(a)} `,
      el("span", {class: "muted"}, time === "started_ns" ? a.reason : "")))));
  return {ns: first[time], tone, title: `${list.length} ${many}: ${where.join(", ")}`, more: each,
          sub: `within ${span(list[list.length - 1][time] - first[time])}${reason ? `; the first: ${reason}` : ""}`};
}

function eventsOf(i) {
  const out = [];
  const add = (ns, tone, title, sub) => ns && out.push({ns, tone, title, sub});
  for (const c of clusters(i.alerts, "started_ns"))
    out.push(alertEvent(c, "started_ns", "bad", "Alert", "alerts"));
  for (const c of clusters(i.alerts.filter(a => a.state === "closed" && a.ended_ns), "ended_ns"))
    out.push(alertEvent(c, "ended_ns", "ok", "Cleared", "alerts cleared"));
  add(i.detected_ns, "warn", "Incident opened", i.namespace && `namespace ${i.namespace}`);
  const d = i.diagnosis, best = d && !d.abstained && d.root_causes[0];
  add(i.diagnosed_ns, "info", best ? `Root cause: ${best.component}` : "Diagnosis without a cause", best ? best.text : d && d.text);
  for (const a of i.actions) {
    if (a.state !== "considered")
      add(a.time_ns, ACTION_TONE[a.state] || "info", `${word(a.kind)} ${a.target}: ${word(a.state)}`, [a.reason, a.detail].filter(Boolean).join(" · "));
  }
  add(i.mitigated_ns, "ok", "The repair held");
  add(i.resolved_ns, "ok", "Resolved", i.resolved_ns && `after ${span(i.resolved_ns - i.started_ns)}`);
  return out.sort((x, y) => x.ns - y.ns);
}

function timeline(i) {
  return el("section", {}, el("h3", {}, "Timeline"), el("ol", {class: "timeline"}, eventsOf(i).map(e =>
    el("li", {class: e.tone}, el("time", {title: day(e.ns)}, clock(e.ns, true)),
       el("div", {}, el("p", {}, el("b", {}, e.title)), e.sub && el("p", {class: "sub"}, e.sub), e.more)))));
}

function trail(i) {
  if (!i.actions.length)
    return null;
  return el("details", {"data-key": "trail"}, el("summary", {}, `Audit trail: every option that was weighed (${i.actions.length})`),
    el("div", {class: "scroll"}, el("table", {},
      el("thead", {}, el("tr", {}, ["Time", "Action", "Target", "Outcome", "Why", "Detail"].map(h => el("th", {scope: "col"}, h)))),
      el("tbody", {}, i.actions.map(a => el("tr", {}, el("td", {class: "num"}, a.time_ns ? clock(a.time_ns, true) : ""),
        el("td", {}, word(a.kind)), el("td", {class: "mono"}, a.target), el("td", {}, badge(a.state)),
        el("td", {}, a.reason), el("td", {}, a.detail)))))));
}

// The badge says the state already. Names of components keep their spelling.
function headline(i) {
  const s = i.summary || titleOf(i), prefix = `${i.state}: `;
  const rest = s.startsWith(prefix) ? s.slice(prefix.length) : "";
  return rest ? rest.charAt(0).toUpperCase() + rest.slice(1).replace(/^[a-z]+_[a-z]+/, m => m.replace("_", " ")) : s;
}

export function detail(i) {
  return [
    el("header", {class: "head"},
       el("p", {class: "row"}, badge(i.state), el("span", {}, i.namespace), el("span", {class: "mono"}, idOf(i)),
          el("span", {}, day(i.started_ns))),
       el("h2", {}, headline(i))),
    milestones(i), cause(i), proof(i), timeline(i), trail(i), alerts(i),
  ];
}

// After what detail() made is on the page: the open charts get their points.
export function loadCharts(root) {
  for (const d of root.querySelectorAll("details[open][data-key^='chart-']"))
    d.dispatchEvent(new Event("toggle"));
}

export function listItem(i, selected) {
  const closed = i.state === "resolved";
  return el("li", {}, el("a", {href: `#incident/${encodeURIComponent(idOf(i))}`, class: i.state, "data-key": idOf(i),
                               "aria-current": selected ? "true" : undefined},
    el("span", {class: "row"}, badge(i.state), closed ? ago(i.started_ns) : ["for ", since(i.started_ns)],
       closed && i.resolved_ns ? `took ${span(i.resolved_ns - i.started_ns)}` : ""),
    el("b", {}, titleOf(i)),
    el("span", {class: "row"}, i.namespace, ` · ${i.alerts.length} ${i.alerts.length === 1 ? "alert" : "alerts"}`)));
}
