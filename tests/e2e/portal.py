"""A portal that runs: its commands, its pages, and what it leaves behind."""

from __future__ import annotations

import http.cookiejar
import json
import re
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from devices.simulator.generate import write_inventory
from devices.simulator.spec import SimDevice
from tests.netraven_site.instance import REPOSITORY, Instance, Up


class Portal(Instance):
    """An instance whose `up` runs for as long as the tests need it."""

    def __init__(self, home: Path, **variables: str) -> None:
        super().__init__(home, **variables)
        self.password = ""
        self.spoken: list[str] = []
        """Everything that a command has printed."""

    # --- life ---
    def setup(self) -> None:
        """The first start; keeps the administrator's password."""
        done = self.manage("setup", "--no-input", "--json")
        assert done.returncode == 0, done.stderr
        self.password = json.loads(done.stdout)["admin"]["password"]

    @contextmanager
    def running(self) -> Iterator[Portal]:
        """`up`, ended by SIGTERM; fails when anything of it outlives that."""
        with self.up() as up:
            yield self
            end_in_order(up)

    # --- commands ---
    def manage(  # type: ignore[override]
        self, *arguments: str, typed: str = "", timeout_s: float = 120, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a management command to its end, with `typed` on its standard input."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env={**self.env, **variables},
            input=typed,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        self.spoken += [done.stdout, done.stderr]
        return done

    def must(self, *arguments: str, typed: str = "") -> str:
        """What a command prints; fails when it does not exit with 0."""
        done = self.manage(*arguments, typed=typed)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def import_devices(self, devices: Iterable[SimDevice]) -> None:
        """Bring simulated devices in, as everybody would."""
        path = self.home / "inventory.csv"
        write_inventory(path, devices)
        self.must("import_devices", str(path))

    def add_credential(self, name: str, username: str, *options: str, secrets: Iterable[str] = ()) -> None:
        """Add a credential whose secrets come on standard input."""
        lines = "".join(f"{secret}\n" for secret in secrets)
        self.must("add_credential", "--name", name, "--username", username, *options, typed=lines)

    def run_job(self, *arguments: str) -> dict[str, Any]:
        """The report of a run that was waited for; `results` by the names of the devices, `exit` the exit code."""
        done = self.manage("run_job", *arguments, "--wait", "--json", "--results", "--timeout", "100")
        assert done.stdout, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        report["results"] = {row["device"]: row for row in report["results"]}
        report["exit"] = done.returncode
        return report

    def ask(self, expression: str, *imports: str) -> Any:
        """The value of a Python expression inside the instance, by way of JSON."""
        lines = ["import json", *imports, f"print(json.dumps({expression}, default=str))"]
        return json.loads(self.shell("\n".join(lines)))

    # --- files ---
    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.home / "var" / "netraven.sqlite3"

    @contextmanager
    def watching_the_queue(self) -> Iterator[set[bytes]]:
        """Every task that stands in the queue meanwhile, as it is stored."""
        seen: set[bytes] = set()
        done = threading.Event()

        def look() -> None:
            with closing(sqlite3.connect(self.database, timeout=30)) as connection:
                while not done.is_set():
                    seen.update(row[0].encode() for row in connection.execute("SELECT payload FROM django_q_ormq"))
                    time.sleep(0.01)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield seen
        finally:
            done.set()
            thread.join()


def end_in_order(up: Up) -> None:
    """Send SIGTERM and wait; fails when it does not end with 0, or leaves a process behind."""
    up.note_sessions()
    up.process.terminate()
    assert up.process.wait(timeout=90) == 0, up.console.read_text()
    assert up.living() == []


# --- over HTTP --------------------------------------------------------------------------------------------


class Browser:
    """Signs in and reads pages, as an administrator; `bodies` keeps each answer by its address."""

    def __init__(self, portal: Portal) -> None:
        self.base = f"http://127.0.0.1:{portal.port}"
        self.bodies: dict[str, bytes] = {}
        self.statuses: dict[str, int] = {}
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))
        self._token = portal.must("create_token", "admin").strip()
        self._sign_in(portal.password)

    def _sign_in(self, password: str) -> None:
        login = f"{self.base}/admin/login/"
        page = self._opener.open(login, timeout=30).read().decode()
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found is not None
        form = {"csrfmiddlewaretoken": found[1], "username": "admin", "password": password, "next": "/admin/"}
        with self._opener.open(login, urllib.parse.urlencode(form).encode(), timeout=30) as answer:
            assert answer.url == f"{self.base}/admin/"

    def get(self, path: str) -> str:
        """The body of a page, whatever its status."""
        return self._keep(path, urllib.request.Request(self.base + path))

    def api(self, path: str, data: Any = None) -> str:
        """The body of an answer of the API, whatever its status; with `data` it is a POST."""
        headers = {"Authorization": f"Token {self._token}", "Content-Type": "application/json"}
        body = json.dumps(data).encode() if data is not None else None
        request = urllib.request.Request(self.base + path, body, headers)
        return self._keep(f"POST {len(self.bodies)} {path}" if body else path, request)

    def _keep(self, name: str, request: urllib.request.Request) -> str:
        try:
            with self._opener.open(request, timeout=60) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        self.statuses[name], self.bodies[name] = status, body
        return str(body.decode("utf-8", "replace"))

    def crawl(self, start: str, at_most: int) -> None:
        """Read a page and what it leads to below the same folder, `at_most` pages in all."""
        folder = "/" + start.split("/")[1] + "/"
        queue, known = [start], {start}
        while queue and len(self.bodies) < at_most:
            path = queue.pop(0)
            for link in re.findall(r'href="([^"#]+)', self.get(path)):
                target = urllib.parse.urlsplit(urllib.parse.urljoin(path, link.replace("&amp;", "&")))
                plain = target.path
                # One page of each kind: sorting and filtering show the same rows again.
                if target.netloc or not plain.startswith(folder) or "logout" in plain or plain in known:
                    continue
                known.add(plain)
                queue.append(f"{plain}?{target.query}" if target.query else plain)

    def crawl_api(self, at_most: int) -> None:
        """Read each list of the API, and the rows that it leads to."""
        schema = self.api("/api/v1/schema/?format=json")
        queue = [path for path in json.loads(schema)["paths"] if "{" not in path]
        templates = [path for path in json.loads(schema)["paths"] if path.count("{") == 1]
        while queue and len(self.bodies) < at_most:
            path = queue.pop(0)
            body = self.api(path)
            rows = json.loads(body).get("results", []) if body.startswith("{") else []
            for row in rows[:20] if "{" not in path else []:
                queue += [
                    re.sub(r"\{\w+\}", str(row["id"]), template)
                    for template in templates
                    if template.startswith(path) and "id" in row
                ]
