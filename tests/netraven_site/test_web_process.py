"""A web process that a secret passed through is replaced; one that saw none goes on."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from credentials import plaintext
from netraven_site.processes import web


class Looked(BaseException):
    """Ends the loop of a test."""


@pytest.fixture
def worker():
    return SimpleNamespace(alive=True, log=logging.getLogger("test"))


@pytest.fixture
def looks(monkeypatch):
    """How often it slept; the third time the test ends."""
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 3:
            raise Looked

    monkeypatch.setattr(web.time, "sleep", sleep)
    return slept


def test_a_process_without_a_secret_goes_on(worker, looks, monkeypatch):
    monkeypatch.setattr(plaintext, "_sealed_at", None)
    with pytest.raises(Looked):
        web._replace_after_a_secret(worker)
    assert worker.alive


def test_it_is_not_replaced_at_once(worker, looks, monkeypatch, settings):
    settings.NETRAVEN_WEB_RECYCLE_S = 30
    monkeypatch.setattr(plaintext, "sealed_s_ago", lambda: 29.0)
    with pytest.raises(Looked):
        web._replace_after_a_secret(worker)
    assert worker.alive


def test_it_ends_when_its_time_is_over(worker, looks, monkeypatch, settings):
    settings.NETRAVEN_WEB_RECYCLE_S = 30
    monkeypatch.setattr(plaintext, "sealed_s_ago", lambda: 30.0 if looks else 29.0)
    web._replace_after_a_secret(worker)
    assert not worker.alive
    assert len(looks) == 1
