"""A headless Chromium, steered over its DevTools pipe: no driver and no port. Waits are for what the page
shows; whatever the page writes to its console, and each request that failed, is kept in `complaints`."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


def program():
    return shutil.which("chromium") or shutil.which("google-chrome")


class Chromium:
    def __init__(self, width=1360, height=900):
        self.profile = tempfile.TemporaryDirectory(prefix="aceso-chromium-")
        theirs_in, self.out = os.pipe()
        self.inp, theirs_out = os.pipe()
        # The browser wants exactly these two numbers: get ours out of their way first.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs_in, theirs_out)]

        def fds():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.out, self.inp = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (self.out, self.inp)]
        self.process = subprocess.Popen(
            [program(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--no-proxy-server", "--hide-scrollbars",
             f"--user-data-dir={self.profile.name}", f"--window-size={width},{height}", "--remote-debugging-pipe",
             "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=fds,
            pass_fds=(3, 4), env={**os.environ, "HOME": self.profile.name}, start_new_session=True)
        for fd in high:
            os.close(fd)
        self.last, self.rest, self.complaints, self.answers = 0, b"", [], {}
        self.session = None
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def _read(self, end):
        while b"\0" not in self.rest:
            if not select.select([self.inp], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError("chromium does not answer")
            got = os.read(self.inp, 1 << 20)
            if not got:
                raise AssertionError("chromium has ended")
            self.rest += got
        text, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(text)
        if "id" in message:
            self.answers[message["id"]] = message
        else:
            self._event(message["method"], message["params"])

    def _event(self, method, p):
        if method == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(a.get("value", a.get("description"))) for a in p["args"]))
        elif method == "Runtime.exceptionThrown":
            d = p["exceptionDetails"]
            self.complaints.append(f'{d["text"]} {d.get("exception", {}).get("description", "")}')
        elif method == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f'{p["entry"]["text"]} {p["entry"].get("url", "")}')

    def call(self, method, limit_s=30, **params):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + limit_s
        while self.last not in self.answers:
            self._read(end)
        answer = self.answers.pop(self.last)
        if "error" in answer:
            raise AssertionError(f'{method}: {answer["error"]["message"]}')
        return answer["result"]

    def open(self, url):
        self.call("Page.navigate", url=url)

    def js(self, expression, limit_s=30):
        got = self.call("Runtime.evaluate", limit_s, expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            raise AssertionError(got["exceptionDetails"])
        return got["result"].get("value")

    def text(self, selector="body"):
        return self.js(f"(document.querySelector({json.dumps(selector)}) || {{}}).innerText || ''")

    def wait(self, what, expression, seconds=20):
        """Until the expression is true in the page; looks again at each change of the document."""
        got = self.js(f"""new Promise(done => {{
            const ok = () => {{ try {{ return !!({expression}); }} catch (e) {{ return false; }} }};
            const look = () => {{ if (ok()) {{ watch.disconnect(); done(true); return true; }} return false; }};
            const watch = new MutationObserver(look);
            watch.observe(document, {{subtree: true, childList: true, characterData: true, attributes: true}});
            if (!look()) setTimeout(() => {{ watch.disconnect(); done(ok()); }}, {int(seconds * 1000)});
        }})""", seconds + 30)
        assert got, f"{what}: not within {seconds} s; the page shows:\n{self.text()}"

    def key(self, name):
        code = {"Tab": 9, "Enter": 13}[name]
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code,
                      **({"text": "\r"} if name == "Enter" and kind == "keyDown" else {}))

    def dark(self, on):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if on else "light"}])

    def picture(self, path, height=None):
        """The whole page, or its upper part."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(height or size["height"], size["height"]), "scale": 1}
        got = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(got["data"]))

    def stop(self):
        try:
            self.session = None
            self.call("Browser.close")
        except (AssertionError, OSError):
            self.process.kill()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.out)
        os.close(self.inp)
        self.profile.cleanup()
