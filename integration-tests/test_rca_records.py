"""Logs and spans as measurements: made cases whose metrics show nothing, in the published forms of files."""

import gzip
import json
import os
import pathlib
import random
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
ACESO = os.environ.get("ACESO_BIN", str(ROOT / "build/bin/aceso"))
CALLS = [("web", "cart"), ("web", "pay"), ("pay", "bank")]
SERVICES = ["web", "cart", "pay", "bank"]
BEGIN, FAULT, END = 1_700_000_000, 1_700_000_360, 1_700_000_660
TRACE_COLUMNS = ("time,traceID,spanID,serviceName,methodName,operationName,startTimeMillis,startTime,duration,"
                 "statusCode,parentSpanID")


def aceso(*args):
    p = subprocess.run([ACESO, "rca", *map(str, args)], capture_output=True, text=True, timeout=60)
    return p.returncode, p.stdout, p.stderr


class Made:
    """One recording: metrics that show nothing, spans and log lines that show the fault."""

    def __init__(self, service, fault, seed):
        self.service, self.fault, self.rng = service, fault, random.Random(seed)
        self.metrics, self.spans, self.lines = [], [], []
        for t in range(BEGIN, END):
            self.metrics.append([t] + [x for _ in SERVICES for x in (5 + self.rng.random(), 1e8 + self.rng.random())])
            self.call(t, f"{self.rng.getrandbits(128):032x}", None, "web", "GET /buy")
            if self.rng.random() < 0.05:
                self.lines.append((t, self.rng.choice(SERVICES), "WARN", f"slow query took {self.rng.randint(200, 900)} ms"))
            self.lines.append((t, "web", "INFO", f"request {self.rng.getrandbits(64):016x} served"))
            if t >= FAULT and fault == "f2" and self.rng.random() < 0.8:
                self.lines.append((t, service, "ERROR", "NullPointerException at Cart.java:%d\n  at Main.run(Main.java:7) order=%x"
                                   % (self.rng.randint(1, 99), self.rng.getrandbits(40))))
                self.lines.append((t, "web", "ERROR", f"call to {service} failed: code = Unknown, attempt {self.rng.randint(1, 3)}"))

    def call(self, t, trace, parent, service, name, client=None):
        """Span of a service and what lies below it; returns how long it took, in microseconds, and whether it failed."""
        bad = t >= FAULT and service == self.service
        span = f"{self.rng.getrandbits(64):016x}"
        took, failed = self.rng.randint(900, 1100), False
        if bad and self.fault == "f1":
            took += 40_000
        if bad and self.fault == "f4" and self.rng.random() < 0.5:
            failed = True
        for a, b in CALLS:
            if a != service:
                continue
            outgoing = f"{self.rng.getrandbits(64):016x}"
            inner, broke = self.call(t, trace, outgoing, b, f"{b}.Do")
            lost = 30_000 if t >= FAULT and self.fault == "f3" and b == self.service else 100
            self.spans.append((t, trace, outgoing, a, f"{b}.Do", inner + lost, broke, span, 3, b))
            took, failed = took + inner + lost, failed or broke
        self.spans.append((t, trace, span, service, name, took, failed, parent or "", 2, ""))
        return took, failed

    def write_metrics(self, d):
        with open(d / "simple_metrics.csv", "w") as f:
            f.write("time," + ",".join(f"{s}_{m}" for s in SERVICES for m in ("cpu", "mem")) + "\n")
            for row in self.metrics:
                f.write(",".join(f"{x:.3f}" if i else str(x) for i, x in enumerate(row)) + "\n")
        (d / "inject_time.txt").write_text(f"{FAULT}\n")

    def write_csv(self, d):
        quote = '"'
        with open(d / "logs.csv", "w") as f:
            f.write("time,timestamp,container_name,message,level,req_path,error\n")
            for t, who, level, text in self.lines:
                f.write(f"{t % 86400},{t}{self.rng.randint(0, 10**9 - 1):09d},{who},{quote}{text}{quote},{level},,\n")
        with gzip.open(d / "traces.csv.gz", "wt") as f:
            f.write(TRACE_COLUMNS + "\n")
            for t, trace, span, who, name, took, failed, parent, _, _ in self.spans:
                f.write(f"{t % 3600},{trace},{span},{who},{name},{name},{t}000,{t}000000,{took},{2.0 * failed},{parent}\n")

    def write_otlp(self, d):
        def attribute(key, value):
            return {"key": key, "value": {"stringValue": value}}

        def resource(who):
            return {"attributes": [attribute("service.name", who)]}

        with open(d / "traces.jsonl", "w") as f:
            for t, trace, span, who, name, took, failed, parent, kind, peer in self.spans:
                start = t * 10**9
                one = {"traceId": trace, "spanId": span, "parentSpanId": parent, "name": name, "kind": kind,
                       "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + took * 1000),
                       "status": {"code": "STATUS_CODE_ERROR"} if failed else {}, "attributes": [attribute("peer.service", peer)]}
                f.write(json.dumps({"resourceSpans": [{"resource": resource(who), "scopeSpans": [{"spans": [one]}]}]}) + "\n")
        with open(d / "logs.json", "w") as f:
            whole = [{"resource": resource(who), "scopeLogs": [{"logRecords": [
                {"timeUnixNano": str(t * 10**9), "severityText": level, "body": {"stringValue": text}}]}]}
                for t, who, level, text in self.lines]
            json.dump({"resourceLogs": whole}, f, indent=1)

    def write_nezha(self, day):
        """A file a minute, only of the minutes around the fault and of some before."""
        for folder in ("metric", "log", "trace"):
            (day / folder).mkdir(parents=True)
        pods = {s: f"{s}-6cfdd55578-gfj6q" for s in SERVICES}
        for s in SERVICES:
            with open(day / f"metric/{pods[s]}_metric.csv", "w") as f:
                f.write("Time,TimeStamp,PodName,CpuUsage(m)\n")
                for t in range(BEGIN, END, 15):
                    f.write(f"x,{t},{pods[s]},{5 + self.rng.random():.3f}\n".replace("x,", f"{t},", 1))
        for minute in range(BEGIN, END, 60):
            if BEGIN + 60 < minute < BEGIN + 180:
                continue
            with open(day / f"log/{minute}_log.csv", "w") as f:
                f.write("Timestamp,TimeUnixNano,Node,PodName,Container,TraceID,SpanID,Log\n")
                for t, who, level, text in self.lines:
                    if minute <= t < minute + 60:
                        wrapped = json.dumps({"log": json.dumps({"severity": level, "message": text}) + "\n", "stream": "stdout"})
                        f.write(f"x,{t}000000000,n,{pods[who]},server,,," + '"' + wrapped.replace('"', '""') + '"\n')
            with open(day / f"trace/{minute}_trace.csv", "w") as f:
                f.write("TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration\n")
                for t, trace, span, who, name, took, _, parent, _, _ in self.spans:
                    if minute <= t < minute + 60:
                        f.write(f"{trace},{span},{parent or 'root'},{pods[who]},{name},{t}000000000,{t * 10**9 + took * 1000},{took}\n")


FAULTS = [("bank", "f1"), ("cart", "f2"), ("pay", "f3"), ("bank", "f4")]


@pytest.fixture(params=["csv", "otlp"])
def cases(request, tmp_path):
    for i, (service, fault) in enumerate(FAULTS):
        d = tmp_path / f"{service}_{fault}/1"
        d.mkdir(parents=True)
        made = Made(service, fault, 7 + i)
        made.write_metrics(d)
        getattr(made, f"write_{request.param}")(d)
    return tmp_path


def bench(*args):
    rc, out, err = aceso("bench", "--dataset", "rcaeval", *args, "--json")
    assert rc == 0, err
    return json.loads(out)


def test_faults_that_metrics_do_not_show_are_found(cases):
    d = bench(cases)
    assert (d["cases"], d["ac1"]) == (4, 1), d
    assert bench(cases, "--late-s", 60)["ac1"] == 1
    assert bench(cases, "--no-records")["ac1"] <= 0.5


@pytest.mark.parametrize("at,kind,words", [(0, "latency", "spans.latency_s"), (2, "network", "client.spans.latency_s"),
                                           (3, "errors", "spans.error_percent")])
def test_the_answer_names_what_the_spans_show(cases, at, kind, words):
    service, fault = FAULTS[at]
    rc, out, err = aceso("localise", "--metrics", cases / f"{service}_{fault}/1", "--json")
    assert rc == 0, err
    d = json.loads(out)
    best = d["root_causes"][0]
    assert (best["component"], best["fault"]) == (service, kind), best
    assert words in json.dumps(best), best
    assert [s["to"] for s in d["path"]][-1:] == ["web"], d["path"]


def test_lines_not_seen_before_are_told_by_their_pattern(cases):
    rc, out, err = aceso("localise", "--metrics", cases / "cart_f2/1")
    assert rc == 0, err
    assert out.startswith("Root cause: cart (errors)"), out
    assert "not seen before: log \"NullPointerException at *" in out.replace('\\"', '"'), out


def test_files_of_single_minutes(tmp_path):
    made = Made("pay", "f3", 3)
    day = tmp_path / "rca_data/2023-11-14"
    made.write_nezha(day)
    (day / "2023-11-14-fault_list.json").write_text(json.dumps(
        {"22": [{"inject_time": f"{FAULT}", "inject_pod": "pay-6cfdd55578-gfj6q", "inject_type": "network_delay"}]}))
    rc, out, err = aceso("bench", "--dataset", "nezha", tmp_path, "--json")
    assert rc == 0, err
    assert json.loads(out)["always"]["ac1"] == 1, out + err
    rc, out, err = aceso("localise", "--metrics", day / "metric", "--time", FAULT, "--json")
    assert rc == 0 and json.loads(out)["root_causes"][0]["component"] == "pay", out + err


@pytest.mark.parametrize("name,text,where", [
    ("logs.csv", "", "logs.csv:1:1: the file is empty"),
    ("logs.csv", "a,b\n1,2\n", "logs.csv:1:1: no column is called timestamp"),
    ("logs.csv", "time,service,message\n1,a\n", "logs.csv:2:3: 2 cells, the header has 3"),
    ("logs.csv", "time,service,message\n1700000000,a,x\nnoon,a,x\n", "logs.csv:3:1: not a time: 'noon'"),
    ("logs.csv", 'time,service,message\n1700000000,a,"x\n', "logs.csv:2:1: a quote that stays open"),
    ("logs.jsonl", '{"timestamp": 1700000000, "service": "a"}\n{"service": "a"}\n', "logs.jsonl:2: no timestamp"),
    ("logs.jsonl", '{"timestamp": 1700000000}\n', "logs.jsonl:1: no component, service or pod"),
    ("logs.jsonl", "{}}\n", "logs.jsonl:1:"),
    ("traces.csv", "traceID,spanID\n", "traces.csv:1:1: no column is called parentSpanID"),
    ("traces.csv", TRACE_COLUMNS + "\n1,t,s,a,,,,1700000000,long,0,\n", "traces.csv:2:9: not a duration: 'long'"),
    ("traces.json", '{"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "a"}}]},'
                    '"scopeSpans": [{"spans": [{"traceId": "t", "spanId": "s"}]}]}]}', "span s: no start or end time"),
    ("inject_time.txt", "soon\n", "inject_time.txt:1:1: not a time: 'soon'"),
])
def test_bad_files_are_refused_by_place(tmp_path, name, text, where):
    Made("bank", "f1", 1).write_metrics(tmp_path)
    (tmp_path / name).write_text(text)
    rc, out, err = aceso("localise", "--metrics", tmp_path)
    assert (rc, out) == (2, ""), (rc, out, err)
    assert where in err, err
