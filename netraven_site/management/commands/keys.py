"""`manage.py keys`: the keys that seal every secret, from the first to the last day of each."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core import checks
from django.core.management.base import CommandParser
from django.db import DatabaseError, transaction

from credentials import audit, doctor, keyring_backup, keys
from credentials.exceptions import BackupUnusable, CredentialsError, KeyInUse, KeyNotReadEverywhere
from credentials.key_rotation import BadValue, Rotation
from credentials.management.output import (
    FAILED,
    ReportingCommand,
    failed,
    operator,
    printable,
    read_input,
    wrong_use,
)
from jobs.choices import Trigger
from jobs.services import start_adhoc

_MOST_NAMED = 50
_SAY_EVERY_S = 2.0
_MAX_PASSPHRASE_BYTES = 4096


class Command(ReportingCommand):
    """List, add, activate, rotate, retire, examine, back up and restore encryption keys."""

    help = (
        "The encryption keys. One is active and seals, the others only open. A key's life: add it, wait until every "
        "host reads it (list), activate it, rotate (re-encrypt everything under it), and retire the one before."
    )
    epilog = (
        "example:\n"
        "  ./manage.py keys backup /safe/keyring.backup\n"
        "  ./manage.py keys add\n"
        "  ./manage.py keys activate k2-1f3a90bc\n"
        "  ./manage.py keys rotate\n"
        "  ./manage.py keys retire k1-77e0a2d4\n\n"
        "Everybody goes on working meanwhile. `rotate` can be killed at any moment and begun again.\n\n"
        "exit codes: 0 done; 1 refused, or values that do not open (named); 2 wrong use, or no usable keyring."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """One action each."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def action(name: str, text: str, json: bool = True) -> Any:
            made = actions.add_parser(name, help=text)
            if json:
                made.add_argument("--json", action="store_true", help="report as JSON")
            return made

        action("list", "every key: whether it is active, what is sealed with it, which hosts read it")
        action("add", "make a new key, which only opens until it is activated")
        activating = action("activate", "let a key seal from now on, once every live host reads it")
        activating.add_argument("id", metavar="ID", help="a key of the list")
        activating.add_argument(
            "--wait", type=float, default=30, metavar="S", help="seconds to wait for hosts that do not read it yet (30)"
        )
        activating.add_argument(
            "--force", action="store_true", help="hosts that fell silent are gone for good: forget them"
        )
        rotating = action("rotate", "re-encrypt everything under the active key, then look whether everything opens")
        rotating.add_argument("--job", action="store_true", help="as a job of the workers, in the background")
        retiring = action("retire", "take a key out of the keyring that nothing is sealed with any more")
        retiring.add_argument("id", metavar="ID", help="a key of the list")
        action("doctor", "open every sealed value, and name each that does not open; look at keyring and hosts")
        saving = action("backup", "write the keyring to a new file, encrypted under a passphrase")
        saving.add_argument("file", metavar="FILE", help="where to; it must not exist")
        _add_passphrase(saving)
        restoring = action(
            "restore", "put a backup back; into a keyring that is there it adds the keys that are missing"
        )
        restoring.add_argument("file", metavar="FILE", help="what `keys backup` wrote")
        _add_passphrase(restoring)
        restoring.add_argument(
            "--replace", action="store_true", help="take the place of the present keyring, which is kept beside it"
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Know what is asked before anything is checked."""
        self._action = options.get("action", "")
        return super().execute(*args, **options)

    def check(self, *args: Any, **kwargs: Any) -> None:
        """An instance without a usable keyring is what `restore` is for."""
        if self._action != "restore":
            super().check(*args, **kwargs)
            return
        troubles = [found for found in checks.run_checks() if found.is_serious() and not found.is_silenced()]
        others = [found for found in troubles if not str(found.id).startswith("credentials.E00")]
        if others:
            raise wrong_use("\n".join(f"{found.msg} {found.hint or ''}".rstrip() for found in others))

    def handle(self, *args: Any, **options: Any) -> None:
        """Do one of the eight."""
        act: Callable[[dict[str, Any]], None] = getattr(self, f"_{options['action']}")
        try:
            act(options)
        except (KeyInUse, KeyNotReadEverywhere, BackupUnusable) as error:
            raise failed(str(error)) from None

    # --- one method each ----------------------------------------------------------------------------------
    def _list(self, options: dict[str, Any]) -> None:
        found = keys.states()
        if options["json"]:
            self.print_json([asdict(each) for each in found])
        else:
            self.print_table(
                ("KEY", "STATE", "ROWS", "MADE", "READ BY", "NOT READ BY"),
                [
                    (
                        each.id,
                        _state(each),
                        each.rows,
                        each.created,
                        ", ".join(each.read_by),
                        ", ".join(each.not_read_by),
                    )
                    for each in found
                ],
            )
        if missing := [each for each in found if not each.held]:
            self.stderr.write(
                f"The keyring does not hold {missing[0].id}: {missing[0].rows:,} values cannot be opened. Restore the "
                "keyring that belongs to this database: ./manage.py keys restore FILE"
            )

    def _add(self, options: dict[str, Any]) -> None:
        key_id = keys.add(actor=operator())
        if options["json"]:
            self.print_json({"id": key_id, "active": False, "rows": 0})
            return
        self.stdout.write(f"Added the key {key_id}. It only opens until it is activated.")
        self.stdout.write("Back the keyring up (keys backup FILE), and give it to every other host.")
        self.stdout.write(f"Then: ./manage.py keys activate {key_id}")

    def _activate(self, options: dict[str, Any]) -> None:
        keys.wait_for_readers(options["id"], options["wait"])
        forgotten = keys.activate(options["id"], forget_silent=options["force"], actor=operator())
        for name in forgotten:
            self.stderr.write(
                self.style.WARNING(
                    f"Warning: {printable(name)} was silent and is forgotten. If it comes back with an old keyring, it "
                    "cannot open what is sealed from now on."
                )
            )
        if options["json"]:
            self.print_json({"id": options["id"], "active": True, "forgotten": forgotten})
            return
        self.stdout.write(f"{options['id']} is the active key: what is written from now on is sealed with it.")
        self.stdout.write("Re-encrypt the rest: ./manage.py keys rotate")

    def _rotate(self, options: dict[str, Any]) -> None:
        if options["job"]:
            self._rotate_as_job(options["json"])
            return
        progress = _Progress(self.stderr.write, "re-encrypted")

        def checkpoint(state: Rotation) -> bool:
            progress.say(state.done, max(state.left, state.done))
            return False

        state = keys.rotate(checkpoint, actor=operator())
        found = self._examine()
        why = "" if state.is_complete else keys.why_incomplete(state)
        if options["json"]:
            self.print_json(
                {
                    "id": state.active,
                    "done": state.done,
                    "complete": state.is_complete,
                    "message": why,
                    "doctor": _as_json(found),
                }
            )
        else:
            self.stdout.write(f"{state.done:,} values were re-encrypted under {state.active}.")
            self._report(found)
            if state.is_complete:
                for each in keys.states():
                    if each.can_retire:
                        self.stdout.write(
                            f"Nothing is sealed with {each.id} any more: ./manage.py keys retire {each.id}"
                        )
        if not state.is_complete:
            raise failed(why)
        if not found.is_healthy:
            sys.exit(FAILED)

    def _rotate_as_job(self, as_json: bool) -> None:
        keys.require_read_everywhere()
        run = start_adhoc("key_rotation", trigger=Trigger.COMMAND)
        if as_json:
            self.print_json({"run": run.pk})
        else:
            self.stdout.write(f"Run {run.pk} re-encrypts everything; its page shows how far it is.")

    def _retire(self, options: dict[str, Any]) -> None:
        keys.retire(options["id"], actor=operator())
        if options["json"]:
            self.print_json({"id": options["id"], "retired": True})
            return
        self.stdout.write(f"{options['id']} is out of the keyring.")
        self.stdout.write("Keep the backup of the keyring as long as you keep backups of the database from before.")

    def _doctor(self, options: dict[str, Any]) -> None:
        found = self._examine()
        if options["json"]:
            self.print_json(_as_json(found))
        else:
            self._report(found)
        if not found.is_healthy:
            sys.exit(FAILED)

    def _backup(self, options: dict[str, Any]) -> None:
        passphrase = _passphrase(options, twice=True)
        ids = keys.back_up(Path(options["file"]), passphrase, actor=operator())
        if options["json"]:
            self.print_json({"file": options["file"], "keys": ids})
            return
        self.stdout.write(printable(f"{options['file']} holds {', '.join(ids)}, encrypted under the passphrase."))
        self.stdout.write("Keep it apart from the backups of the database, and the passphrase apart from both.")

    def _restore(self, options: dict[str, Any]) -> None:
        data = read_input(options["file"], keyring_backup.MAX_BYTES)
        restored = keys.restore(data, _passphrase(options, twice=False), replace=options["replace"])
        try:
            with transaction.atomic():
                audit.record("key.restored", actor=operator(), what=restored.what, keys=list(restored.added))
        except (DatabaseError, CredentialsError) as error:
            # A keyring is restored before its database, too.
            self.stderr.write(self.style.WARNING(printable(f"Warning: this could not be recorded ({error}).")))
        if options["json"]:
            kept = str(restored.kept) if restored.kept else None
            self.print_json({"what": restored.what, "keys": list(restored.added), "kept": kept})
            return
        words = {
            "created": f"The keyring is back, with {', '.join(restored.added)}.",
            "merged": f"Added to the keyring: {', '.join(restored.added) or 'nothing, it had them all'}.",
            "replaced": f"The keyring was replaced; the one before lies at {restored.kept}.",
        }
        self.stdout.write(printable(words[restored.what]))
        self.stdout.write("Look whether everything opens: ./manage.py keys doctor")

    def _examine(self) -> doctor.Findings:
        progress = _Progress(self.stderr.write, "opened")
        return doctor.examine(lambda findings, count: progress.say(findings.total, count), actor=operator())

    # --- reports ------------------------------------------------------------------------------------------
    def _report(self, found: doctor.Findings) -> None:
        for bad in found.bad[:_MOST_NAMED]:
            self.stdout.write(printable(str(bad)))
        if len(found.bad) > _MOST_NAMED:
            self.stdout.write(f"... and {len(found.bad) - _MOST_NAMED:,} more: --json names all of them.")
        for trouble in found.troubles:
            self.stdout.write(printable(trouble))
        for note in found.notes:
            self.stdout.write(printable(f"Note: {note}"))
        share = "100 %" if found.opened == found.total else f"{found.opened:,} of {found.total:,}"
        self.stdout.write(f"{share} of the sealed values open ({found.total:,} were looked at).")


class _Progress:
    """Says how far it is, every two seconds at the most."""

    def __init__(self, write: Callable[[str], Any], verb: str) -> None:
        self._write = write
        self._verb = verb
        self._began = time.monotonic()
        self._due = self._began + _SAY_EVERY_S

    def say(self, done: int, of: int) -> None:
        """So many are done of so many."""
        now = time.monotonic()
        if now < self._due or not done:
            return
        self._due = now + _SAY_EVERY_S
        left = (now - self._began) / done * (of - done)
        self._write(f"{self._verb} {done:,} of {of:,}, about {left:.0f} s to go")


def _state(key: keys.KeyState) -> str:
    if not key.held:
        return "MISSING"
    return "active" if key.active else "opens only"


def _as_json(found: doctor.Findings) -> dict[str, Any]:
    return {
        "healthy": found.is_healthy,
        "total": found.total,
        "opened": found.opened,
        "bad": [_bad_as_json(each) for each in found.bad],
        "troubles": found.troubles,
        "notes": found.notes,
    }


def _bad_as_json(bad: BadValue) -> dict[str, Any]:
    pk = bad.pk if isinstance(bad.pk, int) else str(bad.pk)
    return {"model": bad.model, "pk": pk, "field": bad.field, "reason": bad.reason}


def _add_passphrase(parser: Any) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--passphrase-file", metavar="FILE", help="read the passphrase from the first line of a file")
    source.add_argument("--passphrase-stdin", action="store_true", help="read the passphrase from standard input")


def _passphrase(options: Mapping[str, Any], twice: bool) -> str:
    if options["passphrase_stdin"] or options["passphrase_file"]:
        data = read_input(options["passphrase_file"] or "-", _MAX_PASSPHRASE_BYTES)
        line = data.split(b"\n", 1)[0].removesuffix(b"\r")
        try:
            found = line.decode()
        except UnicodeDecodeError:
            raise wrong_use("The passphrase is not valid UTF-8.") from None
    elif sys.stdin is not None and sys.stdin.isatty():
        try:
            found = getpass.getpass("Passphrase: ")
            if twice and found != getpass.getpass("Once more: "):
                raise wrong_use("The two entries differ; nothing was written.")
        except EOFError:
            found = ""
    else:
        raise wrong_use("Give the passphrase: --passphrase-stdin, or --passphrase-file FILE. It is never an argument.")
    if not found:
        raise wrong_use("The passphrase is empty.")
    return found
