# ruff: noqa: PT017
"""Data from outside, made up at random: each parser takes it or refuses it in its own words, and in time."""

from __future__ import annotations

import json
import socket
import threading
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from credentials.querysets import tags_named
from credentials.spreadsheet import guarded, unguarded
from devices.configs import diff, integrity
from devices.configs.answers import redact_answer
from devices.configs.authors import last_change
from devices.configs.facts import facts
from devices.configs.normalise import clean, normalise, restorable
from devices.configs.query import BadQuery, Matcher, Mode, required
from devices.configs.redact import redact
from devices.connector.channel import TelnetStream, last_line, printable
from devices.connector.commands import CommandRefused, refuse_unless_read_only
from devices.connector.dialogue import Answer
from devices.connector.outcomes import ConnectorError
from devices.connector.platform_reader import read
from devices.connector.platform_types import PlatformTableError
from devices.connector.platforms import platform
from devices.connector.probe import probe
from devices.connector.target import Limits, Target
from devices.connector.targets import TargetPolicy, TargetRefused, policy_from
from devices.host_keys import KnownHostsError, import_known_hosts
from devices.inventory import importer
from devices.inventory.cells import join_tags, split_tags
from devices.inventory.columns import InventoryError
from devices.validators import validate_host, validate_name
from jobs.timing import check_line, cron_starts, zone_of
from netraven_site.models import ApiToken
from tests import fuzz_profiles  # noqa: F401

PLATFORMS = ("cisco_ios", "juniper_junos", "huawei", "mikrotik_routeros", "fortinet", "linux")
# Words that the parsers know, so that chance gets further than the first character.
WORDS = (
    "password", "secret 5 ", "username ", "interface ", "banner motd ^C", "end", "set system ", "-----BEGIN KEY-----",
    "hostname", "snmp-server community ", "{", "}", '"', "'", "\\", "\r\n", "\n", "\x00", "\x1b[2J", "\x1b]0;",
    "\u202e", "\u2028", "\x85", "\ud7ff", " ", "\t", "!", "#", ">", "$", "(config)#", "--More--", "\x08", ";", ",",
    "=cmd", "@", "|1|", "ssh-ed25519 ", "AAAA", "10.0.0.1", "::1", "%", "^", "config firewall policy", "edit 1", "next",
)  # fmt: skip
text = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=12)), max_size=40).map("".join)
raw = st.one_of(st.binary(max_size=400), text.map(lambda said: said.encode("utf-8", "surrogatepass")))
names = st.sampled_from(PLATFORMS)


# --- what devices say -------------------------------------------------------------------------------------


@given(text, names)
def test_dumps(said: str, name: str) -> None:
    whole = clean(said)
    assert "\x1b" not in whole
    assert "\x00" not in whole
    compared = normalise(whole, name)
    assert normalise(compared, name) == compared
    redact(whole, name)
    redact_answer(whole, name)
    restorable(whole, name)
    integrity.check(whole, name)
    integrity.refusal(whole, name)
    facts(whole, name, "show version")
    last_change(whole)


@given(text, text, names)
def test_differences(before: str, after: str, name: str) -> None:
    lines = diff.unified(before, after)
    diff.paired(lines)
    diff.summary(before, after, name)
    assert diff.unified(before, before) == []


@given(text)
def test_words_of_devices_in_messages(said: str) -> None:
    shown = printable(said, 200)
    assert len(shown) <= 201
    assert not set(shown) & {"\x00", "\x1b", "\x9b", "\n", "\r", "\u202e", "\u2028"}
    last_line(said)


@given(st.lists(text, max_size=8), text, names)
def test_prompts_and_answers(pieces: list[str], prompt: str, name: str) -> None:
    rules = platform(name)
    reader = Answer("show version", prompt, rules.pager, None, rules.closing)
    for piece in pieces:
        reader.add(piece)
        assert reader.has_ended in (True, False)
        reader.is_complete(1.0)
        reader.at_pager()
    reader.answer()


class _Pieces:
    """A socket that has received these pieces, and whose other side has then closed."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]
        self.sent = b""

    def recv(self, size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def settimeout(self, seconds: float | None) -> None:
        return


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_telnet_negotiation(pieces: list[bytes]) -> None:
    sock = _Pieces(pieces)
    stream = TelnetStream(sock)  # type: ignore[arg-type]
    heard = b""
    while data := stream.recv(1024):
        heard += data
    assert b"\x00" not in heard
    assert len(heard) <= sum(map(len, pieces))
    assert len(sock.sent) <= 3 * sum(map(len, pieces))


@given(st.binary(max_size=300), st.sampled_from(["ssh", "telnet"]))
def test_the_first_words_of_a_port(said: bytes, transport: str) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with server:
        target = Target(
            "x",
            "127.0.0.1",
            server.getsockname()[1],
            "cisco_ios",
            transport,
            limits=Limits(connect_s=2, banner_s=2),
            policy=policy_from(["127.0.0.0/8"]),
        )

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            assert "\x1b" not in probe(target).banner
        except ConnectorError as error:
            assert error.detail
        thread.join()


# --- files that people bring ------------------------------------------------------------------------------


@given(data=raw, header=st.booleans())
def test_inventories(db: None, data: bytes, header: bool) -> None:
    if header:
        data = b"name,host,port,platform,tags,transport,enabled\n" + data
    try:
        report = importer.preview(data)
    except InventoryError as error:
        assert str(error)
    else:
        assert all(row.errors or row.action for row in report.rows)


@given(data=raw)
def test_known_hosts(db: None, data: bytes) -> None:
    try:
        import_known_hosts(data, None, dry_run=True)
    except KnownHostsError as error:
        assert str(error)


_toml_values = st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), text, st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc_", min_size=1), inner, max_size=3)
    ),
    max_leaves=6,
)
_KEYS = (
    "label", "driver", "like", "telnet", "collect", "command", "end", "volatile", "secrets", "errors", "pager", "setup",
    "words", "facts", "read_only", "filters", "never", "pattern", "structure", "comment",
)  # fmt: skip


@settings(max_examples=max(10, settings().max_examples // 4))  # each reads the whole table that is shipped
@given(table=st.dictionaries(st.sampled_from(_KEYS), _toml_values, max_size=5), garbage=st.one_of(st.none(), raw))
def test_tables_of_platforms(tmp_path_factory: Any, table: dict[str, Any], garbage: bytes | None) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / "fuzz.toml"
    lines = ["[cisco_ios]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path.write_bytes(garbage if garbage is not None else "\n".join(lines).encode("utf-8", "replace"))
    try:
        read(path)
    except PlatformTableError as error:
        assert str(error)


@given(text)
def test_cells(cell: str) -> None:
    assert unguarded(guarded(cell)) == cell
    assert not guarded(cell).startswith(("=", "+", "-", "@", "\t", "\r"))
    try:
        tags = split_tags(cell)
    except ValueError:
        return
    assert {tag.casefold() for tag in split_tags(join_tags(tags))} == {tag.casefold() for tag in tags}


# --- what people type -------------------------------------------------------------------------------------


@given(st.one_of(text, st.lists(st.sampled_from("0159*/,-? LWMON#"), max_size=20).map("".join)))
def test_cron_lines(line: str) -> None:
    try:
        check_line(line)
    except ValidationError as error:
        assert error.messages
        return
    assert len(list(islice(cron_starts(line, zone_of("Europe/Berlin"), datetime(2026, 3, 1, tzinfo=UTC)), 3))) <= 3


@given(st.one_of(text, st.from_regex(r"[\(\)\[\]\{\}\*\+\?\|\^\$\\a-c0-9]{0,30}")), st.sampled_from(list(Mode)), text)
def test_searches(term: str, mode: Mode, said: str) -> None:
    try:
        matcher = Matcher(term, mode)
        matcher.found_in(said, 1.0)
        matcher.snippets(said, 2, 10, 1.0)
        if mode == Mode.REGEX:
            required(term)
    except BadQuery as error:
        assert str(error)


@given(text, names)
def test_commands(command: str, name: str) -> None:
    try:
        refuse_unless_read_only(command, name)
    except CommandRefused as error:
        assert str(error)


@given(text)
def test_addresses_and_names(said: str) -> None:
    for check in (validate_host, validate_name):
        try:
            check(said)
        except ValidationError as error:
            assert error.messages
    try:
        TargetPolicy().check_literal(said, 22)
        policy_from([said], [said])
    except (TargetRefused, ValueError) as error:
        assert str(error)


@given(wanted=st.lists(st.one_of(st.text(max_size=120), st.sampled_from(WORDS)), max_size=5))
def test_tags(db: None, wanted: list[str]) -> None:
    try:
        found = tags_named(wanted)
    except (ValidationError, ValueError):
        return
    assert len(found) <= len(wanted)


# --- bodies and queries of the API ------------------------------------------------------------------------


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(WORDS)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)
_FIELDS = (
    "name", "host", "port", "platform", "transport", "tags", "site", "enabled", "username", "password", "priority",
    "tag_priorities", "clear", "scope", "kind", "devices", "parameters", "all_devices", "recurrence", "cron", "run_at",
    "interval_s", "time_zone", "duration_min", "starts_at", "known_hosts", "csv", "dry_run", "query", "term", "change",
)  # fmt: skip
_bodies = st.one_of(_json, st.dictionaries(st.sampled_from(_FIELDS), _json, max_size=8))
_ADDRESSES = (
    "devices/", "credentials/", "jobs/", "runs/", "maintenance-windows/", "concurrency-limits/", "saved-searches/",
    "host-keys/import/", "devices/import/", "devices/many/",
)  # fmt: skip


@pytest.fixture
def client(db: None) -> APIClient:
    found = APIClient()
    found.credentials(
        HTTP_AUTHORIZATION=f"Token {ApiToken.issue(User.objects.create_superuser('fuzz'), scope='secrets')[1]}"
    )
    found.raise_request_exception = False
    return found


@pytest.fixture(autouse=True)
def _no_limit(settings) -> None:
    settings.NETRAVEN_API_PER_MINUTE = 0


def _is_well_refused(answer: Any) -> None:
    assert answer.status_code < 500, answer.content[:500]
    if answer.status_code >= 400:
        said = answer.json()
        assert said["detail"]
        assert isinstance(said["errors"], dict)


@given(address=st.sampled_from(_ADDRESSES), body=_bodies)
def test_bodies_of_the_api(client: APIClient, address: str, body: Any) -> None:
    try:
        data = json.dumps(body).encode("utf-8", "surrogatepass")
    except (ValueError, UnicodeError):
        return
    _is_well_refused(client.post(f"/api/v1/{address}", data, content_type="application/json"))


@given(address=st.sampled_from(_ADDRESSES), body=raw, kind=st.sampled_from(["application/json", "text/csv", "x/y"]))
def test_bytes_to_the_api(client: APIClient, address: str, body: bytes, kind: str) -> None:
    _is_well_refused(client.post(f"/api/v1/{address}", body, content_type=kind))


@given(
    address=st.sampled_from(
        ("devices/", "runs/", "attempts/", "versions/", "versions/search/", "jobs/", "credentials/")
    ),
    query=st.dictionaries(
        st.sampled_from(
            ("search", "ordering", "page", "page_size", "tag", "term", "mode", "created_since", "device", "x")
        ),
        st.one_of(text, st.integers().map(str)),
        max_size=4,
    ),
)
def test_queries_of_the_api(client: APIClient, address: str, query: dict[str, str]) -> None:
    clean_query = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
    _is_well_refused(client.get(f"/api/v1/{address}", clean_query))
