"""Every platform that is offered over telnet, against a real server that counts what it receives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from devices.connector.core import CoreDeviceConnector
from devices.connector.outcomes import ConnectorError, Fate, Outcome
from devices.connector.platforms import platforms
from devices.connector.target import Limits, LoginSecrets, Target
from tests.devices.console import After, Console, Typed, tongue_of

PLATFORMS = [each.name for each in platforms().values() if each.telnet]
LIMITS = Limits(connect_s=5, banner_s=8, auth_s=2, prompt_s=5, read_s=5, deadline_s=60)
RIGHT, WRONG = "right-31f0", "wrong-9c2e"
ENABLE = "enable-77ab"
# Their drivers know no enable secret: no such mode, or one that asks for none.
NO_ENABLE = {
    "audiocode_shell", "bintec_boss", "calix_exa", "ciena_saos", "cisco_xr", "dlink_ds", "generic",
    "generic_termserver", "hp_comware", "huawei", "huawei_olt", "huawei_ont", "iij_seilos", "juniper_junos",
    "nec_ix", "nokia_sros", "nokia_sros_md", "paloalto_panos", "rad_etx", "supermicro_smis", "teldat_cit",
}  # fmt: skip
ENABLES = [name for name in PLATFORMS if name not in NO_ENABLE]


@dataclass
class Story:
    """How a login went, for the connector and for the server."""

    outcome: Outcome
    detail: str
    fate: Fate
    typed: Typed
    logged_out: bool


def log_in(
    platform: str,
    after: After = After.CHECKS_IT,
    password: str = RIGHT,
    enable_secret: str | None = None,
    device_enable: str | None = None,
) -> Story:
    """Log in, enter the privileged mode and ask for the time, as a job would."""
    with Console(tongue_of(platform), after, password=RIGHT, enable_secret=device_enable) as console:
        target = Target(platform, "127.0.0.1", console.port, platform, "telnet", limits=LIMITS)
        secrets = LoginSecrets("ops", password, enable_secret)
        connector = CoreDeviceConnector(target, "ops", lambda offered: secrets, lambda key: None)
        outcome, detail = Outcome.SUCCESS, ""
        try:
            connector.open()
            connector.enable()
            assert "12:00:00" in connector.send("show clock")
        except ConnectorError as error:
            outcome, detail = error.outcome, error.detail
        finally:
            connector.close()
        logged_out = connector.evidence.fate == Fate.ACCEPTED and console.logged_out.wait(2)
        return Story(outcome, detail, connector.evidence.fate, console.typed, logged_out)


STORIES: dict[str, tuple[list[str], dict[str, Any]]] = {
    "right": (PLATFORMS, {}),
    "asks again": (PLATFORMS, {"password": WRONG}),
    "closes": (PLATFORMS, {"password": WRONG, "after": After.CLOSES}),
    "hangs up": (PLATFORMS, {"password": WRONG, "after": After.HANGS_UP}),
    "silent": (PLATFORMS, {"after": After.IS_SILENT}),
    "falls back": (PLATFORMS, {"after": After.FALLS_BACK}),
    "right enable": (ENABLES, {"enable_secret": ENABLE, "device_enable": ENABLE}),
    "wrong enable": (ENABLES, {"enable_secret": WRONG, "device_enable": ENABLE}),
    "no enable": (ENABLES, {"device_enable": ENABLE}),
}


@pytest.fixture(scope="module")
def told() -> Iterator[Callable[[str, str], Story]]:
    """All stories, told at the same time: what the drivers wait for is waited for once."""
    with ThreadPoolExecutor(64) as pool:
        # The slow drivers first.
        names = sorted(PLATFORMS, key=lambda name: "procurve" not in name)
        known = {
            (story, name): pool.submit(log_in, name, **how)
            for name in names
            for story, (concerned, how) in STORIES.items()
            if name in concerned
        }
        yield lambda story, name: known[story, name].result()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_right_password_is_submitted_once_and_opens_the_device(told, platform):
    story = told("right", platform)
    assert (story.outcome, story.fate) == (Outcome.SUCCESS, Fate.ACCEPTED), story.detail
    assert story.typed.passwords == [RIGHT]
    assert len(story.typed.usernames) <= 1


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_session_is_logged_out_of_for_it_may_be_a_console(told, platform):
    assert told("right", platform).logged_out


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_wrong_password_is_submitted_once_where_the_device_asks_again(told, platform):
    story = told("asks again", platform)
    assert story.typed.passwords == [WRONG]
    assert len(story.typed.usernames) <= 1
    assert (story.outcome, story.fate) == (Outcome.REJECTED, Fate.REJECTED), story.detail


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_wrong_password_is_submitted_once_where_the_device_closes(told, platform):
    story = told("closes", platform)
    assert story.typed.passwords == [WRONG]
    assert len(story.typed.usernames) <= 1
    assert (story.outcome, story.fate) == (Outcome.REJECTED, Fate.REJECTED), story.detail


@pytest.mark.parametrize("platform", PLATFORMS)
def test_closing_without_a_word_is_no_proof_of_a_rejection(told, platform):
    story = told("hangs up", platform)
    assert story.typed.passwords == [WRONG]
    assert (story.outcome, story.fate) == (Outcome.UNANSWERED, Fate.UNANSWERED), story.detail


@pytest.mark.parametrize("platform", PLATFORMS)
def test_silence_after_the_password_is_waited_out_and_nothing_is_sent_into_it(told, platform):
    story = told("silent", platform)
    assert story.typed.passwords == [RIGHT]
    assert (story.outcome, story.fate) == (Outcome.UNANSWERED, Fate.UNANSWERED), story.detail


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_driver_types_nothing_into_a_login_prompt_that_comes_back(told, platform):
    story = told("falls back", platform)
    assert story.typed.passwords == [RIGHT]
    # A setting that is on its way when the prompt comes back is no login yet.
    assert story.typed.usernames.count("ops") <= 1
    assert (story.outcome, story.fate) == (Outcome.PROTOCOL_ERROR, Fate.ACCEPTED), story.detail


@pytest.mark.parametrize("platform", ENABLES)
def test_the_right_enable_secret_opens_the_privileged_mode_and_stands_nowhere_in_the_clear(told, platform):
    story = told("right enable", platform)
    assert story.outcome == Outcome.SUCCESS, story.detail
    assert set(story.typed.enables) == {ENABLE}
    assert ENABLE not in story.typed.commands


@pytest.mark.parametrize("platform", ENABLES)
def test_a_wrong_enable_secret_is_submitted_once(told, platform):
    story = told("wrong enable", platform)
    assert (story.outcome, story.fate) == (Outcome.ENABLE_REJECTED, Fate.ACCEPTED), story.detail
    assert story.typed.enables == [WRONG]


@pytest.mark.parametrize("platform", ENABLES)
def test_without_an_enable_secret_no_empty_one_is_submitted(told, platform):
    story = told("no enable", platform)
    assert story.typed.enables == []
    assert story.outcome in {Outcome.SUCCESS, Outcome.ENABLE_REJECTED}, story.detail
