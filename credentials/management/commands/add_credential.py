"""`manage.py add_credential`: a credential from the command line, its secrets from standard input."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from credentials.choices import AccountScope
from credentials.management.output import ReportingCommand, failed, printable, words_of, wrong_use
from credentials.models import Credential
from credentials.services import SecretsInput, create_credential, notes_on

_MAX_SECRET_BYTES = 64 * 1024
_STDIN_SECRETS = {"password": "password", "enable_secret": "enable secret", "passphrase": "passphrase"}


class Command(ReportingCommand):
    """Add one credential. Secrets never stand on the command line, where every user could read them."""

    help = (
        "Add a credential: a user name, its secrets, and the tags of the devices that it opens. Secrets are "
        "read from standard input, one a line, in the order password, enable secret, passphrase; on a "
        "terminal they are asked for."
    )
    epilog = (
        "example:\n"
        '  printf \'%s\\n%s\\n\' "$PASSWORD" "$ENABLE" | ./manage.py add_credential --name dc --username netops \\\n'
        "      --password-stdin --enable-secret-stdin --tags dc,core --priority 50 --scope central\n\n"
        "exit codes: 0 added; 1 a credential of this name exists; 2 wrong use. Unless it is 0, nothing was written."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """What a credential is made of."""
        parser.add_argument("--name", required=True, help="a name for people, unique")
        parser.add_argument("--username", required=True, help="user name; '' where a console asks for a password alone")
        parser.add_argument("--password-stdin", action="store_true", help="read the password")
        parser.add_argument("--enable-secret-stdin", action="store_true", help="read the enable secret")
        parser.add_argument("--passphrase-stdin", action="store_true", help="read the passphrase of the private key")
        parser.add_argument("--private-key", metavar="FILE", help="SSH private key in OpenSSH or PEM form")
        parser.add_argument(
            "--tags",
            default="",
            metavar="A,B",
            help="devices with any of these tags get this credential; needed unless --fallback",
        )
        parser.add_argument(
            "--priority", type=int, default=100, metavar="N", help="lower is tried first, also below 0 (default: 100)"
        )
        parser.add_argument(
            "--tag-priority",
            action="append",
            default=[],
            metavar="TAG=N",
            help="another priority for devices with this tag; may be repeated",
        )
        parser.add_argument(
            "--scope",
            choices=AccountScope.values,
            default=AccountScope.CENTRAL.value,
            help="where the account lives: central, one for all devices (TACACS+, RADIUS, LDAP), "
            "or local, one on each device (default: central)",
        )
        parser.add_argument("--allow-telnet", action="store_true", help="may be sent over telnet, where it can be read")
        parser.add_argument("--fallback", action="store_true", help="matches every device, and is always tried last")
        parser.add_argument("--json", action="store_true", help="report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read the secrets, add, and say what the choices mean."""
        if Credential.objects.filter(name=options["name"].strip()).exists():
            raise failed(f"A credential named {options['name'].strip()!r} exists already; nothing was changed.")
        private_key = self._read_key(options["private_key"]) if options["private_key"] else None
        secrets = SecretsInput(private_key=private_key, **self._read_secrets(options))
        try:
            credential = create_credential(
                name=options["name"],
                username=options["username"],
                secrets=secrets,
                tags=[tag for tag in options["tags"].split(",") if tag.strip()],
                priority=options["priority"],
                tag_priorities=_tag_priorities(options["tag_priority"]),
                scope=options["scope"],
                allow_telnet=options["allow_telnet"],
                is_fallback=options["fallback"],
            )
        except ValidationError as error:
            raise wrong_use(words_of(error)) from None
        self._report(credential, as_json=options["json"])

    # --- secrets --------------------------------------------------------------------------------------
    def _read_secrets(self, options: dict[str, Any]) -> dict[str, str]:
        wanted = [name for name in _STDIN_SECRETS if options[f"{name}_stdin"]]
        if sys.stdin is not None and sys.stdin.isatty():
            if not wanted and not options["private_key"]:
                wanted = ["password"]
            return {name: _ask(_STDIN_SECRETS[name]) for name in wanted}
        if not wanted and not options["private_key"]:
            raise wrong_use(
                "There is nothing to log in with: give --password-stdin with the password on standard input, "
                "or --private-key FILE."
            )
        return _read_lines(wanted)

    def _read_key(self, name: str) -> str:
        try:
            with Path(name).open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(_MAX_SECRET_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise wrong_use(f"The private key {name} cannot be read: {reason}.") from None
        if len(data) > _MAX_SECRET_BYTES or not data.isascii() or b"\x00" in data:
            raise wrong_use(f"{name} is not a private key in OpenSSH or PEM form.")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            self.stderr.write(
                self.style.WARNING(
                    f"Warning: other users of this machine may read {printable(name)}; "
                    "make it yours alone with chmod 600."
                )
            )
        return data.decode("ascii")

    # --- report ---------------------------------------------------------------------------------------
    def _report(self, credential: Credential, as_json: bool) -> None:
        hints = notes_on(credential)
        links = credential.tag_links.select_related("tag").order_by("tag__name")
        tags = [link.tag.name for link in links]
        own = {link.tag.name: link.priority for link in links if link.priority is not None}
        if as_json:
            self.print_json(
                {
                    "id": credential.pk,
                    "name": credential.name,
                    "username": credential.username,
                    "secrets": credential.kinds,
                    "tags": tags,
                    "priority": credential.priority,
                    "tag_priorities": own,
                    "scope": credential.scope,
                    "scope_meaning": credential.scope_meaning,
                    "allow_telnet": credential.allow_telnet,
                    "fallback": credential.is_fallback,
                    "hints": hints,
                }
            )
            return
        matches = "every device, tried last" if credential.is_fallback else f"tags {', '.join(tags)}"
        self.stdout.write(
            printable(
                f"Added {credential.name}: user name {credential.username or '(none)'}, "
                f"{' and '.join(credential.kinds)}; {matches}; "
                f"priority {credential.priority}{''.join(f', {number} for {tag}' for tag, number in own.items())} "
                "(lower is tried first)."
            )
        )
        self.stdout.write(f"Scope {credential.scope}: {credential.scope_meaning}")
        if credential.allow_telnet:
            self.stdout.write("It may be sent over telnet, where anyone on the path can read it.")
        for hint in hints:
            self.stdout.write(printable(f"Note: {hint}"))


def _tag_priorities(given: list[str]) -> dict[str, int]:
    found = {}
    for text in given:
        tag, separator, number = text.rpartition("=")
        try:
            found[" ".join(tag.split())] = int(number)
        except ValueError:
            separator = ""
        if not separator:
            raise wrong_use(f"--tag-priority is TAG=N with a whole number, not {text}.")
    return found


def _ask(what: str) -> str:
    try:
        first = getpass.getpass(f"{what.capitalize()}: ")
        if first != getpass.getpass("Once more: "):
            raise wrong_use("The two entries differ; nothing was written.")
    except EOFError:
        raise wrong_use(f"No {what} was given.") from None
    if not first:
        raise wrong_use(f"The {what} is empty.")
    return first


def _read_lines(wanted: list[str]) -> dict[str, str]:
    """The secrets on standard input, by name; what is not exactly as announced is refused."""
    if not wanted:
        return {}
    data = sys.stdin.buffer.read(_MAX_SECRET_BYTES + 1) if sys.stdin is not None else b""
    order = ", ".join(_STDIN_SECRETS[name] for name in wanted)
    expected = f"one line each for: {order}"
    if len(data) > _MAX_SECRET_BYTES:
        raise wrong_use(f"Standard input is too long; it must hold {expected}.")
    lines = data.split(b"\n")
    while len(lines) > len(wanted) and not lines[-1].rstrip(b"\r"):
        lines.pop()
    if len(lines) != len(wanted):
        raise wrong_use(f"Standard input has {len(lines)} lines; it must hold {expected}.")
    found = {}
    for name, raw in zip(wanted, lines, strict=True):
        what = _STDIN_SECRETS[name]
        if not (raw := raw.removesuffix(b"\r")):
            raise wrong_use(f"The line of the {what} is missing or empty; standard input must hold {expected}.")
        try:
            found[name] = raw.decode()
        except UnicodeDecodeError:
            # Not chained: the exception holds the bytes.
            raise wrong_use(f"The {what} on standard input is not valid UTF-8.") from None
    return found
