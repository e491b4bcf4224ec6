"""Seeded runs of the demo's problems, one after another on one instance, as a table:
python3 integration-tests/demo_table.py [FIRST-LAST] [PROBLEM...]   (for docs/benchmarks.md)"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ACESO = str(pathlib.Path(os.environ.get("ACESO_BUILD", ROOT / "build")) / "bin/aceso")
PROBLEMS = ["pod_kill_hotel_res", "network_delay_hotel_res", "revoke_auth_mongodb"]


def run(problem, seed, state):
    r = subprocess.run([ACESO, "lab", "run", problem, "--agent", "responder", "--seed", str(seed), "--state", state,
                        "--json"], capture_output=True, text=True)
    try:
        score = json.loads(r.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        score = {"success": False, "error": r.stderr.strip().splitlines()[-1:]}
    score["progress"] = r.stderr
    return score


def word(v):
    return "–" if v is None else f"{v:.1f}" if isinstance(v, float) else "yes" if v else "no"


def main():
    first, last = (sys.argv[1] if len(sys.argv) > 1 else "101-110").split("-")
    problems = sys.argv[2:] or PROBLEMS
    keep = os.environ.get("DEMO_TABLE_LOG")
    with tempfile.TemporaryDirectory(prefix="aceso-table-") as state:
        subprocess.run([ACESO, "up", "--state", state], check=True, capture_output=True)
        try:
            print("| problem | seed | detected | localised | mitigated | ttd s | ttl s | ttm s | setup s | total s |")
            print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
            ok = dict.fromkeys(problems, 0)
            for seed in range(int(first), int(last) + 1):
                for p in problems:
                    s = run(p, seed, state)
                    ok[p] += s["success"]
                    c = s.get("scores", {})
                    cells = [c.get(k) for k in ("detected", "localised", "mitigated", "ttd_s", "ttl_s", "ttm_s")]
                    cells += [s.get("setup_s"), s.get("total_s")]
                    note = " void" if s.get("void") else f" {s['error']}" if "error" in s else ""
                    print(f"| {p}{note} | {seed} | " + " | ".join(map(word, cells)) + " |", flush=True)
                    if keep:
                        pathlib.Path(keep, f"{p}-{seed}.txt").write_text(s["progress"] + json.dumps(c, indent=1))
            n = int(last) - int(first) + 1
            print("\n" + ", ".join(f"{p}: {k} of {n} healed" for p, k in ok.items()))
        finally:
            subprocess.run([ACESO, "down", "--state", state], capture_output=True)


main()
