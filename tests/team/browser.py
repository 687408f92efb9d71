#!/usr/bin/env python3
"""A person's browser for tests: headless Chromium, driven by chromedriver (W3C WebDriver, www.w3.org/TR/webdriver2),
with nothing but the standard library.

    browser.py URL [STEP...]

Steps, in order:

    type SELECTOR TEXT     type into the element
    click SELECTOR         click it
    shot FILE              a screenshot of the page as it is
    dark | light           how the person likes pages
    text                   print the page's visible text

Prints one JSON line for each `text`: {"url": …, "title": …, "text": …}. The window has a phone's size. Ends what it
started.
"""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver, "web element identifier"
PATIENCE = 60


class WebDriverError(Exception):
    pass


class Browser:
    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.driver = subprocess.Popen(
            [shutil.which("chromedriver") or "/usr/bin/chromedriver", f"--port={port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": folder, "TMPDIR": folder},
        )
        self.base = f"http://127.0.0.1:{port}"
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.session = None
        self.wait()
        arguments = [
            "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
            f"--user-data-dir={folder}/profile",
        ]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        options = {"args": arguments}
        if chromium := shutil.which("chromium"):
            options["binary"] = chromium
        capabilities = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        answer = self.call("POST", "/session", {"capabilities": capabilities})
        self.session = answer["sessionId"]
        self.cdp("Emulation.setDeviceMetricsOverride",
                 {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})

    def wait(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if self.call("GET", "/status")["ready"]:
                    return
            except (OSError, urllib.error.URLError):
                pass
            if time.monotonic() > deadline or self.driver.poll() is not None:
                raise SystemExit("chromedriver does not answer")
            time.sleep(0.05)

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with self.opener.open(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise WebDriverError(f"{method} {path}: {error.read().decode()[:300]}") from None

    def of_session(self, method, path, body=None):
        return self.call(method, f"/session/{self.session}{path}", body)

    def cdp(self, command, parameters):
        return self.of_session("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url):
        self.of_session("POST", "/url", {"url": url})

    def element(self, selector):
        found = self.of_session("POST", "/element", {"using": "css selector", "value": selector})
        return "/element/" + found[ELEMENT]

    def type(self, selector, text):
        self.of_session("POST", self.element(selector) + "/value", {"text": text})

    def click(self, selector):
        self.of_session("POST", self.element(selector) + "/click", {})

    def scheme(self, name):
        feature = {"name": "prefers-color-scheme", "value": name}
        self.cdp("Emulation.setEmulatedMedia", {"features": [feature]})

    def shot(self, file):
        size = self.cdp("Page.getLayoutMetrics", {})["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": 390, "height": min(size["height"], 3000), "scale": 1}
        shot = self.cdp("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip})
        with open(file, "wb") as output:
            output.write(base64.b64decode(shot["data"]))

    def text(self):
        """What is on the page, once it is there: a click may just have left the one before."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.text_now()
            except WebDriverError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def text_now(self):
        body = self.element("body")
        return {
            "url": self.of_session("GET", "/url"),
            "title": self.of_session("GET", "/title"),
            "text": self.of_session("GET", body + "/text"),
        }

    def close(self):
        try:
            if self.session:
                self.of_session("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(timeout=PATIENCE)


def main():
    url, *steps = sys.argv[1:]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        try:
            browser.open(url)
            while steps:
                step = steps.pop(0)
                if step == "type":
                    browser.type(steps.pop(0), steps.pop(0))
                elif step == "click":
                    browser.click(steps.pop(0))
                elif step == "shot":
                    browser.shot(steps.pop(0))
                elif step in ("dark", "light"):
                    browser.scheme(step)
                elif step == "text":
                    print(json.dumps(browser.text()), flush=True)
                else:
                    raise SystemExit(f"unknown step: {step}")
        finally:
            browser.close()


if __name__ == "__main__":
    main()
