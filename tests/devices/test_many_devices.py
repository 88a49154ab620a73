"""Changing many devices at once: all of them, each with its history, in a number of queries that stays the same."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from devices.configs.store import prepare, save_version
from devices.models import ConfigText, ConfigVersion, Device
from devices.services import add_tags, delete_devices, remove_tags, save_device, set_enabled

pytestmark = pytest.mark.django_db


def devices(count: int, prefix: str = "sw", **more: object) -> list[Device]:
    return [
        save_device(
            Device(), name=f"{prefix}-{n:02}", host=f"192.0.2.{n}", platform="cisco_ios", **{"tags": ["lab"], **more}
        )
        for n in range(1, count + 1)
    ]


def config(device: Device, text: str) -> None:
    save_version(device.pk, "running", prepare(text, device.platform))


def queries_of(work) -> int:
    with CaptureQueriesContext(connection) as seen:
        work()
    return len(seen)


def test_disabling_devices_writes_history_for_those_that_change_alone(django_user_model) -> None:
    alice = django_user_model.objects.create(username="alice")
    first, _, third = devices(3)
    save_device(third, enabled=False)
    before = third.history.count()

    assert set_enabled(Device.objects.all(), False, alice) == 2

    assert not Device.objects.filter(enabled=True).exists()
    newest = first.history.latest()
    assert (newest.enabled, newest.history_type, newest.history_user) == (False, "~", alice)
    assert third.history.count() == before


def test_tags_are_added_to_those_that_lack_them(django_user_model) -> None:
    alice = django_user_model.objects.create(username="alice")
    first, second = devices(2)
    save_device(second, tags=["lab", "core"])
    before = second.history.count()

    assert add_tags(Device.objects.all(), ["CORE", "lab"], alice) == 1

    assert sorted(first.tags.names()) == ["core", "lab"]
    assert sorted(second.tags.names()) == ["core", "lab"]
    assert first.history.latest().history_change_reason == "Tags added: core, lab"
    assert second.history.count() == before


def test_tags_are_removed_from_those_that_have_them(django_user_model) -> None:
    alice = django_user_model.objects.create(username="alice")
    first, second = devices(2)
    save_device(first, tags=["lab", "core"])
    before = second.history.count()

    assert remove_tags(Device.objects.all(), ["CORE"], alice) == 1

    assert list(first.tags.names()) == ["lab"]
    assert first.history.latest().history_change_reason == "Tags removed: core"
    assert second.history.count() == before


def test_a_tag_that_does_not_exist_is_taken_from_nobody() -> None:
    [device] = devices(1)
    with pytest.raises(ValidationError, match="no tag nothing"):
        remove_tags(Device.objects.all(), ["lab", "nothing"])
    assert list(device.tags.names()) == ["lab"]


def test_a_wrong_tag_changes_no_device() -> None:
    [device] = devices(1)
    with pytest.raises(ValidationError, match="no comma"):
        add_tags(Device.objects.all(), ["core", "a,b"])
    assert list(device.tags.names()) == ["lab"]


def test_a_filter_that_doubles_rows_changes_each_device_once() -> None:
    [device] = devices(1, tags=["lab", "core"])
    chosen = Device.objects.filter(tags__name__in=["lab", "core"])
    assert chosen.count() == 2
    assert set_enabled(chosen, False) == 1
    assert device.history.filter(enabled=False).count() == 1


def test_a_deleted_device_leaves_one_last_row_in_its_history(django_user_model) -> None:
    alice = django_user_model.objects.create(username="alice")
    first, second = devices(2)
    history = Device.history.filter(id=first.pk)

    assert delete_devices(Device.objects.filter(pk=first.pk), alice) == 1

    assert list(Device.objects.all()) == [second]
    last = history.filter(history_type="-")
    assert [(row.name, row.history_user) for row in last] == [("sw-01", alice)]


def test_a_device_deleted_by_itself_has_its_last_row_too() -> None:
    [device] = devices(1)
    pk = device.pk
    device.delete()
    assert Device.history.filter(id=pk, history_type="-").count() == 1


def test_texts_that_only_the_deleted_devices_had_go_with_them() -> None:
    first, second = devices(2)
    config(first, "hostname alone\nend\n")
    config(first, "hostname shared\nend\n")
    config(second, "hostname shared\nend\n")

    delete_devices(Device.objects.filter(pk=first.pk))

    assert ConfigVersion.objects.count() == 1
    assert ConfigText.objects.get().versions.get().device == second


@pytest.mark.parametrize(
    "work",
    [
        lambda chosen: set_enabled(chosen, False),
        lambda chosen: add_tags(chosen, ["new"]),
        lambda chosen: remove_tags(chosen, ["lab"]),
        lambda chosen: delete_devices(chosen),
    ],
    ids=["set_enabled", "add_tags", "remove_tags", "delete_devices"],
)
def test_the_number_of_queries_does_not_grow_with_the_devices(work) -> None:
    devices(3, "a")
    devices(30, "b")
    few = queries_of(lambda: work(Device.objects.filter(name__startswith="a")))
    many = queries_of(lambda: work(Device.objects.filter(name__startswith="b")))
    assert many <= few
