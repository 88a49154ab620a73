"""The command add_credential: secrets from standard input, and nothing written unless all of it is right."""

from __future__ import annotations

import json
import os
import pty
import subprocess

import pytest

from credentials.models import Credential
from credentials.services import SecretsInput, create_credential
from devices.models import Device
from devices.services import save_device
from tests.commands import Done, run
from tests.credentials.sealed import ANY

pytestmark = pytest.mark.django_db
PASSWORD = "corréct horse 'battery' \"staple\" \\"


def add(*arguments: str, stdin: bytes = b"a-password\n", name: str = "core") -> Done:
    return run("add_credential", "--name", name, "--username", "netops", "--password-stdin", *arguments, stdin=stdin)


@pytest.fixture
def key(tmp_path):
    def make(passphrase: str = "", kind: str = "ed25519", *more: str):
        path = tmp_path / f"id_{kind}"
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path), *more], check=True)
        return path

    return make


def test_the_secrets_come_from_standard_input_one_a_line_in_order(key):
    done = add(
        *("--enable-secret-stdin", "--passphrase-stdin", "--private-key", str(key("pass phrase")), "--tags", "dc"),
        stdin=f"{PASSWORD}\n enable \npass phrase\n".encode(),
    )
    assert done.code == 0, done.err
    row = Credential.objects.get()
    secrets = (row.password.reveal(ANY), row.enable_secret.reveal(ANY), row.passphrase.reveal(ANY))
    assert secrets == (PASSWORD, " enable ", "pass phrase")
    assert row.private_key.reveal(ANY).startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_everything_else_comes_from_the_options():
    done = add("--tags", "dc, core ,", "--priority", "7", "--scope", "local", "--allow-telnet")
    assert done.code == 0
    row = Credential.objects.get()
    assert (row.name, row.username, row.priority, row.scope) == ("core", "netops", 7, "local")
    assert (row.allow_telnet, row.is_fallback) == (True, False)
    assert sorted(row.tags.names()) == ["core", "dc"]


def test_the_user_name_may_be_empty():
    done = run("add_credential", "--name", "console", "--username", "", "--password-stdin", "--tags", "x", stdin=b"p\n")
    assert done.code == 0
    assert "user name (none)" in done.out
    assert Credential.objects.get().username == ""


@pytest.mark.parametrize(("scope", "words"), [("central", "whole AAA domain"), ("local", "on each device")])
def test_it_says_what_the_chosen_scope_means(scope, words):
    assert words in add("--tags", "dc", "--scope", scope).out


def test_no_secret_is_ever_printed():
    done = add("--tags", "dc", "--json", stdin=f"{PASSWORD}\n".encode())
    assert PASSWORD not in done.out + done.err
    assert json.loads(done.out)["secrets"] == ["password"]


def test_json_is_one_object():
    report = json.loads(add("--tags", "dc", "--priority", "5", "--json").out)
    assert report["name"] == "core"
    assert report["priority"] == 5
    assert report["scope_meaning"].startswith("One account for the whole AAA domain")
    assert (report["fallback"], report["allow_telnet"]) == (False, False)


def test_a_fallback_needs_no_tag_and_is_said_to_match_everything():
    done = add("--fallback")
    assert done.code == 0
    assert "every device, tried last" in done.out


def test_an_existing_name_is_refused_and_the_credential_stays_as_it_was():
    add("--tags", "dc")
    done = add("--tags", "branch", stdin=b"another\n")
    assert done.code == 1
    assert "'core' exists already" in done.err
    assert Credential.objects.get().password.reveal(ANY) == "a-password"


def test_a_second_credential_of_the_same_account_is_pointed_out():
    add("--tags", "dc")
    assert "'core' has the same user name and scope" in add("--tags", "dc", name="core, new").out
    assert "'core' and 'core, new' have the same" in add("--tags", "dc", name="third").out


def test_a_tag_that_nothing_else_has_is_pointed_out():
    save_device(Device(), name="r1", host="10.0.0.1", platform="cisco_ios", tags=["dc"])
    done = add("--tags", "dc,dcc")
    assert done.code == 0
    assert "Nothing else has the tag dcc yet" in done.out
    assert "the tag dc yet" not in done.out


@pytest.mark.parametrize(
    ("stdin", "options", "words"),
    [
        (b"", [], "the password is missing or empty"),
        (b"\n", [], "the password is missing or empty"),
        (b"only\n", ["--enable-secret-stdin"], "one line each for: password, enable secret"),
        (b"one\ntwo\n", [], "has 2 lines; it must hold one line each for: password"),
        (b"nul\x00\n", [], "password: A secret has no NUL characters"),
        (b"\xff\xfe\n", [], "password on standard input is not valid UTF-8"),
        (b"x" * 70_000, [], "too long"),
        (b"p\nphrase\n", ["--passphrase-stdin"], "passphrase needs a private key"),
    ],
)
def test_wrong_standard_input_is_explained_and_nothing_is_written(stdin, options, words):
    done = add("--tags", "dc", *options, stdin=stdin)
    assert done.code == 2
    assert words in done.err
    assert not Credential.objects.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "at least one tag"),
        (["--tags", " , "], "at least one tag"),
        (["--tags", "a;b"], "no comma or semicolon"),
        (["--tags", "dc", "--priority", "99999999999999999999"], "priority: "),
        (["--tags", "t" * 101], "at most 100 characters"),
    ],
)
def test_wrong_values_are_explained_and_nothing_is_written(options, words):
    done = add(*options)
    assert done.code == 2
    assert words in done.err
    assert not Credential.objects.exists()


def test_a_line_end_of_windows_is_no_part_of_the_password():
    add("--tags", "dc", stdin=b"a-password\r\n")
    assert Credential.objects.get().password.reveal(ANY) == "a-password"


def test_without_any_secret_it_says_how_to_give_one():
    done = run("add_credential", "--name", "x", "--username", "u", "--tags", "dc")
    assert done.code == 2
    assert "--password-stdin" in done.err
    assert "--private-key" in done.err


def with_key(path, *options: str, stdin: bytes = b"") -> Done:
    return run(
        *("add_credential", "--name", "k", "--username", "u", "--tags", "dc", "--private-key", str(path)),
        *options,
        stdin=stdin,
    )


def test_a_private_key_alone_is_enough(key):
    assert with_key(key()).code == 0
    assert Credential.objects.get().kinds == ["private key"]


def test_a_key_that_others_can_read_is_accepted_with_a_warning(key):
    path = key()
    path.chmod(0o644)
    done = with_key(path)
    assert done.code == 0
    assert "chmod 600" in done.err


def test_a_key_of_one_s_own_is_no_reason_to_warn(key):
    assert with_key(key()).err == ""


@pytest.mark.parametrize(
    ("phrase", "options", "stdin", "words"),
    [
        ("right", [], b"", "protected: give its passphrase"),
        ("right", ["--passphrase-stdin"], b"wrong\n", "does not open this private key"),
        ("", ["--passphrase-stdin"], b"needless\n", "has no passphrase"),
    ],
)
def test_key_and_passphrase_must_fit(key, phrase, options, stdin, words):
    done = with_key(key(phrase), *options, stdin=stdin)
    assert done.code == 2
    assert words in done.err
    assert not Credential.objects.exists()


def test_a_weak_key_is_refused(key):
    done = with_key(key("", "rsa", "-b", "1024"))
    assert done.code == 2
    assert "too weak" in done.err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"ssh-ed25519 AAAA public\n", "not a private key"),
        (b"\x00\x01\x02", "not a private key"),
        (b"a" * 70_000, "not a private key"),
    ],
)
def test_a_file_that_is_no_key_is_refused(tmp_path, content, words):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    done = with_key(path)
    assert done.code == 2
    assert words in done.err


def test_a_folder_is_no_key(tmp_path):
    assert "Is a directory" in with_key(tmp_path).err


@pytest.fixture
def at_terminal(monkeypatch):
    """Runs the command on a terminal, with a list of what is typed at its prompts."""
    ours, theirs = pty.openpty()

    def run_there(*typed: str) -> Done:
        answers = list(typed)
        monkeypatch.setattr("getpass.getpass", lambda prompt: answers.pop(0))
        return run("add_credential", "--name", "core", "--username", "netops", "--tags", "dc", stdin=stream)

    with os.fdopen(theirs, "r") as stream:
        yield run_there
    os.close(ours)


def test_on_a_terminal_the_password_is_asked_for_twice(at_terminal):
    assert at_terminal("typed", "typed").code == 0
    assert Credential.objects.get().password.reveal(ANY) == "typed"


def test_two_different_entries_are_refused(at_terminal):
    done = at_terminal("typed", "tpyed")
    assert done.code == 2
    assert "differ" in done.err
    assert not Credential.objects.exists()


def test_a_keyring_that_is_missing_is_said_and_nothing_is_written(settings, tmp_path):
    settings.NETRAVEN_KEYRING_PATH = tmp_path / "nowhere.json"
    done = add("--tags", "dc")
    assert done.code == 2
    assert "There is no keyring at" in done.err
    assert not Credential.objects.exists()


def test_the_hint_names_only_credentials_of_the_same_scope():
    create_credential(
        name="elsewhere", username="netops", secrets=SecretsInput(password="p"), tags=["dc"], scope="local"
    )
    assert "same user name" not in add("--tags", "dc").out


def test_a_tag_may_have_a_priority_of_its_own():
    done = add("--tags", "dc,branch", "--tag-priority", "branch=-3", "--priority", "50")
    assert done.code == 0
    assert "priority 50, -3 for branch (lower is tried first)" in done.out
    links = Credential.objects.get().tag_links
    assert dict(links.values_list("tag__name", "priority")) == {"dc": None, "branch": -3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("branch", "TAG=N with a whole number"),
        ("branch=first", "TAG=N with a whole number"),
        ("other=3", "a tag that is not set"),
        ("branch=9999999", "from -1,000,000 to 1,000,000"),
    ],
)
def test_a_wrong_priority_of_a_tag_is_refused(text, words):
    done = add("--tags", "dc,branch", "--tag-priority", text)
    assert done.code == 2
    assert words in done.err
    assert not Credential.objects.exists()
