"""A kind of job for tests with real workers: each device is a visit to a server that counts who is there.

The instance knows it when its settings are `tests.e2e.visit_settings`.
"""

from __future__ import annotations

import os
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.apps import AppConfig

PORT = "NETRAVEN_TEST_VISITS"
STAY_S = "NETRAVEN_TEST_STAY_S"


class VisitsConfig(AppConfig):
    """Makes the kind known."""

    name = "tests.e2e.visits"
    label = "visits"

    def ready(self) -> None:
        """Add one more kind to the registry."""
        from devices.connector.target import Target
        from jobs.kinds import KINDS
        from jobs.kinds.base import KindContext, OnDevices, Store, Stored

        class Visit(OnDevices):
            name = "visit"
            label = "Visit"
            description = "For tests."

            def needs_login(self, parameters: Mapping[str, Any]) -> bool:
                return False

            def look(self, target: Target, context: KindContext) -> Store:
                visit(target.name)
                return lambda: Stored(data={"seen": True})

            def work(self, connector: Any, context: KindContext) -> Store:
                raise NotImplementedError

        KINDS["visit"] = Visit()


def visit(name: str) -> None:
    """Be with the server for a while; a poison device takes the whole process with it."""
    with socket.create_connection(("127.0.0.1", int(os.environ[PORT])), timeout=30) as connection:
        connection.sendall(f"{name}\n".encode())
        connection.recv(1)
        if name.startswith("poison"):
            os._exit(9)
        threading.Event().wait(float(os.environ.get(STAY_S, "0.2")))
        connection.sendall(b"leaving\n")
        connection.recv(1)


class Host:
    """The server. What is in front of the first `-` of a name is the group in which a visit is counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = Counter[str]()
        self.visits = Counter[str]()
        self.most = Counter[str]()
        host = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                name = self.rfile.readline().decode().strip()
                host.enter(name)
                try:
                    # The guest goes on, and comes back to say goodbye, only after it has been counted.
                    self.wfile.write(b".")
                    self.rfile.readline()
                finally:
                    host.leave(name)
                self.wfile.write(b".")

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address, daemon_threads, request_queue_size = True, True, 256

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]

    def clear(self) -> None:
        """Forget who was there."""
        with self._lock:
            self.visits.clear()
            self.most.clear()

    def enter(self, name: str) -> None:
        """Count somebody in."""
        group = name.split("-")[0]
        with self._lock:
            self.visits[name] += 1
            for key in ("all", group):
                self._inside[key] += 1
                self.most[key] = max(self.most[key], self._inside[key])

    def leave(self, name: str) -> None:
        """Count somebody out."""
        with self._lock:
            for key in ("all", name.split("-")[0]):
                self._inside[key] -= 1

    @property
    def inside(self) -> int:
        """Who is there now."""
        return self._inside["all"]

    @contextmanager
    def open(self) -> Iterator[Host]:
        """Receive visits for the time of a block."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
