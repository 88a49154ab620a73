"""The database's share of a device, on SQLite and on PostgreSQL, without a network beside it."""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from tests.bench.play import inside
from tests.netraven_site.instance import Instance

POSTGRES = os.environ.get("BENCH_POSTGRES", "postgres://postgres@127.0.0.1:5432/test")
_INSIDE = Path(__file__).with_name("inside_writing.py")
HEADINGS = ("", "writes, CPU ms", "packs, CPU ms", "together", "all of the worker but the network, CPU ms")


def measure(
    devices: int, rounds: int, say: Callable[[str], None], only: Collection[str] = ("SQLite", "PostgreSQL")
) -> tuple[list[Sequence[str]], dict[str, float]]:
    """The lines of the table, and milliseconds by name for the targets."""
    lines: list[Sequence[str]] = []
    costs: dict[str, float] = {}
    for engine, variables in _engines(say):
        if engine not in only:
            continue
        with variables as chosen, tempfile.TemporaryDirectory(prefix="netraven-bench-") as folder:
            found = _inside(Path(folder), chosen, devices, rounds)
        packing = median(found["packing"])
        for what, taken in found["rounds"].items():
            writer = median(each["writer"] for each in taken)
            pack = 0.0 if what == "unchanged" else packing
            costs[f"{engine} {what}"] = writer + pack
            everything = median(each["everything"] for each in taken)
            lines.append(
                (f"{engine}, {what}", f"{writer:.2f}", f"{pack:.2f}", f"{writer + pack:.2f}", f"{everything:.2f}")
            )
    return lines, costs


def _inside(home: Path, variables: Mapping[str, str], devices: int, rounds: int) -> dict[str, Any]:
    instance = Instance(home, NETRAVEN_LOG_LEVEL="WARNING", **variables)
    instance.setup()
    found: dict[str, Any] = json.loads(inside(instance, _INSIDE, f"{devices} {rounds}"))
    return found


def _engines(say: Callable[[str], None]) -> Iterator[tuple[str, AbstractContextManager[dict[str, str]]]]:
    yield "SQLite", _sqlite()
    try:
        psycopg.connect(POSTGRES, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        say(f"PostgreSQL is not measured: {error}. `make services` starts it.")
        return
    yield "PostgreSQL", database()


@contextmanager
def _sqlite() -> Iterator[dict[str, str]]:
    yield {}


@contextmanager
def database() -> Iterator[dict[str, str]]:
    """A database of its own on the PostgreSQL server, gone afterwards."""
    name = f"netraven_bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield {"DATABASE_URL": POSTGRES.rpartition("/")[0] + "/" + name}
    finally:
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
