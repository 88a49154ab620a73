"""Secrets in the answers to show commands."""

from __future__ import annotations

import pytest

from devices.configs.answers import redact_answer

SECRET = "s3cr3tWord"


@pytest.mark.parametrize(
    "text",
    [
        f"Community name: {SECRET}",
        f"Community Index: {SECRET}",
        f"Community SecurityName: {SECRET}",
        f"SNMP Community: {SECRET} access ro",
        f"Community Name       : {SECRET}",
        f"                Server key: {SECRET}",
        f"Auth key            : {SECRET}",
        f"tacacs_key = {SECRET}, timeout 5",
        f"user: {SECRET} security model: v2c",
        f"Keyring      Hostname/Address      Preshared Key\ndefault      10.0.0.1              {SECRET}\n",
        f"snmp-server community {SECRET} RO",
        f" radius shared secret: {SECRET}",
        f"User Name: admin   Password: {SECRET}",
    ],
)
def test_a_secret_is_a_placeholder(text):
    shown = redact_answer(text, "cisco_ios", lambda secret: "ab12")
    assert SECRET not in shown
    assert "<secret" in shown


@pytest.mark.parametrize(
    "text",
    [
        "Community name: none",
        "Server key: not configured",
        "Cisco IOS Software, Version 17.9.4",
        "GigabitEthernet0/1 is up, line protocol is up",
        "BGP router identifier 10.0.0.1, local AS number 65001",
        "extended community 65000:100",
        "user: monitor security model: v3 priv",
        "Fingerprint: SHA256:abc",
    ],
)
def test_what_is_none_stays(text):
    assert redact_answer(text, "cisco_ios") == text


def test_after_the_table_of_keys_nothing_more_is_masked():
    text = "Keyring  Address  Preshared Key\ndefault  10.0.0.1  abc123x\n\nInterface up"
    shown = redact_answer(text, "cisco_ios")
    assert "abc123x" not in shown
    assert shown.endswith("Interface up")


def test_doing_it_twice_changes_nothing():
    text = f"Community name: {SECRET}\nServer key: {SECRET}x\n"
    once = redact_answer(text, "cisco_ios", lambda secret: "ab12")
    assert redact_answer(once, "cisco_ios", lambda secret: "cd34") == once
