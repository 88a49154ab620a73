"""The secrets of the test corpus, looked for wherever a configuration leaves a trace: tables, index, export, log."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from devices.configs.store import prepare, save_version
from devices.models import Device
from devices.services import save_device
from tests.devices.config_fleet import index_all
from tests.devices.dumps import WITH_FORMS, forms, secrets_in_forms

pytestmark = pytest.mark.django_db
WHEN = datetime(2026, 3, 1, tzinfo=UTC)
TEXTS = {f"forms-{name}": (name, forms(name), secrets_in_forms(name), forms(name, "X")) for name in WITH_FORMS}


def told_apart(found: set[str], rest: str) -> set[str]:
    """Those of the secrets that stand nowhere else in the text, long enough to be no accident."""
    return {each for each in found if len(each) >= 8 and "\n" not in each and each not in rest}


def opened(value: object) -> bytes:
    """A value as somebody would read it who unpacks what is packed."""
    raw = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
    try:
        return raw + zlib.decompress(raw)
    except zlib.error:
        return raw


def rows() -> Iterator[bytes]:
    """Every value of every table, those of the index with it."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table == "devices_configsearch":
                continue  # holds no rows, only what is asked of it in `indexed`
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                yield from (opened(value) for value in row if value is not None)


def indexed(wanted: set[str]) -> set[str]:
    """The secrets that the search index finds."""
    with connection.cursor() as cursor:
        found = set()
        for each in wanted:
            quoted = '"' + each.replace('"', '""') + '"'
            cursor.execute("SELECT count(*) FROM devices_configsearch WHERE devices_configsearch MATCH %s", [quoted])
            if cursor.fetchone()[0]:
                found.add(each)
        return found


def files(folder: Path) -> Iterator[bytes]:
    """Every file below a folder, the objects of a git repository among them."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield opened(path.read_bytes())


def leaks(where: Iterator[bytes], wanted: set[str]) -> set[str]:
    """The secrets that stand there."""
    everything = b"\0".join(where)
    return {each for each in wanted if each.encode() in everything}


def test_no_secret_of_the_corpus_stands_in_table_index_export_or_log(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    wanted: set[str] = set()
    public = ""
    for name, (platform, text, found, rest) in TEXTS.items():
        device = save_device(Device(), name=name, host="192.0.2.1", platform=platform, tags=["lab"])
        save_version(device.pk, "running", prepare(text, platform), WHEN)
        wanted |= found
        public += rest
    wanted = told_apart(wanted, public)
    assert len(wanted) > 100
    index_all()
    call_command("export_configs", str(tmp_path / "export"), "--git")
    assert leaks(rows(), wanted) == set()
    assert indexed({"service password-encryption"} | wanted) == {"service password-encryption"}
    assert leaks(files(tmp_path), wanted) == set()
    assert leaks(iter([caplog.text.encode()]), wanted) == set()


def test_the_sweep_sees_a_secret_that_lies_open(tmp_path):
    secret = "lies-open-4471"
    (tmp_path / "packed").write_bytes(zlib.compress(f"username ops password {secret}".encode()))
    save_device(Device(), name="open", host="192.0.2.1", platform="cisco_ios", tags=["lab"], description=secret)
    assert leaks(rows(), {secret}) == leaks(files(tmp_path), {secret}) == {secret}
