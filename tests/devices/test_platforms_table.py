"""The table of platforms of an instance: shipped, files, database; and what is tried before it counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from devices import platforms_table
from devices.configs.trying import TryFailed, attempt
from devices.connector import platforms
from devices.connector.platform_trial import require_quick, run_apart, slow_ones
from devices.connector.platforms import SHIPPED, PlatformTableError, Source, read_table
from devices.models import Device
from devices.platforms_described import described, overview
from devices.platforms_overrides import PlatformOverride
from devices.platforms_services import delete_overrides, disable, save_override
from devices.services import save_device

OWN = '[platforms.acme_os]\nlike = "cisco_ios"\ndriver = "cisco_ios"\nlabel = "Acme"\n'


@pytest.fixture
def of_instance(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of files that this process has not read yet; afterwards it goes by the shipped table again."""
    settings.NETRAVEN_PLATFORMS = [str(tmp_path)]
    for name, value in (("_files", None), ("_stamp", None), ("_looked_at", float("-inf"))):
        monkeypatch.setattr(platforms_table, name, value)
    before = platforms.table()
    yield tmp_path
    platforms.use(before)


def row(text: str = OWN, **more) -> PlatformOverride:
    return save_override(PlatformOverride(), text=text, user=None, **more)


# --- files ------------------------------------------------------------------------------------------------


def test_the_files_of_a_folder_are_read_by_name_and_other_files_are_left_alone(of_instance):
    (of_instance / "20-b.toml").write_text('[platforms.cisco_ios]\nlabel = "Second"\n')
    (of_instance / "10-a.toml").write_text('[platforms.cisco_ios]\nlabel = "First"\n')
    (of_instance / "notes.txt").write_text("not TOML at all")
    table = read_table(*platforms_table.read_files())
    assert table.platforms["cisco_ios"].label == "Second"


def test_a_file_that_is_named_and_not_there_is_an_error(settings, tmp_path):
    settings.NETRAVEN_PLATFORMS = [str(tmp_path / "gone.toml")]
    with pytest.raises(PlatformTableError, match=r"gone\.toml: does not exist; NETRAVEN_PLATFORMS names it"):
        platforms_table.read_files()


def test_a_process_goes_on_with_the_files_that_it_found_at_its_start(of_instance):
    file = of_instance / "own.toml"
    file.write_text(OWN)
    assert "acme_os" in read_table(*platforms_table.files()).platforms
    file.write_text("broken now")
    assert "acme_os" in read_table(*platforms_table.files()).platforms
    with pytest.raises(PlatformTableError, match="is not valid TOML"):
        read_table(*platforms_table.read_files())


def test_a_text_that_a_file_adds_leaves_the_others_of_the_platform(of_instance):
    text = '[platforms.cisco_xe]\ncollect = [{ kind = "licences", command = "show license all" }]\n'
    found = read_table(Source("own.toml", text)).platforms["cisco_xe"]
    assert [each.kind for each in found.collects] == ["running", "startup", "inventory", "licences"]


def test_a_text_of_a_file_takes_the_place_of_the_one_of_its_kind():
    text = '[platforms.cisco_ios]\ncollect = [{ kind = "startup", command = "more nvram:startup-config" }]\n'
    found = read_table(Source("own.toml", text)).platforms["cisco_ios"]
    assert found.collect("startup").command == "more nvram:startup-config"
    assert found.collect("running").end_marker is not None


def test_of_the_shipped_texts_only_the_running_one_is_collected_by_default():
    for platform in read_table().platforms.values():
        assert [each.kind for each in platform.collects if each.default] == ["running"], platform.name


# --- database ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_what_is_saved_counts_at_once_and_what_is_deleted_does_not_any_more(of_instance):
    saved = row()
    assert platforms.platform("acme_os").label == "Acme"
    delete_overrides([saved], user=None)
    assert "acme_os" not in platforms.platforms()


@pytest.mark.django_db
def test_the_database_is_laid_over_the_files(of_instance):
    (of_instance / "own.toml").write_text(OWN)
    row('[platforms.acme_os]\nlabel = "Said in the portal"\n')
    assert platforms_table.build().platforms["acme_os"].label == "Said in the portal"


@pytest.mark.django_db
def test_another_process_takes_a_change_over_when_it_looks_and_not_before_its_time(of_instance):
    platforms.use(platforms_table.build())
    platforms_table.refresh()
    PlatformOverride.objects.create(name="acme_os", text=OWN)
    platforms_table.refresh()
    assert "acme_os" not in platforms.platforms()
    platforms_table.refresh(at_once=True)
    assert "acme_os" in platforms.platforms()


@pytest.mark.django_db
def test_a_look_that_finds_nothing_new_costs_one_query_and_keeps_the_table(of_instance, django_assert_num_queries):
    platforms_table.refresh(at_once=True)
    before = platforms.table()
    with django_assert_num_queries(1):
        platforms_table.refresh(at_once=True)
    assert platforms.table() is before


@pytest.mark.django_db
def test_a_row_that_does_not_fit_any_more_leaves_the_table_in_use_as_it_was(of_instance, caplog):
    platforms_table.refresh(at_once=True)
    before = platforms.table()
    PlatformOverride.objects.create(name="acme_os", text='[platforms.acme_os]\nlike = "gone_os"\n')
    platforms_table.refresh(at_once=True)
    assert platforms.table() is before
    assert "[platforms.acme_os] like: no platform 'gone_os'" in caplog.text
    with pytest.raises(PlatformTableError, match="database, platform acme_os"):
        platforms_table.require()
    disable(PlatformOverride.objects.get(), actor="operator")
    platforms_table.require()


# --- saving -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[platforms.acme_os\n", "not valid TOML"),
        ('[platforms.a]\nlabel = "x"\n[platforms.b]\nlabel = "y"\n', "rules of one platform"),
        ("[general]\nwords = ['x']\n", "rules of one platform"),
        ("[platforms.acme_os]\nlabel = 'x'\n", "is no Netmiko device_type"),
        ("[platforms.cisco_ios]\nvolatil = ['^a']\n", "unknown key; did you mean volatile"),
        ("[platforms.cisco_ios]\nvolatile = ['^(a|b']\n", "is no pattern"),
        ("[platforms.cisco_ios]\nvolatile = ['^x(?:a|aa)*$']\n", "takes too long on hostile text"),
    ],
)
@pytest.mark.django_db
def test_what_does_not_fit_is_refused_with_its_place_and_nothing_is_saved(of_instance, text, said):
    with pytest.raises(ValidationError, match=re.escape(said)):
        row(text)
    assert not PlatformOverride.objects.exists()


@pytest.mark.django_db
def test_rules_that_another_platform_is_built_on_are_not_taken_away(of_instance):
    saved = row()
    row('[platforms.acme_two]\nlike = "acme_os"\ndriver = "cisco_ios"\n')
    with pytest.raises(ValidationError, match="no platform 'acme_os'"):
        delete_overrides([saved], user=None)
    with pytest.raises(ValidationError, match="no platform 'acme_os'"):
        save_override(PlatformOverride.objects.get(pk=saved.pk), text=OWN, enabled=False, user=None)


@pytest.mark.django_db(transaction=True)
def test_a_platform_that_devices_have_is_not_taken_away(of_instance):
    saved = row()
    save_device(Device(), name="a1", host="10.0.0.1", platform="acme_os")
    with pytest.raises(ValidationError, match=r"Devices have the platform acme_os \(1\)"):
        delete_overrides([saved], user=None)


@pytest.mark.django_db
def test_who_changed_a_platform_stands_in_its_history(of_instance):
    rosa = User.objects.create_user("rosa")
    saved = row()
    save_override(saved, text=OWN.replace("Acme", "Acme 2"), user=rosa)
    assert [each.changed_by for each in saved.history.all()] == [rosa, None]
    assert saved.revision == 2


# --- time -------------------------------------------------------------------------------------------------


def test_patterns_that_run_away_are_found_and_plain_ones_are_not():
    hostile = [r"^password (?:\w+\s?)+$", r"^(?:a|aa)+$", r"\s*\s*\s*\s*;"]
    plain = [r"^hostname \S+", r"^user .* password (?P<secret>\S+)"]
    assert slow_ones([(each, re.IGNORECASE) for each in [*hostile, *plain]]) == [0, 1, 2]


def test_no_shipped_pattern_runs_away():
    found: dict[re.Pattern[str], str] = {}
    for each in read_table().platforms.values():
        texts = [one for text in each.collects for one in (text.end_marker, *text.requires)]
        secrets = [one for rule in each.secrets for one in (rule.pattern, rule.under)]
        for pattern in (*each.volatile, *each.errors, *each.pager, *texts, *secrets, each.closing):
            if pattern is not None:
                found[pattern] = each.name
    require_quick(found)


def test_a_program_that_does_not_end_is_ended():
    with pytest.raises(TimeoutError):
        run_apart("devices.connector.platform_trial", [["^(?:a|aa)+$", 0]] * 50, 1)


# --- trying -----------------------------------------------------------------------------------------------


def test_a_text_is_judged_compared_redacted_and_read_by_rules_that_are_not_saved():
    text = (
        "hostname r1\n! seen at 10:00\nenable secret 5 $1$abcd$efghijklmnop\nvault-key opensesame\nend\n" + "!\n" * 40
    )
    rules = OWN + "volatile = ['^! seen at']\nsecrets = ['^vault-key {value}']\n"
    found = attempt([Source("draft", rules)], "acme_os", "running", text, "show running-config")
    assert not found.whole
    assert found.reason == "the end of the configuration is missing"
    assert (2, "! seen at 10:00") in found.left_out
    assert found.secrets == 2
    assert "opensesame" not in str(found)
    assert "$1$" not in str(found)


def test_the_facts_of_an_answer_are_read():
    text = "Cisco IOS Software, C2960 Software (C2960-LANBASEK9-M), Version 15.0(2)SE4, RELEASE SOFTWARE (fc1)\n"
    assert attempt([], "cisco_ios", "running", text).facts["version"] == "15.0(2)SE4"


def test_a_trial_that_takes_too_long_ends_with_words(monkeypatch):
    monkeypatch.setattr("devices.configs.trying._CPU_S", 1.0)
    rules = OWN + "volatile = ['^x(?:a|aa)*$']\n"
    with pytest.raises(TryFailed, match="one of the patterns is slow"):
        attempt([Source("draft", rules)], "acme_os", "running", "x" + "a" * 300 + "!\n")


# --- in words ---------------------------------------------------------------------------------------------


def test_each_rule_says_where_it_comes_from():
    table = read_table(
        Source("/somewhere/own.toml", OWN + "volatile = ['^! ours']\n"),
        platforms_table.source_of("acme_os", "[platforms.acme_os]\nerrors = ['^Oops']\n"),
    )
    found = described(table, "acme_os", devices=3)
    assert (found.state, found.devices) == ("own", 3)
    assert {each.key: each.origin for each in found.settings}["facts_command"] == "shipped, cisco_ios"
    assert {each.value: each.origin for each in found.rules["volatile"]}["^! ours"] == "own.toml"
    assert {each.value: each.origin for each in found.rules["errors"]}["^Oops"] == "portal"
    assert found.rules["secrets"][-1].origin == "shipped, general"


def test_all_that_is_described_is_what_counts():
    table = read_table()
    for name, platform in table.platforms.items():
        found = described(table, name)
        for key in ("volatile", "errors", "pager", "secrets", "read_only", "filters", "never"):
            assert len(found.rules[key]) == len(getattr(platform, key)), (name, key)


def test_a_shipped_platform_that_is_changed_says_so():
    table = read_table(Source("own.toml", "[platforms.calix_exa]\nenable = false\n"))
    states = {each.name: each.state for each in overview(table, {})}
    assert states["calix_exa"] == "changed"
    assert states["cisco_ios"] == "shipped"
    assert str(SHIPPED) not in str(described(table, "calix_exa"))
