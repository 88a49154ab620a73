"""Bring the inventory in line with a CSV file: what would change, and the change itself.

The command, the admin and the API call `preview` and `apply`; every rule is here or in the files beside.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone
from simple_history.utils import bulk_create_with_history, bulk_update_with_history

from devices.inventory.columns import COLUMNS, InventoryError, printable, shown
from devices.inventory.reader import CsvFile, read_csv
from devices.inventory.report import Action, Changes, ImportReport, RowReport, Value, in_words
from devices.inventory.rows import RowParser, RowValues
from devices.inventory.tags import Links, TagBook, links_of
from devices.models import Device
from devices.reach import require_allowed

if TYPE_CHECKING:
    from django.contrib.auth.models import User

__all__ = ["COLUMNS", "Action", "ImportReport", "InventoryError", "RowReport", "apply", "preview", "read_csv"]

BATCH: Final = 500
"""Rows that are looked up, and written, together."""
CHANGE_REASON: Final = "CSV import"

_DEFAULT_PORTS: Final = {"ssh": 22, "telnet": 23}
_OTHER_FIELDS: Final = frozenset(f.name for f in Device._meta.get_fields()) - frozenset(COLUMNS)
# Named in the report of a new device even where they have their defaults.
_ALWAYS_TOLD: Final = frozenset({"host", "port", "platform", "transport"})


def preview(data: bytes) -> ImportReport:
    """What `apply` would do with the file; writes nothing. Raises InventoryError for a file of no use."""
    with _translated():
        return _Import(read_csv(data)).run(dry_run=True)


def apply(data: bytes, *, skip_errors: bool = False, user: User | None = None) -> ImportReport:
    """Create and update devices from the file, in one transaction, with `user` in their history.

    Nothing is written when a row is wrong, unless `skip_errors`. Raises InventoryError when the file as a
    whole is of no use or the database refuses; nothing is written then either.
    """
    file = read_csv(data)
    with _translated(), transaction.atomic():
        report = _Import(file, user=user).run(write=True, skip_errors=skip_errors)
        if not report.written:
            transaction.set_rollback(True)
    return report


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise InventoryError(
            "Someone else changed the same devices or tags at this moment. Nothing was written; try again."
        ) from error
    except DatabaseError as error:
        raise InventoryError(f"The database refused: {printable(str(error))}. Nothing was written.") from error


@dataclass(slots=True)
class _Plan:
    """What is to be done for one row."""

    report: RowReport
    device: Device | None = None
    tags: list[str] | None = None
    """The whole new set; None leaves the tags alone."""


class _Import:
    """One pass through a file."""

    def __init__(self, file: CsvFile, user: User | None = None) -> None:
        self._rows = file.rows
        self._user = user
        # Every name once, because a name that differs only in case can be any of them.
        self._pks = dict(Device.objects.order_by().values_list("name", "pk"))
        self._folded = {name.casefold(): name for name in self._pks}
        self._tags = TagBook()
        self._parser = RowParser(file.columns, self._tags.has)

    def run(self, *, write: bool = False, skip_errors: bool = False, dry_run: bool = False) -> ImportReport:
        """Go through the file batch by batch; a wrong row ends the writing, but not the report."""
        report = ImportReport([], dry_run=dry_run)
        for start in range(0, len(self._rows), BATCH):
            parsed = [self._parser.parse(row) for row in self._rows[start : start + BATCH]]
            pks = [self._pks[row.name] for row in parsed if row.name in self._pks]
            found = Device.objects.filter(pk__in=pks).order_by("pk")
            devices = {device.name: device for device in (found.select_for_update() if write else found)}
            links = links_of(pks)
            plans = [self._plan(row, devices.get(row.name), links) for row in parsed]
            for plan in plans:
                report.add(plan.report)
            if write and (skip_errors or not report.errors):
                self._write(plans, links)
        report.written = write and bool(report.created or report.updated) and (skip_errors or not report.errors)
        return report

    def _plan(self, row: RowValues, existing: Device | None, links: Mapping[int, Links]) -> _Plan:
        report = RowReport(row.line, printable(row.name)[:100], Action.ERROR)
        device = existing or Device(name=row.name)
        if not existing and (other := self._folded.get(row.name.casefold(), row.name)) != row.name:
            row.problem("name", f"differs only in case from the existing device {shown(other)}")
        tags = None
        if row.whole:
            if not existing:
                row.values.setdefault("transport", device.transport)
            if row.port_follows:
                row.values["port"] = _DEFAULT_PORTS[str(row.values.get("transport", device.transport))]
            changes = _new_values(row, device) if not existing else _changes(row, device)
            old_tags = sorted(links.get(device.pk, {}), key=str.casefold)
            if row.tags is not None and {t.casefold() for t in old_tags} != {t.casefold() for t in row.tags}:
                tags = row.tags
            elif existing and row.tags is not None:
                row.problems.pop("tags", None)
            if existing and not changes and tags is None and not row.wrong:
                report.action = Action.UNCHANGED
                return _Plan(report)
            _set_and_validate(device, changes, row)
        if row.wrong:
            report.errors = row.messages()
            return _Plan(report)
        report.action = Action.UPDATED if existing else Action.CREATED
        if tags is not None:
            tags = self._tags.spelled(tags)
            changes["tags"] = (list(old_tags) if existing else None, list(tags))
        report.changes = {column: changes[column] for column in COLUMNS if column in changes}
        return _Plan(report, device, tags)

    def _write(self, plans: Sequence[_Plan], links: Mapping[int, Links]) -> None:
        created: list[Device] = []
        updated: list[Device] = []
        by_column: defaultdict[str, list[Device]] = defaultdict(list)
        for plan in plans:
            if plan.device is None:
                continue
            if plan.report.action == Action.CREATED:
                created.append(plan.device)
                continue
            updated.append(plan.device)
            for column in plan.report.changes.keys() - {"tags"}:
                by_column[column].append(plan.device)
            if plan.tags is not None:
                _note_tags(plan.device, *plan.report.changes["tags"])
        options = {"default_user": self._user, "default_change_reason": CHANGE_REASON}
        if created:
            bulk_create_with_history(created, Device, **options)
        if updated:
            # Column by column, because a bulk update costs its columns times its rows.
            for column, devices in by_column.items():
                Device.objects.bulk_update(devices, [column])
            Device.objects.filter(pk__in=[device.pk for device in updated]).update(updated_at=timezone.now())
            bulk_update_with_history(updated, Device, [], **options)
        self._tags.write({p.device.pk: p.tags for p in plans if p.device and p.tags is not None}, links)


def _new_values(row: RowValues, device: Device) -> Changes:
    """What the report tells of a new device: all that is not its default."""
    return {
        column: (None, new)
        for column, new in row.values.items()
        if column in _ALWAYS_TOLD or new != getattr(device, column)
    }


def _changes(row: RowValues, device: Device) -> Changes:
    """Old and new by column; what the device has already is no problem, however it came there."""
    changes: Changes = {}
    for column, new in row.values.items():
        old = getattr(device, column)
        if old == new or (isinstance(old, str) and old.strip() == new):
            row.problems.pop(column, None)
        else:
            changes[column] = (old, new)
    return changes


def _set_and_validate(device: Device, changes: Changes, row: RowValues) -> None:
    """Set the new values and note what the model has against the device; queries nothing."""
    for column, (_, new) in changes.items():
        setattr(device, column, new)
    try:
        device.clean_fields(exclude=_OTHER_FIELDS | row.problems.keys())
    except ValidationError as error:
        _note(row, error)
    if changes.keys() & {"host", "port"} and not row.problems.keys() & {"host", "port"}:
        try:
            require_allowed(device.host, device.port)
        except ValidationError as error:
            _note(row, error)
    if not row.problems.keys() & {"platform", "transport"}:
        try:
            device.clean()
        except ValidationError as error:
            _note(row, error)


def _note(row: RowValues, error: ValidationError) -> None:
    found = error.message_dict if hasattr(error, "error_dict") else {"row": error.messages}
    for column, messages in found.items():
        for message in messages:
            row.problem(column, message)


def _note_tags(device: Device, old: Value, new: Value) -> None:
    """Tags are no field of the history, so its note has them."""
    device._change_reason = f"{CHANGE_REASON}: tags {in_words(old)} -> {in_words(new)}"[:100]  # type: ignore[attr-defined]
