"""The console while the whole system heals a fault: a browser sees it happen. Writes build/pictures/console.png,
of which docs/console.png is a copy."""

import json
import os
import pathlib
import signal
import subprocess
import tempfile

import pytest

import chromium
from backends import BIN, ROOT

PROBLEM = "revoke_auth_mongodb"  # its cause is a store that gives no telemetry of its own


def aceso(*args, timeout=100):
    return subprocess.run([str(BIN / "aceso"), *args], capture_output=True, text=True, timeout=timeout)


@pytest.fixture
def system():
    with tempfile.TemporaryDirectory(prefix="aceso-it-") as state:
        up = aceso("up", "--state", state)
        try:
            assert up.returncode == 0, up.stderr
            yield state, up.stdout
        finally:
            aceso("down", "--state", state)


@pytest.fixture
def browser():
    if not chromium.program():
        pytest.skip("no Chromium on this machine")
    b = chromium.Chromium(1360, 900)
    yield b
    b.stop()


def test_a_browser_sees_the_fault_healed(system, browser):
    state, said = system
    url = said.splitlines()[-1].split()[-1]  # "the page for people: http://..."
    assert url.startswith("http://127.0.0.1:")
    browser.open(url)
    browser.wait("all services", "document.querySelectorAll('.service.healthy').length >= 11"
                                 " && !document.querySelector('.service.down')")
    lab = subprocess.Popen([str(BIN / "aceso"), "lab", "run", PROBLEM, "--agent", "responder", "--seed", "7", "--state", state,
                            "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        browser.wait("the session", f"document.querySelector('#sessions').innerText.includes('{PROBLEM}')", 60)
        browser.wait("an incident", "document.querySelector('#incident-list a')", 150)
        browser.wait("its cause", "document.querySelector('.cause .who b')", 60)
        browser.js("location.hash = document.querySelector('#incident-list a').hash")
        # The console is killed meanwhile: it comes back, and the page by itself.
        status = json.loads(aceso("status", "--state", state, "--json").stdout.splitlines()[-1])
        os.kill(next(s["pid"] for s in status["services"] if s["name"] == "console"), signal.SIGKILL)
        browser.wait("its loss", "document.querySelector('#live').dataset.state !== 'on'")
        browser.wait("its return", "document.querySelector('#live').dataset.state === 'on'", 30)
        browser.wait("the score", "document.querySelector('#sessions tr[data-phase=done]')", 180)
        browser.wait("the series", "document.querySelector('svg.chart .line') && document.querySelector('svg.chart .mark')")
        browser.wait("all services again", "!document.querySelector('.service.down')", 30)
        browser.picture(ROOT / "build/pictures/console.png", 1500)
        out, _ = lab.communicate(timeout=60)
    finally:
        if lab.poll() is None:
            lab.send_signal(signal.SIGINT)
            lab.wait(30)
    score = json.loads(out.splitlines()[-1])["scores"]
    # How good the healing was is for other tests to say; here, that the page tells what the lab found.
    assert score["detected"], score
    row, shown = browser.text("#sessions"), browser.text("#detail")
    for word, key, seconds in (("detected", "detected", "ttd_s"), ("repaired", "mitigated", "ttm_s")):
        assert not score[key] or f"yes, {score[seconds]:.1f} s" in row, (word, score, row)
    assert score["root_cause"] in browser.text(".cause"), score
    assert score["reason"].split(": ", 1)[-1] in shown, score
    assert score["mitigation"].split(": ", 1)[-1] in shown, score
    # The killed console answered nobody for a moment; besides that the browser found no fault.
    assert [c for c in browser.complaints if "net::ERR" not in c] == []
