"""Lines of the log that nobody else can write."""

from __future__ import annotations

import io
import logging
from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from django.conf import settings
from django.test import Client
from gunicorn.config import Config

from netraven_site.security.access_log import AccessLog
from netraven_site.security.logs import OneLine, one_line

FORGED = "olga\n2026-01-01 00:00:00,000 INFO netraven.audit sign_in\r\x1b[2K\x85\u2028\u202ex"


@pytest.fixture
def log():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLine(settings.LOGGING["formatters"]["line"]["format"]))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    return logger, stream


def test_a_message_is_one_line_whatever_stands_in_it(log) -> None:
    logger, stream = log
    logger.warning("user %s refused", FORGED)
    (line,) = stream.getvalue().splitlines()
    assert "\\n2026-01-01" in line
    assert line.isprintable()


def test_a_traceback_has_no_line_that_looks_like_a_message(log) -> None:
    logger, stream = log
    try:
        raise ValueError(FORGED)
    except ValueError:
        logger.exception("failed")
    first, *rest = stream.getvalue().rstrip("\n").split("\n")
    assert first.endswith("failed")
    assert len(rest) > 3
    assert all(line.startswith("    ") for line in rest)
    assert all(one_line(line) == line for line in rest)


def test_the_instance_logs_with_it() -> None:
    assert settings.LOGGING["formatters"]["line"]["()"] == "netraven_site.security.logs.OneLine"


@pytest.mark.django_db
def test_a_name_that_was_typed_forges_no_line(caplog) -> None:
    caplog.set_level("INFO")
    Client().post("/admin/login/", {"username": FORGED, "password": "x"})
    formatter = OneLine("%(message)s")
    for record in caplog.records:
        assert "\n2026" not in formatter.format(record)


def test_a_path_forges_no_line_of_the_access_log() -> None:
    environ = {
        "REMOTE_ADDR": "192.0.2.1",
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/x",
        "PATH_INFO": unquote('/x%0A192.0.2.9 "GET /admin/" 200%1B[2K'),
        "SERVER_PROTOCOL": "HTTP/1.1",
    }
    answer = SimpleNamespace(status="404", sent=1, headers=[])
    asked = SimpleNamespace(headers=[])
    found = AccessLog(Config()).atoms(answer, asked, environ, timedelta(seconds=1))
    assert "\n" not in found["U"]
    assert "\x1b" not in found["U"]
