"""aceso rca on files of our own making: discovery, graphs from documents, data sets, bad input."""
import json
import os
import random
import subprocess
import xml.etree.ElementTree as ET

import pytest

BUILD = os.environ.get("ACESO_BUILD", os.path.join(os.path.dirname(__file__), "..", "build"))


def rca(*args, code=0):
    p = subprocess.run([os.path.join(BUILD, "bin", "aceso"), "rca", *map(str, args), "--json"],
                       capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert p.returncode == code, p.stderr
    return json.loads(p.stdout.splitlines()[-1]) if code == 0 else p.stderr


MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
      - name: server
        env:
        - name: CART_ADDR
          value: "cart:7070"
        - {name: NOTE, value: "cartoon"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: cart-db}
"""


@pytest.fixture
def docs(tmp_path):
    d = tmp_path / "docs"
    d.mkdir()
    (d / "manifest.yaml").write_text(MANIFEST)
    (d / "broken.yaml").write_text("a: [1\n")
    return d


def write_metrics(path, seed=3, n=400):
    """web waits for cart, two samples later."""
    r = random.Random(seed)
    cart, rows = [], ["time,cart_latency,web_latency,web_request_rate"]
    for i in range(n):
        cart.append(r.gauss(1, .2) + (.5 * (cart[-1] - 1) if cart else 0))
        web = 2 + (cart[i - 2] if i > 1 else 1) + r.gauss(0, .05)
        rows.append(f"{1700000000 + i},{cart[i]:.5f},{web:.5f},{r.gauss(50, 3):.3f}")
    path.write_text("\n".join(rows) + "\n")


def test_graph_from_documents_checked_on_data(docs, tmp_path):
    g = rca("synthesise", "--docs", docs, "--out", tmp_path / "a.json")
    calls = {(e["from"], e["to"]): e for e in g["edges"] if e["kind"] == "calls"}
    assert set(calls) == {("web", "cart"), ("cart", "cart-db")}
    assert calls["web", "cart"]["evidence"] == ["manifest.yaml:11: cart:7070"]
    assert any(e["from"] == "cart.lat" and e["to"] == "web.lat" for e in g["edges"])
    write_metrics(tmp_path / "m.csv")
    g = rca("synthesise", "--docs", docs, "--metrics", tmp_path / "m.csv", "--out", tmp_path / "b.json")
    e = [e for e in g["edges"] if (e["from"], e["to"]) == ("cart.lat", "web.lat")][0]
    assert e["state"] == "supported" and e["lag_s"] == 2
    answer = rca("localise", "--metrics", tmp_path / "m.csv", "--graph", tmp_path / "b.json", "--time", "1700000200")
    assert isinstance(answer["abstained"], bool)
    changes = rca("diff", tmp_path / "a.json", tmp_path / "b.json")["changes"]
    assert {"change": "node removed", "node": "web.mem"} in changes
    for f, word in (("svg", "<svg"), ("dot", "digraph"), ("graphml", "<graphml"), ("matrix", "# ")):
        rca("plot", tmp_path / "b.json", "--format", f, "--out", tmp_path / f"g.{f}")
        assert (tmp_path / f"g.{f}").read_text().find(word) >= 0


def test_an_answered_incident_is_learnt(docs, tmp_path):
    g = tmp_path / "g.json"
    rca("synthesise", "--docs", docs, "--out", g)

    def call():
        e, = (e for e in json.loads(g.read_text())["edges"] if (e["from"], e["to"]) == ("web", "cart"))
        return e

    before = call()["confidence"]
    args = ("feedback", g, "--path", "cart,web", "--incident", "i-7")
    assert rca(*args, "--refuted")["changed"] >= 2
    assert call()["confidence"] < before and any(x.startswith("incident ") and x.endswith(": i-7: the path cart ... web was refuted") for x in call()["evidence"])
    assert rca(*args, "--refuted")["changed"] == 0
    assert rca(*args, "--time", 1_700_000_000, "--confirmed", "--out", tmp_path / "other.json")["changed"] >= 2  # another of that name
    assert rca(*args, "--confirmed")["changed"] >= 2 and call()["confidence"] > before  # the verdict was corrected
    assert sum(x.startswith("incident ") for x in call()["evidence"]) == 1
    answer = {"root_causes": [{"component": "cart"}], "time": 1700000000.5, "path": [{"from": "cart", "to": "web"}]}
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    up = call()["confidence"]
    assert rca("feedback", g, "--answer", tmp_path / "answer.json", "--confirmed")["changed"] >= 2 and call()["confidence"] > up
    assert rca("feedback", g, "--answer", tmp_path / "answer.json", "--refuted")["changed"] >= 2 and call()["confidence"] < up
    (tmp_path / "answer.json").write_text("{}")
    assert "no answer of rca localise" in rca("feedback", g, "--answer", tmp_path / "answer.json", "--confirmed", code=2)
    assert rca("feedback", g, "--path", "cart,web", "--incident", "i-8", "--confirmed", "--out", tmp_path / "h.json")["changed"] >= 2
    assert rca("diff", g, tmp_path / "h.json")["changes"]
    assert "no node nobody" in rca("feedback", g, "--path", "cart,nobody", "--incident", "i", "--confirmed", code=2)
    assert "drives cart-db from web" in rca("feedback", g, "--path", "web,cart-db", "--incident", "i", "--confirmed", code=2)
    assert "either --confirmed or --refuted" in rca(*args, code=2)


def test_an_answer_as_a_picture(tmp_path):
    """db burns from 800 on, cart and web follow 5 s and 10 s later; the picture's rows stand in that order."""
    r, rows = random.Random(5), ["time,web_latency,cart_latency,db_cpu,idle_cpu"]
    for i in range(900):
        web, cart, db = (1 + r.uniform(0, .05) + (by if i >= at else 0) for at, by in ((810, 3), (805, 3), (800, 8)))
        rows.append(f"{1700000000 + i},{web:.4f},{cart:.4f},{db:.4f},{r.uniform(1, 1.05):.4f}")
    (tmp_path / "m.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "calls.csv").write_text("caller,callee,evidence\nweb,cart,7 spans\ncart,db,a<b\n")
    picture = tmp_path / "answer.svg"
    args = ("localise", "--metrics", tmp_path / "m.csv", "--graph", tmp_path / "calls.csv", "--window-s", 60, "--plot", picture)
    answer = rca(*args, "--time", 1700000800)
    assert answer["root_causes"][0]["component"] == "db"
    tree = ET.fromstring(picture.read_text())
    texts = ["".join(t.itertext()) for t in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0].startswith("Root cause: db")
    pairs = list(zip(texts, texts[1:]))
    at = [pairs.index(p) for p in (("db", "cpu"), ("cart", "latency"), ("web", "latency"))]
    assert at == sorted(at) and ("idle", "cpu") not in pairs
    assert [t for t in texts if "web calls cart: 7 spans" in t][0].startswith("\u2713")
    quiet = rca("localise", "--metrics", tmp_path / "m.csv", "--window-s", 30, "--time", 1700000600, "--plot", picture)
    assert quiet["abstained"]
    assert "No root cause" in "".join(ET.fromstring(picture.read_text()).itertext())
    assert "none" in rca(*args[:-1], tmp_path / "none" / "x.svg", code=1)


def test_interfaces_name_components_and_call_only_where_they_say_so(docs):
    (docs / "shop.proto").write_text("// Calls stock.\nservice CartService {}\nservice Stock { rpc Get(A) returns (B); }\n")
    (docs / "web.json").write_text(json.dumps({"openapi": "3.0.0", "info": {"title": "x"}, "paths": {"/a": {"get": {
        "description": "uses the stock"}}}, "servers": [{"url": "http://web/"}]}))
    (docs / "open.proto").write_text("service Broken {")
    g = rca("synthesise", "--docs", docs)
    calls = {(e["from"], e["to"]): e for e in g["edges"] if e["kind"] == "calls"}
    # CartService is the manifest's cart
    assert set(calls) == {("web", "cart"), ("cart", "cart-db"), ("cart", "stock"), ("web", "stock")}
    assert calls["cart", "stock"]["evidence"] == ["shop.proto:2: Calls stock. "]
    assert {"stock", "broken"} < set(g["nodes"]) and "cartservice" not in g["nodes"]


def test_what_is_not_measured_is_marginalised(docs, tmp_path):
    write_metrics(tmp_path / "m.csv")
    g = rca("synthesise", "--docs", docs, "--metrics", tmp_path / "m.csv")
    assert any("cart-db.lat" in (e["from"], e["to"]) for e in g["edges"])  # cart waits for a store that nobody measures
    g = rca("synthesise", "--docs", docs, "--metrics", tmp_path / "m.csv", "--observed", "--out", tmp_path / "o.json")
    ends = {n for e in g["edges"] if e["kind"] != "calls" for n in (e["from"], e["to"])}
    assert ends <= {"cart.lat", "web.lat", "web.load"} and ("cart.lat", "web.lat") in {(e["from"], e["to"]) for e in g["edges"]}
    assert "cart-db.lat" in g["hidden"]
    assert "needs --metrics" in rca("synthesise", "--docs", docs, "--observed", code=2)


def test_knowledge_is_applied(docs, tmp_path):
    k = tmp_path / "k.yaml"
    k.write_text("forbid:\n- [web, cart]\nrequire:\n- [web, cart-db]\n")
    g = rca("synthesise", "--docs", docs, "--knowledge", k)
    calls = {(e["from"], e["to"]) for e in g["edges"] if e["kind"] == "calls"}
    assert calls == {("cart", "cart-db"), ("web", "cart-db")}
    k.write_text("require:\n- [web, nobody]\n")
    assert "k.yaml:2:9: the graph has no node nobody" in rca(
        "synthesise", "--docs", docs, "--knowledge", k, code=2)


def test_what_is_known_of_calls_and_measurements_is_heard(docs, tmp_path):
    """A forbidden call drives nothing, a required one does and cites its line; units and directions reach the answer."""
    k = tmp_path / "k.yaml"
    k.write_text("forbid:\n- [web, cart]\nrequire:\n- [web, cart-db]\nmeasurements:\n  cart.mem: {unit: Mi, bad: low}\n")
    rca("synthesise", "--docs", docs, "--out", tmp_path / "before.json")
    g = rca("synthesise", "--docs", docs, "--knowledge", k, "--out", tmp_path / "g.json")
    ends = {(e["from"], e["to"]): e for e in g["edges"]}
    assert ("cart.lat", "web.lat") not in ends and ("cart-db.lat", "web.lat") in ends
    assert ends["web", "cart-db"]["evidence"] == [f"{k}:4: required"]
    assert {"id": "cart.mem", "unit": "MiB", "bad": "low", "told": True} in g["measurements"]
    changes = rca("diff", tmp_path / "before.json", tmp_path / "g.json")["changes"]
    assert {"change": "node changed", "node": "cart.mem", "unit": "MiB", "bad": "low", "hidden": False,
            "was": {"unit": "bytes", "bad": "high", "hidden": False}} in changes
    r, rows = random.Random(2), ["time,web_latency_ms,cart_mem"]
    for i in range(900):
        rows.append(f"{1700000000 + i},{20 + r.gauss(0, 1) + 40 * (i >= 605)},{800 + r.gauss(0, 5) - 700 * (i >= 600)}")
    (tmp_path / "m.csv").write_text("\n".join(rows) + "\n")
    args = ("localise", "--metrics", tmp_path / "m.csv", "--time", 1700000600)
    first = rca(*args, "--graph", tmp_path / "before.json")["root_causes"][0]
    assert first["component"] == "web" and "20.0" in first["parts"][0]["text"] and " ms (" in first["parts"][0]["text"]
    mem = [p for c in rca(*args, "--graph", tmp_path / "g.json")["root_causes"] if c["component"] == "cart" for p in c["parts"]][0]
    assert (mem["kind"], mem["unit"], mem["bad"]) == ("mem", "MiB", "low") and mem["before"] > 790 and mem["after"] < 110
    assert "mem of cart fell from " in mem["text"] and " MiB (" in mem["text"]
    for text, place in (("roots: [web]\n", ":1:8: unknown key roots"), ("measurements: {cart.mem: {bad: up}}\n", "expected high, low or both"),
                        ("measurements: {cart.mem: {unti: s}}\n", "unknown key unti"), ("measurements: {cart: {unit: s}}\n", "no measurement cart"), ("measurements: {cart.mem: {bad: [low]}}\n", "bad: expected a word"),
                        ("root: [cart]\nrequire: [[web, cart]]\n", ":2:11: web to cart is required and forbidden")):
        k.write_text(text)
        assert place in rca("synthesise", "--docs", docs, "--knowledge", k, code=2)


def test_calls_come_from_traces_in_any_form(tmp_path):
    """OTLP, spans in CSV, calls in CSV and a matrix say the same, each with its place."""
    def resource(name, *spans):
        return {"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": name}}]}, "scopeSpans": [{"spans": list(spans)}]}

    def span(id, parent, kind, begin):
        return {"traceId": "t", "spanId": id, "parentSpanId": parent, "name": "get", "kind": kind,
                "startTimeUnixNano": str(1700000000000000000 + begin), "endTimeUnixNano": str(1700000001000000000 - begin)}

    (tmp_path / "t.json").write_text(json.dumps({"resourceSpans": [
        resource("web", span("1", "", 2, 0), span("2", "1", 3, 10)), resource("cart", span("3", "2", 2, 20))]}))
    (tmp_path / "spans.csv").write_text("traceID,spanID,parentSpanID,serviceName,startTime,duration,kind\n"
                                        "t,1,,web,1700000000000000,900,server\nt,2,1,web,1700000000000001,800,client\n"
                                        "t,3,2,cart,1700000000000002,700,server\n")
    (tmp_path / "calls.csv").write_text("caller,callee,evidence\nweb,cart,12 spans\n")
    (tmp_path / "matrix.csv").write_text(",web,cart\nweb,0,1\ncart,0,0\n")
    for name, evidence in (("t.json", ": 1 span"), ("spans.csv", ": 1 span"), ("calls.csv", ":2: 12 spans"), ("matrix.csv", ":2: call")):
        g = rca("synthesise", "--traces", tmp_path / name)
        call, = (e for e in g["edges"] if e["kind"] == "calls")
        assert (call["from"], call["to"], call["evidence"]) == ("web", "cart", [f"{tmp_path / name}{evidence}"])
    write_metrics(tmp_path / "m.csv", n=5)
    assert "m.csv:2:1: expected caller,callee: '1700000000' is no component's name" in rca("synthesise", "--traces", tmp_path / "m.csv", code=2)
    (tmp_path / "t.json").write_text('{"resourceSpans": []}')
    assert "t.json: no span calls another component" in rca("synthesise", "--traces", tmp_path / "t.json", code=2)


def test_discovery(tmp_path):
    r = random.Random(1)
    rows = ["a,b,c,same,flat"]
    for _ in range(800):
        a, b = r.gauss(0, 1), r.gauss(0, 1)
        rows.append(f"{a},{b},{a + b + r.gauss(0, .5)},{2 * a + 1},7")
    (tmp_path / "d.csv").write_text("\n".join(rows))
    d = rca("discover", "--method", "pc", "--data", tmp_path / "d.csv")
    assert {(e["from"], e["to"], e["kind"]) for e in d["edges"]} == {("a", "c", "-->"), ("b", "c", "-->")}
    assert {(x["node"], x["why"]) for x in d["left_out"]} == {("same", "copy"), ("flat", "constant")}
    (tmp_path / "k.yaml").write_text("forbid:\n- [a, c]\n- [c, a]\n")
    d = rca("discover", "--method", "pc", "--data", tmp_path / "d.csv", "--knowledge", tmp_path / "k.yaml")
    assert not [e for e in d["edges"] if {e["from"], e["to"]} == {"a", "c"}]
    (tmp_path / "k.yaml").write_text("root: [nobody]\n")
    assert "k.yaml:1:8: the data have no variable nobody" in rca(
        "discover", "--method", "pc", "--data", tmp_path / "d.csv", "--knowledge", tmp_path / "k.yaml", code=2)
    (tmp_path / "k.yaml").write_text("requires: [[a, c]]\n")
    assert "k.yaml:1:11: unknown key requires" in rca(
        "discover", "--method", "pc", "--data", tmp_path / "d.csv", "--knowledge", tmp_path / "k.yaml", code=2)
    for m in ("fci", "ges", "lingam", "pcmci", "granger"):
        assert rca("discover", "--method", m, "--data", tmp_path / "d.csv")["nodes"] == ["a", "b", "c", "same", "flat"]


def network(path, nodes):
    """A chain of classes, each mostly like the one before it."""
    text = "network chain {\n}\n" + "".join(
        f"variable v{i} {{\n  type discrete [ 2 ] {{ no, yes }};\n}}\n" for i in range(nodes))
    text += "probability ( v0 ) {\n  table 0.5, 0.5;\n}\n" + "".join(
        f"probability ( v{i + 1} | v{i} ) {{\n  (no) 0.8, 0.2;\n  (yes) 0.2, 0.8;\n}}\n"
        for i in range(nodes - 1))
    path.write_text(text)


def test_what_counts_as_contradicted_is_chosen_on_half_of_the_networks(tmp_path):
    network(tmp_path / "a.bif", 30)
    assert "two networks of 3 to 100 variables are needed" in rca("bench", "--dataset", "edges", tmp_path, code=2)
    network(tmp_path / "b.bif", 20)
    network(tmp_path / "c.bif", 101)  # too large
    b = rca("bench", "--dataset", "edges", tmp_path)
    assert (b["tuned"], b["reported"], len(b["verdicts"]), len(b["f1"])) == (1, 1, 16, 4)
    assert b["chosen"] in [f["detectable"] for f in b["f1"]]
    for v in b["verdicts"]:
        assert .2 < v["wrong"] < .3 and v["true_are_supported"] > .9, v
        assert v["contradicted_are_wrong"] > .9 and v["wrong_are_contradicted"] > .3, v


def petshop(root, issues):
    """Two services; web is slow because db is. Ten hours of normal time."""
    r = random.Random(2)
    s = root / "small"
    head = ["microservice,web,web,web,db,db,db",
            "metric,latency,requests,availability,latency,requests,availability",
            "statistic,Average,Sum,Average,Average,Sum,Average", "unix_timestamp,,,,,,"]

    def row(t, slow):
        db = .02 + r.uniform(0, .002) + slow
        return f"{t}.0,{db + .05 + r.uniform(0, .003):.5f},100,100,{db:.5f},100,100"

    (s / "noissue").mkdir(parents=True)
    (s / "graph.csv").write_text(",web,db\nweb,0,1\ndb,0,0\n")
    (s / "noissue" / "metrics.csv").write_text(
        "\n".join(head + [row(1600000200 + 300 * i, 0) for i in range(120)]) + "\n")
    for k in range(issues):
        d = s / "test" / f"issue_{k}"
        d.mkdir(parents=True)
        (d / "metrics.csv").write_text(
            "\n".join(head + [row(1700000100 + 300 * i, .3 if i > 1 else 0) for i in range(5)]) + "\n")
        (d / "target.json").write_text(json.dumps(
            {"target": {"node": "web", "metric": "latency", "timestamp": 1700000700},
             "root_cause": {"node": "db"}}))


def test_petshop_form(tmp_path):
    petshop(tmp_path, 3)
    b = rca("bench", "--dataset", "petshop", tmp_path)
    assert (b["cases"], b["ac1"], b["answered"]) == (3, 1, 3)
    assert b["normal_windows"] == 48 and b["specificity"] > .8
    (tmp_path / "small" / "test" / "issue_0" / "target.json").write_text('{"target": {"node": 7}}')
    assert "target.json: target.node: expected a string" in rca(
        "bench", "--dataset", "petshop", tmp_path, code=2)


def test_bad_input_is_one_line(tmp_path):
    bad = tmp_path / "x.json"
    bad.write_text('{"nodes": ["a"], "edges": [{"from": "a", "to": "a"}]}')
    for args, text in (
            (("plot", bad), "edges[0]: a points at itself"),
            (("diff", bad, tmp_path / "none.json"), "edges[0]"),
            (("synthesise", "--docs", tmp_path / "none"), "not a folder of documents"),
            (("synthesise",), "needs --docs"),
            (("discover", "--method", "magic", "--data", bad), "--method must be"),
            (("discover", "--method", "pc", "--data", tmp_path / "none"), "none"),
            (("bench", "--dataset", "nezha", tmp_path), "rca_data"),
            (("bench", "--dataset", "causal-learn", tmp_path), "cannot read the directory")):
        err = rca(*args, code=2)
        assert text in err and err.count("\n") == 1, err
