"""A browser on the portal, for the tests that need a person's eyes and hands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path(os.environ.get("NETRAVEN_TEST_CHROMIUM", "/usr/bin/chromium"))
# No sandbox, since tests may run as root in a container; nothing that would ask the internet for anything.
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LAPTOP = {"width": 1366, "height": 768}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; fails, and says how to mend it, where there is none."""
    assert CHROMIUM.exists(), (
        f"There is no Chromium at {CHROMIUM}: install Debian's package with 'apt-get install chromium', "
        "or name another in NETRAVEN_TEST_CHROMIUM."
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(_ARGUMENTS))
        yield browser
        browser.close()


class Visit:
    """One person at the portal; remembers what went wrong in the browser."""

    def __init__(self, browser: Browser, address: str, theme: str = "light") -> None:
        self.address = address
        self.troubles: list[str] = []
        self.context = browser.new_context(viewport=LAPTOP)
        self.context.add_init_script(f"localStorage.setItem('adminTheme', '\"{theme}\"')")
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.troubles.append(f"script: {error}"))
        self.page.on("console", lambda said: said.type == "error" and self.troubles.append(f"console: {said.text}"))
        self.page.on("response", lambda got: got.status >= 400 and self.troubles.append(f"{got.status} {got.url}"))
        self.page.on("request", lambda asked: self._own(asked.url) or self.troubles.append(f"elsewhere: {asked.url}"))

    def _own(self, url: str) -> bool:
        return url.startswith((self.address, "data:", "blob:"))

    def sign_in(self, username: str, password: str) -> None:
        """Through the form, as people do."""
        self.open("/admin/login/")
        self.page.fill("#id_username", username)
        self.page.fill("#id_password", password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url("**/admin/")

    def open(self, path: str) -> Page:
        """Go to a page of the portal."""
        self.page.goto(self.address + path)
        return self.page
