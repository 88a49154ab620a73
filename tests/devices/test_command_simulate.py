"""The command simulate: what it cannot do is one sentence, and exit code 2 when it was asked wrongly."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--inventory", "{}/none/fleet.csv"], "--inventory: there is no folder {}/none."),
        (["--credentials", "{}/none/c.json"], "--credentials: there is no folder {}/none."),
        (["--record", "{}/none/r"], "--record: there is no folder {}/none."),
        (["--inventory", "{}"], "--inventory: {} is a folder"),
        (["--base-port", "65535"], "choose one from 1 to 65534"),
        (["--base-port", "70000"], "choose one from 1 to 65534"),
        (["--base-port", "0"], "choose one from 1 to 65534"),
    ],
)
def test_a_wrong_place_is_one_sentence(tmp_path, options, words):
    with pytest.raises(CommandError) as refused:
        call_command("simulate", "--devices", "2", *[option.format(tmp_path) for option in options])
    assert refused.value.returncode == 2
    assert words.format(tmp_path) in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_fleet_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CommandError, match=r"none\.json cannot be read: No such file") as refused:
        call_command("simulate", "--fleet", str(tmp_path / "none.json"))
    assert refused.value.returncode == 2
