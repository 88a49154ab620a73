"""The audit trail: what is in a row, in which order rows hang together, and what finds out that one was touched."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from credentials import audit, exceptions
from credentials.audit import anchors, chain, retention, triggers, verify
from credentials.audit.checks import check_anchors, check_triggers
from credentials.models import AuditEvent
from tests.credentials.sealed import make

pytestmark = pytest.mark.django_db
TABLE = AuditEvent._meta.db_table


def fill(count: int) -> None:
    """Rows of all kinds, as runs and people write them."""
    audit.append(
        [
            audit.Entry("credential.used", "success", f"user {n % 3}", device=n, device_name=f"sw{n}", run=n // 5)
            for n in range(count)
        ]
    )


def tamper(statement: str, values: list[object] | None = None) -> int:
    """Do what somebody does who owns the table; how many rows it was."""
    with transaction.atomic(), connection.cursor() as cursor:
        for drop in triggers.drop_statements():
            cursor.execute(drop)
        cursor.execute(statement, values or [])
        rows: int = cursor.rowcount
        for create in triggers.create_statements():
            cursor.execute(create)
    return rows


def found() -> verify.Verdict:
    return verify.verify(anchors.own_lines())


# --- what is in a row -------------------------------------------------------------------------------------


def test_a_record_is_a_row_with_who_what_and_when():
    row = make("core")
    audit.record("credential.created", actor="olga", credential=row, priority=100, tags=["core", "edge"])
    event = AuditEvent.objects.get()
    assert (event.id, event.event, event.actor) == (1, "credential.created", "olga")
    assert (event.credential, event.credential_name) == (row.pk, "core")
    assert event.data == {"priority": 100, "tags": ["core", "edge"]}
    assert abs(event.at - timezone.now()) < timedelta(minutes=1)


def test_who_is_at_work_is_recorded_without_being_told():
    with audit.acting(lambda: audit.Acting("olga", "web 192.0.2.7")):
        audit.record("job.created")
        audit.record("job.changed", actor="piet")
    audit.record("job.deleted")
    rows = AuditEvent.objects.order_by("id").values_list("actor", "source")
    assert list(rows) == [("olga", "web 192.0.2.7"), ("piet", "web 192.0.2.7"), ("system", "")]


def test_control_and_direction_characters_are_made_printable():
    audit.record("job.created", actor="a\x1b[31m\nb", subject="\u202egnp.exe", note={"k\x00": ["\x07", "ü"]})
    event = AuditEvent.objects.get()
    assert (event.actor, event.subject) == ("a\\x1b[31m\\nb", "\\u202egnp.exe")
    assert event.data == {"note": {"k\\x00": ["\\x07", "ü"]}}


def test_long_texts_are_cut_and_the_row_is_written_all_the_same():
    audit.record("job.created", actor="a" * 500, subject="s" * 999, note="n" * 9_999, many=list(range(1_000)))
    event = AuditEvent.objects.get()
    assert (len(event.actor), len(event.subject), len(event.data["note"])) == (150, 250, 500)
    assert event.data["many"][-1] == "… 800 more"
    assert found().is_whole


@pytest.mark.parametrize("value", [b"bytes", object(), make], ids=["bytes", "object", "function"])
def test_what_is_no_plain_value_is_refused(value):
    with pytest.raises(TypeError, match="does not belong"):
        audit.record("job.created", value=value)
    assert not AuditEvent.objects.exists()


def test_a_secret_is_refused_even_sealed():
    row = make()
    with pytest.raises(TypeError, match="Secret does not belong"):
        audit.record("credential.changed", password=row.password)


def test_a_row_is_gone_with_the_transaction_of_what_was_done():
    with contextlib.suppress(RuntimeError), transaction.atomic():
        audit.record("job.created")
        raise RuntimeError
    audit.record("job.deleted")
    assert list(AuditEvent.objects.values_list("id", "event")) == [(1, "job.deleted")]
    assert found().is_whole


def test_rows_that_are_collected_are_written_at_the_end_in_their_order_or_not_at_all():
    with transaction.atomic(), audit.collected():
        audit.record("job.created", subject="1")
        fill(2)
        audit.record("job.created", subject="2")
        assert not AuditEvent.objects.exists()
    with contextlib.suppress(RuntimeError), audit.collected():
        audit.record("job.deleted")
        raise RuntimeError
    assert [row.subject for row in AuditEvent.objects.order_by("id")] == ["1", "", "", "2"]
    assert found().is_whole


# --- the database refuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE {TABLE} SET actor = 'nobody' WHERE id = 2",
        f"DELETE FROM {TABLE} WHERE id = 2",
        f"DELETE FROM {TABLE}",
        f"REPLACE INTO {TABLE} SELECT * FROM {TABLE} WHERE id = 2",
        f"TRUNCATE {TABLE}",
    ],
)
def test_the_database_refuses_to_change_the_trail(statement):
    only_on = {"REPLACE": "sqlite", "TRUNCATE": "postgresql"}.get(statement.split()[0], connection.vendor)
    if only_on != connection.vendor:
        pytest.skip(f"a statement of {only_on}")
    fill(3)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert AuditEvent.objects.count() == 3
    assert found().is_whole


def test_the_model_has_no_way_to_change_or_delete_a_row():
    fill(1)
    row = AuditEvent.objects.get()
    with pytest.raises(TypeError):
        row.save()
    with pytest.raises(TypeError):
        row.delete()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEvent.objects.update(actor="nobody")


def drop_triggers() -> None:
    with connection.cursor() as cursor:
        for statement in triggers.drop_statements():
            cursor.execute(statement)


def test_missing_triggers_are_seen_by_the_system_check_and_put_back_on_record():
    fill(1)
    assert check_triggers(None, databases=["default"]) == []
    drop_triggers()
    assert [found.id for found in check_triggers(None, databases=["default"])] == ["credentials.E020"]
    assert triggers.restore() == triggers.restore() + list(AuditEvent.objects.first().data["triggers"])
    assert AuditEvent.objects.first().event == "audit.triggers_restored"
    assert check_triggers(None, databases=["default"]) == []


def test_a_trigger_that_does_something_else_is_as_good_as_missing():
    if connection.vendor == "sqlite":
        name = triggers.missing() or list(triggers._SQLITE)
        statements = [
            f"DROP TRIGGER {name[0]}",
            f"CREATE TRIGGER {name[0]} BEFORE UPDATE ON {TABLE} BEGIN SELECT 1; END",
        ]
    else:
        statements = [f"ALTER TABLE {TABLE} DISABLE TRIGGER {triggers._POSTGRES}"]
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    assert len(triggers.missing()) == 1
    triggers.restore()
    assert triggers.missing() == []


def test_a_migration_that_rebuilds_the_table_leaves_it_guarded():
    from django.core.management import call_command

    drop_triggers()
    call_command("migrate", verbosity=0)
    assert triggers.missing() == []


# --- what is found ----------------------------------------------------------------------------------------


def test_a_whole_trail_is_whole():
    fill(30)
    anchors.write()
    verdict = found()
    assert (verdict.is_whole, verdict.rows, verdict.first, verdict.last) == (True, 30, 1, 30)
    assert verdict.anchors == 1


def test_an_empty_trail_is_whole():
    assert found().is_whole


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", "2026-01-01 00:00:00"),
        ("event", "credential.created"),
        ("outcome", "rejected"),
        ("actor", "nobody"),
        ("source", "x"),
        ("subject", "x"),
        ("device", 4711),
        ("device", None),
        ("device_name", "x"),
        ("credential", 5),
        ("credential_name", "x"),
        ("run", None),
        ("details", '{"order":2}'),
        ("mac", "0" * 64),
    ],
)
def test_an_edit_of_any_column_is_found_and_named(column, value):
    fill(10)
    tamper(f"UPDATE {TABLE} SET {column} = %s WHERE id = 7", [value])
    verdict = found()
    assert not verdict.is_whole
    assert (verdict.trouble.row, verdict.trouble.what) == (7, "edited")


def test_bytes_that_are_no_text_are_an_edit():
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL takes no such bytes")
    fill(5)
    tamper(f"UPDATE {TABLE} SET actor = CAST(x'ff' AS TEXT) WHERE id = 3")
    assert (found().trouble.row, found().trouble.what) == (3, "edited")


def test_a_deleted_row_is_missing():
    fill(10)
    tamper(f"DELETE FROM {TABLE} WHERE id IN (4, 5)")
    assert (found().trouble.row, found().trouble.what) == (4, "missing")
    assert "Rows 4 to 5 are gone" in found().trouble.detail


def test_the_first_rows_are_missing_when_no_checkpoint_accounts_for_them():
    fill(10)
    tamper(f"DELETE FROM {TABLE} WHERE id < 4")
    assert (found().trouble.row, found().trouble.what) == (1, "missing")


def swap(one: int, other: int) -> None:
    tamper(f"UPDATE {TABLE} SET id = -1 WHERE id = {one}")
    tamper(f"UPDATE {TABLE} SET id = {one} WHERE id = {other}")
    tamper(f"UPDATE {TABLE} SET id = {other} WHERE id = -1")


@pytest.mark.parametrize(("one", "other"), [(3, 4), (2, 9), (1, 2)])
def test_rows_that_changed_places_are_named(one, other):
    fill(10)
    swap(one, other)
    assert (found().trouble.row, found().trouble.what) == (one, "swapped")
    assert str(other) in found().trouble.detail


def test_an_end_that_was_cut_off_is_found_by_the_anchor_and_by_nothing_else():
    fill(8)
    anchors.write()
    fill(2)
    tamper(f"DELETE FROM {TABLE} WHERE id > 6")
    assert verify.verify().is_whole
    assert (found().trouble.row, found().trouble.what) == (7, "truncated")
    assert "8 rows" in found().trouble.detail


def test_what_was_cut_off_after_the_last_anchor_is_not_claimed_to_be_seen():
    fill(8)
    anchors.write()
    fill(2)
    tamper(f"DELETE FROM {TABLE} WHERE id > 8")
    assert found().is_whole
    assert found().newest_anchor != ""


def test_a_row_that_somebody_added_is_forged():
    fill(5)
    columns = ", ".join(each for each in chain.STORED if each != "id")
    tamper(f"INSERT INTO {TABLE} (id, {columns}) SELECT 6, {columns} FROM {TABLE} WHERE id = 3")
    assert found().trouble.row == 6
    assert not found().is_whole


def test_a_trail_written_anew_with_the_right_key_does_not_fit_its_anchor():
    fill(5)
    anchors.write()
    tamper(f"DELETE FROM {TABLE}")
    fill(5)
    assert verify.verify().is_whole
    assert found().trouble.what == "rewritten"


def test_under_another_keyring_every_row_is_refused_and_the_words_say_so(settings, tmp_path):
    from credentials import keyring

    fill(3)
    keyring.create(tmp_path / "other.json")
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "other.json"
    assert found().trouble.row == 1
    assert "this keyring is not the one" in found().trouble.detail


def test_a_key_rotation_leaves_the_trail_as_it_is(settings, tmp_path):
    from credentials import keyring

    path = settings.NETRAVEN_KEYRING_PATH = tmp_path / "own.json"
    keyring.create(path)
    fill(3)
    before = keyring.current().active_id
    keyring.activate(path, keyring.add_key(path))
    keyring.remove_key(path, before)
    keyring.current().refresh()
    fill(3)
    assert found().is_whole


def test_a_thousand_random_falsifications_are_all_found():
    """Each of one row or more, in a trail with an anchor at its end; undone after the look."""
    fill(25)
    anchors.write()
    lines = anchors.own_lines()
    drop_triggers()
    chance = random.Random(20260301)
    texts = ("event", "outcome", "actor", "source", "subject", "device_name", "credential_name", "details", "mac")
    with connection.cursor() as cursor:
        for number in range(1_000):
            row = chance.randint(1, 25)
            with transaction.atomic():
                match number % 4:
                    case 0:
                        column = chance.choice(texts)
                        cursor.execute(f"UPDATE {TABLE} SET {column} = %s WHERE id = %s", [uuid4().hex[:20], row])
                    case 1:
                        last = min(25, row + chance.randint(0, 3))
                        cursor.execute(f"DELETE FROM {TABLE} WHERE id BETWEEN %s AND %s", [row, last])
                    case 2:
                        other = chance.choice([each for each in range(1, 26) if each != row])
                        for new, old in ((-1, row), (row, other), (other, -1)):
                            cursor.execute(f"UPDATE {TABLE} SET id = %s WHERE id = %s", [new, old])
                    case _:
                        cursor.execute(f"DELETE FROM {TABLE} WHERE id >= %s", [row])
                verdict = verify.verify(lines)
                assert not verdict.is_whole, number
                assert verdict.trouble is not None
                transaction.set_rollback(True)
    triggers.restore()
    assert found().is_whole


# --- anchors ----------------------------------------------------------------------------------------------


def test_an_anchor_is_written_once_for_each_head(settings):
    assert anchors.write() is None
    fill(3)
    assert anchors.write().id == 3
    assert anchors.write() is None
    fill(1)
    assert anchors.write(timedelta(hours=1)) is None
    settings.NETRAVEN_AUDIT_ANCHOR_S = 3600
    assert anchors.anchor_if_due() is None
    settings.NETRAVEN_AUDIT_ANCHOR_S = 0
    assert anchors.anchor_if_due().id == 4
    assert [line.anchor.id for line in anchors.own_lines()] == [3, 4]
    assert settings.NETRAVEN_AUDIT_ANCHOR_FILE.stat().st_mode & 0o777 == 0o600


def test_a_line_that_was_forged_or_damaged_is_no_anchor(settings):
    fill(5)
    anchors.write()
    path = settings.NETRAVEN_AUDIT_ANCHOR_FILE
    genuine = path.read_text()
    path.write_text(genuine.replace('"id": 5', '"id": 500') + '{"id": 4, "m')
    assert [line.anchor for line in anchors.own_lines()] == [None, None]
    assert found().is_whole
    assert "1, 2" in found().notes[0]
    fill(1)
    anchors.write()
    assert [line.anchor is None for line in anchors.own_lines()] == [True, True, False]


def test_anchors_are_read_from_a_log_in_which_something_stands_before_them(settings, tmp_path):
    fill(5)
    anchors.write()
    log = tmp_path / "syslog"
    log.write_text(f"Mar  1 10:00:00 host netraven-audit: {settings.NETRAVEN_AUDIT_ANCHOR_FILE.read_text()}")
    assert [line.anchor.id for line in anchors.read(log)] == [5]


def test_anchors_go_to_syslog_and_to_a_webhook_and_what_was_missed_is_tried_again(settings):
    fill(3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(10)
        settings.NETRAVEN_AUDIT_ANCHOR_SYSLOG = f"127.0.0.1:{syslog.getsockname()[1]}"
        settings.NETRAVEN_AUDIT_ANCHOR_WEBHOOK = "http://127.0.0.1:1/"
        assert anchors.write().missed == ("webhook",)
        assert b"netraven-audit: {" in syslog.recv(4_000)
    posted: list[bytes] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    settings.NETRAVEN_AUDIT_ANCHOR_SYSLOG = ""
    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        settings.NETRAVEN_AUDIT_ANCHOR_WEBHOOK = f"http://127.0.0.1:{server.server_port}/hook?token=x"
        assert anchors.write().missed == ()
    assert next(anchors.parse([posted[0].decode()])).anchor.id == 3
    assert anchors.write() is None


def test_addresses_to_which_no_anchor_could_go_refuse_the_start(settings):
    assert check_anchors(None) == []
    settings.NETRAVEN_AUDIT_ANCHOR_WEBHOOK = "file:///etc/passwd"
    settings.NETRAVEN_AUDIT_ANCHOR_SYSLOG = "host:port"
    assert [each.id for each in check_anchors(None)] == ["credentials.E021"] * 2


def test_a_file_that_cannot_be_written_is_said_and_stops_nothing_else(settings, tmp_path, caplog):
    fill(1)
    settings.NETRAVEN_AUDIT_ANCHOR_FILE = tmp_path / "not" / "there"
    assert anchors.anchor_if_due() is None
    assert "cannot be anchored" in caplog.text


# --- retention --------------------------------------------------------------------------------------------


def age(up_to: int, **by: int) -> None:
    """Write a trail whose first rows are older: the clock is set back, nothing is edited."""
    with pytest.MonkeyPatch.context() as patch:
        then = timezone.now() - timedelta(**by)
        patch.setattr("credentials.audit.trail.timezone.now", lambda: then)
        fill(up_to)


def test_what_is_old_goes_behind_a_checkpoint_and_the_rest_can_be_verified():
    age(20, days=400)
    fill(5)
    assert retention.prune(timezone.now() - timedelta(days=365), actor="olga") == 20
    checkpoint = AuditEvent.objects.get(event=verify.CHECKPOINT)
    assert (checkpoint.actor, checkpoint.data["up_to"], checkpoint.data["first"]) == ("olga", 20, 1)
    assert list(AuditEvent.objects.order_by("id").values_list("id", flat=True)) == [21, 22, 23, 24, 25, 26]
    assert triggers.missing() == []
    verdict = found()
    assert verdict.is_whole, verdict.trouble
    assert verdict.anchors == 1
    fill(3)
    assert found().is_whole


def test_pruning_again_and_again_keeps_it_whole_also_in_several_steps(monkeypatch):
    monkeypatch.setattr(retention, "_AT_ONCE", 7)
    for days in (400, 300, 200):
        age(10, days=days)
    for days in (350, 250, 150):
        assert retention.prune(timezone.now() - timedelta(days=days)) == 10
        assert found().is_whole
    fill(2)
    assert found().is_whole


def test_more_than_was_pruned_is_missing():
    age(20, days=400)
    fill(5)
    retention.prune(timezone.now() - timedelta(days=365))
    tamper(f"DELETE FROM {TABLE} WHERE id = 21")
    assert (found().is_whole, found().trouble.what) == (False, "missing")


def test_the_newest_row_stays():
    age(5, days=400)
    assert retention.prune(timezone.now()) == 4
    assert found().is_whole


def test_nothing_is_pruned_from_a_broken_trail():
    age(10, days=400)
    tamper(f"UPDATE {TABLE} SET actor = 'nobody' WHERE id = 3")
    with pytest.raises(exceptions.TrailBroken, match="row 3"):
        retention.prune(timezone.now())
    assert AuditEvent.objects.count() == 10


def test_the_setting_decides_what_is_due(settings):
    age(5, days=400)
    fill(1)
    settings.NETRAVEN_AUDIT_KEEP_DAYS = 0
    assert retention.prune_due() == 0
    settings.NETRAVEN_AUDIT_KEEP_DAYS = 365
    assert retention.prune_due() == 5


def test_after_a_restore_the_loss_is_accepted_once_and_a_later_one_is_found():
    fill(10)
    anchors.write()
    tamper(f"DELETE FROM {TABLE} WHERE id > 6")  # as the database of yesterday
    audit.record("sign_in.succeeded", actor="olga")
    fill(5)
    assert found().trouble.what == "rewritten"
    assert retention.accept_loss(anchors.own_lines(), "restored from the backup of Monday", actor="olga") == (10, 10)
    assert found().is_whole
    assert retention.accept_loss(anchors.own_lines(), "again") is None
    tamper(f"DELETE FROM {TABLE} WHERE id > 9")
    assert not found().is_whole


def test_a_loss_of_rows_in_the_middle_is_not_accepted():
    fill(10)
    tamper(f"DELETE FROM {TABLE} WHERE id = 6")
    with pytest.raises(exceptions.TrailBroken):
        retention.accept_loss(anchors.own_lines(), "oops")
