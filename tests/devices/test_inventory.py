"""Importing and exporting devices: what is matched, changed, refused and written."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from taggit.models import Tag

from devices.inventory import importer
from devices.inventory.exporter import export_lines
from devices.inventory.importer import InventoryError, apply, preview
from devices.models import Device, DeviceTag

pytestmark = pytest.mark.django_db

HEADER = "name,host,port,platform,tags"


def table(*rows: str, header: str = HEADER) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def device(name: str = "sw1", tags: tuple[str, ...] = (), **fields: object) -> Device:
    made = Device.objects.create(**{"name": name, "host": "10.0.0.1", "platform": "cisco_ios", **fields})
    made.tags.add(*tags)
    return made


def tags_of(name: str) -> list[str]:
    return sorted(Device.objects.get(name=name).tags.names())


def only_errors(data: bytes) -> list[str]:
    report = preview(data)
    assert [row.action for row in report.rows] == ["error"] * len(report.rows)
    return [error for row in report.rows for error in row.errors]


# --- What is written ----------------------------------------------------------------------------


def test_a_new_device_has_the_values_of_its_row():
    header = f"{HEADER},transport,site,aaa_domain,legacy_ssh,description,enabled"
    report = apply(table("sw1,10.0.0.1,2222,cisco_ios,core;Edge 1,ssh,ZRH,lab,yes,first floor,no", header=header))
    made = Device.objects.get()
    assert (made.name, made.host, made.port, made.platform) == ("sw1", "10.0.0.1", 2222, "cisco_ios")
    assert (made.transport, made.site, made.aaa_domain) == ("ssh", "ZRH", "lab")
    assert (made.legacy_ssh, made.description, made.enabled) == (True, "first floor", False)
    assert tags_of("sw1") == ["Edge 1", "core"]
    assert (report.created, report.errors, report.written) == (1, 0, True)


def test_a_new_device_has_the_defaults_where_the_file_says_nothing():
    apply(table("sw1,10.0.0.1,,cisco_ios,"))
    made = Device.objects.get()
    assert (made.port, made.transport, made.aaa_domain, made.legacy_ssh, made.enabled) == (
        22,
        "ssh",
        "default",
        False,
        True,
    )


def test_an_existing_device_is_updated_and_keeps_what_the_file_has_no_column_for():
    device(site="ZRH", description="kept", legacy_ssh=True, enabled=False, aaa_domain="lab")
    report = apply(table("sw1,10.0.0.2,22,cisco_ios,"))
    changed = Device.objects.get()
    assert report.rows[0].changes == {"host": ("10.0.0.1", "10.0.0.2")}
    assert (changed.host, changed.site, changed.description) == ("10.0.0.2", "ZRH", "kept")
    assert (changed.legacy_ssh, changed.enabled, changed.aaa_domain) == (True, False, "lab")


def test_an_empty_cell_sets_the_default_again():
    device(site="ZRH", description="gone", legacy_ssh=True, enabled=False, aaa_domain="lab", tags=("core",))
    apply(
        table(
            "sw1,10.0.0.1,22,cisco_ios,,,,,,",
            header=f"{HEADER},site,description,legacy_ssh,enabled,aaa_domain",
        )
    )
    changed = Device.objects.get()
    assert (changed.site, changed.description, changed.legacy_ssh) == ("", "", False)
    assert (changed.enabled, changed.aaa_domain, tags_of("sw1")) == (True, "default", [])


def test_the_time_of_change_moves_only_for_devices_that_changed():
    before = {d.name: d.updated_at for d in (device("sw1"), device("sw2"))}
    apply(table("sw1,10.0.0.1,22,cisco_ios,", "sw2,10.0.0.9,22,cisco_ios,"))
    after = dict(Device.objects.values_list("name", "updated_at"))
    assert after["sw1"] == before["sw1"]
    assert after["sw2"] > before["sw2"]


def test_a_second_import_of_the_same_file_finds_all_unchanged_and_writes_nothing():
    data = table("sw1,10.0.0.1,22,cisco_ios,core", "sw2,10.0.0.2,,cisco_ios_telnet,edge;core")
    apply(data)
    report = apply(data)
    assert (report.created, report.updated, report.unchanged, report.written) == (0, 0, 2, False)
    assert Device.history.count() == 2


def test_a_preview_tells_the_same_and_writes_nothing():
    device("sw2")
    data = table("sw1,10.0.0.1,22,cisco_ios,core", "sw2,10.0.0.2,22,cisco_ios,new tag")
    told = preview(data)
    assert (told.dry_run, told.written, told.created, told.updated) == (True, False, 1, 1)
    assert Device.objects.get().host == "10.0.0.1"
    assert not Tag.objects.exists()
    assert apply(data).rows == told.rows


def test_a_wrong_row_keeps_every_row_from_being_written():
    device("sw2")
    data = table("sw1,10.0.0.1,22,cisco_ios,core", "sw2,10.0.0.2,22,cisco_ios,", "sw3,10.0.0.3,99999,cisco_ios,")
    report = apply(data)
    assert [row.action for row in report.rows] == ["created", "updated", "error"]
    assert not report.written
    assert Device.objects.get().host == "10.0.0.1"
    assert not Tag.objects.exists()


def test_a_wrong_row_in_a_later_batch_takes_back_the_batches_before(monkeypatch):
    monkeypatch.setattr(importer, "BATCH", 2)
    rows = [f"sw{n},10.0.0.{n},22,cisco_ios,t{n}" for n in range(1, 6)]
    report = apply(table(*rows, "sw9,nonsense!,22,cisco_ios,"))
    assert not report.written
    assert not Device.objects.exists()
    assert not Tag.objects.exists()


def test_wrong_rows_are_left_out_when_asked_to():
    report = apply(table("sw1,10.0.0.1,22,cisco_ios,core", "sw2,10.0.0.2,0,cisco_ios,edge"), skip_errors=True)
    assert (report.created, report.errors, report.written) == (1, 1, True)
    assert list(Device.objects.values_list("name", flat=True)) == ["sw1"]
    assert list(Tag.objects.values_list("name", flat=True)) == ["core"]


def test_both_of_two_rows_with_one_name_are_left_out():
    report = apply(table("sw1,10.0.0.1,22,cisco_ios,", "SW1,10.0.0.2,22,cisco_ios,"), skip_errors=True)
    assert (report.errors, report.written) == (2, False)
    assert not Device.objects.exists()


# --- History ------------------------------------------------------------------------------------


def test_the_history_has_a_row_for_each_created_and_updated_device_with_the_user():
    user = User.objects.create(username="ann")
    kept = device("sw1")
    created_at = kept.created_at
    apply(table("sw1,10.0.0.2,22,cisco_ios,", "sw2,10.0.0.3,22,cisco_ios,"), user=user)
    changed = Device.history.filter(name="sw1").latest()
    made = Device.history.get(name="sw2")
    assert (changed.history_type, changed.host, changed.history_user) == ("~", "10.0.0.2", user)
    assert changed.created_at == created_at
    assert (made.history_type, made.id, made.history_user) == ("+", Device.objects.get(name="sw2").pk, user)
    assert made.history_change_reason == "CSV import"


def test_the_history_notes_a_change_of_tags_which_are_none_of_its_fields():
    device("sw1", tags=("core",))
    apply(table("sw1,10.0.0.1,22,cisco_ios,edge;core"))
    assert Device.history.latest().history_change_reason == "CSV import: tags core -> core; edge"


# --- Tags ---------------------------------------------------------------------------------------


def test_a_tag_of_another_case_is_used_again():
    core = Tag.objects.create(name="Core")
    report = apply(table("sw1,10.0.0.1,22,cisco_ios,core", "sw2,10.0.0.2,22,cisco_ios,CORE;new", "sw3,h,22,linux,NEW"))
    assert report.rows[0].changes["tags"] == (None, ["Core"])
    assert sorted(Tag.objects.values_list("name", flat=True)) == ["Core", "new"]
    assert core.device_tags.count() == 2


def test_tags_that_differ_only_in_case_change_nothing():
    device("sw1", tags=("Core", "edge"))
    assert preview(table("sw1,10.0.0.1,22,cisco_ios,EDGE;core")).unchanged == 1


def test_tags_are_a_whole_set_and_the_ones_that_stay_keep_their_links():
    device("sw1", tags=("a", "b"))
    link = DeviceTag.objects.get(tag__name="b").pk
    report = apply(table("sw1,10.0.0.1,22,cisco_ios,b;c"))
    assert report.rows[0].changes == {"tags": (["a", "b"], ["b", "c"])}
    assert tags_of("sw1") == ["b", "c"]
    assert DeviceTag.objects.get(tag__name="b").pk == link


def test_new_tags_have_slugs_of_their_own_as_taggit_would_give_them():
    Tag.objects.create(name="Data Center")
    apply(table("sw1,10.0.0.1,22,cisco_ios,data-center;data center;***;!!!;" + "ﷺ" * 100))
    slugs = list(Tag.objects.values_list("slug", flat=True))
    assert len(set(slugs)) == len(slugs) == 5
    assert Tag.objects.get(name="data-center").slug == "data-center_1"
    assert max(map(len, slugs)) <= 100


def test_a_long_tag_and_a_new_one_with_a_comma_are_wrong():
    errors = only_errors(table(f'sw1,10.0.0.1,22,cisco_ios,"{"x" * 101};core,edge"'))
    assert "has 101 characters" in errors[0]
    assert errors[1] == "tags: 'core,edge' has a comma in it; tags are separated by semicolons"


# --- Platform, transport, port ------------------------------------------------------------------


def test_a_telnet_platform_sets_the_transport_and_the_port():
    apply(table("sw1,10.0.0.1,,cisco_ios_telnet,", "sw2,10.0.0.2,2323,Cisco_IOS_Telnet,"))
    found = Device.objects.values_list("platform", "transport", "port")
    assert list(found) == [("cisco_ios", "telnet", 23), ("cisco_ios", "telnet", 2323)]


def test_a_platform_that_contradicts_the_transport_column_is_wrong():
    errors = only_errors(table("sw1,10.0.0.1,22,cisco_ios_telnet,,ssh", header=f"{HEADER},transport"))
    assert errors == ["transport: says ssh, but the platform 'cisco_ios_telnet' says telnet"]


def test_a_device_keeps_telnet_when_the_file_does_not_speak_of_transports():
    device("sw1", transport="telnet", port=2300)
    report = apply(table("sw1,10.0.0.1,,cisco_ios,"))
    assert report.rows[0].changes == {"port": (2300, 23)}


def test_an_empty_transport_cell_is_ssh():
    device("sw1", transport="telnet", port=23)
    apply(table("sw1,10.0.0.1,,cisco_ios,,", header=f"{HEADER},transport"))
    assert Device.objects.values_list("transport", "port").get() == ("ssh", 22)


def test_telnet_to_a_platform_that_has_none_is_wrong():
    errors = only_errors(table("sw1,10.0.0.1,,linux,,telnet", header=f"{HEADER},transport"))
    assert errors == ["transport: Netmiko has no telnet driver for linux."]


def test_an_unknown_platform_is_wrong_with_a_suggestion():
    errors = only_errors(table("sw1,10.0.0.1,22,cisco_iso,", "sw2,10.0.0.2,22,cisco_iso,"))
    assert len(errors) == 2
    assert all(e.startswith("platform: unknown platform 'cisco_iso'; did you mean 'cisco_ios'") for e in errors)


# --- Wrong rows ---------------------------------------------------------------------------------


def test_all_problems_of_a_row_are_told_at_once():
    header = f"{HEADER},transport,legacy_ssh,enabled,aaa_domain"
    report = preview(table('a/b,10.0.0.999,99999,nosuchos,"a;""b",carrier pigeon,perhaps,2,' + "d" * 61, header=header))
    columns = [error.split(":")[0] for error in report.rows[0].errors]
    assert sorted(columns) == sorted(
        ["name", "host", "port", "platform", "tags", "transport", "legacy_ssh", "enabled", "aaa_domain"]
    )


def test_each_wrong_row_has_its_line():
    report = preview(table("", "sw1,,22,cisco_ios,", "sw2,10.0.0.2,22,cisco_ios,", ",h,22,,"))
    assert [(row.line, row.action) for row in report.rows] == [(3, "error"), (4, "created"), (5, "error")]
    assert report.rows[2].errors == ["name: must not be empty", "platform: must not be empty"]


def test_a_name_that_differs_only_in_case_from_an_existing_one_is_wrong():
    device("Core-SW1")
    assert only_errors(table("core-sw1,10.0.0.1,22,cisco_ios,")) == [
        "name: differs only in case from the existing device 'Core-SW1'"
    ]


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        ('"one\ntwo"', "a line break"),
        ("nul\x00byte", "a NUL byte"),
        ("esc\x1b[2Jape", "U+001B"),
        ("bidi\u202etxt", "U+202E"),
        ("zero\u200bwidth", "U+200B"),
    ],
)
def test_characters_that_nobody_sees_are_wrong(cell, what):
    errors = only_errors(table(f"sw1,10.0.0.1,22,cisco_ios,,{cell}", header=f"{HEADER},description"))
    assert any(error.startswith("description") and what in error for error in errors)
    assert all("\x1b" not in error and "\u202e" not in error for error in errors)


def test_text_in_any_language_is_data():
    apply(table("zürich-東京,10.0.0.1,22,cisco_ios,größe,می‌خواهم", header=f"{HEADER},description"))
    assert Device.objects.values_list("name", "description").get() == ("zürich-東京", "می‌خواهم")


def test_a_formula_is_kept_as_data():
    apply(table("sw1,10.0.0.1,22,cisco_ios,=1;+2,=HYPERLINK(1)", header=f"{HEADER},description"))
    assert Device.objects.get().description == "=HYPERLINK(1)"
    assert tags_of("sw1") == ["+2", "=1"]


def test_a_device_that_is_wrong_already_is_unchanged_and_told_only_when_it_changes():
    device("sw1", platform="no_longer_known", description="two\nlines")
    header = f"{HEADER},description"
    row = 'sw1,{},22,no_longer_known,,"two\nlines"'
    assert preview(table(row.format("10.0.0.1"), header=header)).unchanged == 1
    assert "unknown platform" in only_errors(table(row.format("10.0.0.2"), header=header))[0]


# --- The database -------------------------------------------------------------------------------


def test_the_number_of_queries_does_not_follow_the_number_of_rows():
    def queries(first: int, last: int) -> int:
        rows = [f"sw{n},10.0.{n // 250}.{n % 250 + 1},22,cisco_ios,a;b;site {n % 3}" for n in range(first, last)]
        with CaptureQueriesContext(connection) as made:
            apply(table(*rows))
        with CaptureQueriesContext(connection) as changed:
            apply(table(*(row.replace(",22,", ",23,").replace("b;", "c;") for row in rows)))
        with CaptureQueriesContext(connection) as same:
            preview(table(*rows))
        return len(made), len(changed), len(same)

    apply(table("sw0,10.0.0.1,22,cisco_ios,a;b;c;site 0;site 1;site 2"))
    assert queries(1, 6) == queries(10, 50)


def test_a_database_that_refuses_is_told_in_one_line(monkeypatch):
    def locked(*args: object, **options: object) -> None:
        raise OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(importer, "bulk_create_with_history", locked)
    with pytest.raises(InventoryError, match=r"readonly database\. Nothing was written"):
        apply(table("sw1,10.0.0.1,22,cisco_ios,"))


def test_a_name_taken_by_someone_else_meanwhile_writes_nothing(monkeypatch):
    def taken(*args: object, **options: object) -> None:
        raise IntegrityError("UNIQUE constraint failed: devices_device.name")

    monkeypatch.setattr(importer, "bulk_create_with_history", taken)
    with pytest.raises(InventoryError, match="try again"):
        apply(table("sw1,10.0.0.1,22,cisco_ios,"))


# --- Export -------------------------------------------------------------------------------------


def test_what_is_exported_is_found_unchanged():
    device("sw1", tags=("core", "Edge 1"), description="=1+1", site="-", port=2222)
    device("multi", description="two\nlines")
    device("sw2", transport="telnet", port=23, description="'=guarded", enabled=False, legacy_ssh=True)
    device("-sw3", host="2001:db8::1", tags=("a;b", "c,d", '"q"', "=x"), description='says "hi", twice; ok')
    device("'", aaa_domain="@lab", description=" padded ", platform="no_longer_known")
    data = "".join(export_lines()).encode()
    report = preview(data)
    assert [row.errors for row in report.rows] == [[]] * 5
    assert report.unchanged == 5


def test_no_exported_cell_begins_like_a_formula():
    device("@sum", description="=1", site="+1", aaa_domain="-1", tags=("=2", "@3"))
    _, line = export_lines()
    assert line == "'@sum,10.0.0.1,22,cisco_ios,'=2;'@3,ssh,'+1,'-1,no,'=1,yes\n"


def test_an_export_of_some_devices_is_in_their_order():
    for name in ("b", "c", "a"):
        device(name)
    lines = list(export_lines(Device.objects.exclude(name="c").order_by("-name")))
    assert [line.split(",")[0] for line in lines] == ["name", "b", "a"]


def test_an_export_makes_few_queries(django_assert_num_queries):
    for number in range(5):
        device(f"sw{number}", tags=("a", "b"))
    with django_assert_num_queries(3):
        assert len(list(export_lines())) == 6
