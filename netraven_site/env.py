"""Typed readers for the environment and for the instance's `.env` file."""

from __future__ import annotations

import io
import os
import re
import zoneinfo
from collections.abc import Collection
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

_LINE = re.compile(r"\s*(#.*)?|(export )?[A-Za-z_][A-Za-z_0-9]*=.*")

REPOSITORY = Path(__file__).resolve().parent.parent


def instance_home() -> Path:
    """Folder that holds everything an instance owns: `.env`, the keyring and `var/`."""
    return Path(os.environ.get("NETRAVEN_HOME") or REPOSITORY).expanduser().resolve()


class Reader:
    """Reads typed variables; what the process environment says wins over `.env`."""

    def __init__(self, home: Path) -> None:
        self._env = environ.Env()
        dotenv = home / ".env"
        if dotenv.exists():
            self._env.read_env(io.StringIO(_dotenv_text(dotenv)), overwrite=False)

    def text(self, name: str, default: str = "") -> str:
        """The variable as text without surrounding space."""
        return str(self._env.str(name, default=default)).strip()

    def flag(self, name: str, default: bool = False) -> bool:
        """The variable as yes or no (`1/true/yes/on`, `0/false/no/off`)."""
        raw = self.text(name)
        if not raw:
            return default
        if raw.lower() in {"1", "true", "yes", "on"}:
            return True
        if raw.lower() in {"0", "false", "no", "off"}:
            return False
        raise ImproperlyConfigured(f"{name} is {raw!r}: write yes or no.")

    def choice(self, name: str, default: str, among: Collection[str]) -> str:
        """The variable as one of a few words."""
        value = self.text(name, default) or default
        if value not in among:
            raise ImproperlyConfigured(f"{name} is {value!r}: write one of {', '.join(among)}.")
        return value

    def time_zone(self, name: str, default: str) -> str:
        """The variable as the name of a time zone."""
        value = self.text(name, default) or default
        try:
            zoneinfo.ZoneInfo(value)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            raise ImproperlyConfigured(
                f"{name} is {value!r}: write the name of a zone, such as UTC or Europe/Berlin."
            ) from None
        return value

    def number(self, name: str, default: int, least: int = 0, most: int | None = None) -> int:
        """The variable as a whole number between `least` and `most`."""
        raw = self.text(name)
        if not raw:
            return default
        try:
            value = int(raw)
        except ValueError:
            raise ImproperlyConfigured(f"{name} is {raw!r}: write a whole number.") from None
        if value < least or (most is not None and value > most):
            bounds = f"at least {least}" if most is None else f"between {least} and {most}"
            raise ImproperlyConfigured(f"{name} is {value}: it must be {bounds}.")
        return value

    def path(self, name: str) -> Path | None:
        """The variable as the path of a file, None without one."""
        value = self.text(name)
        return Path(value).expanduser() if value else None

    def remote(self, name: str) -> str:
        """The variable as the address of a remote, which must not hold a password: addresses are shown and recorded."""
        value = self.text(name)
        if re.match(r"[a-z+]+://[^/@]*:[^/@]*@", value, re.IGNORECASE):
            raise ImproperlyConfigured(f"{name} holds a password: put it into a file, see NETRAVEN_GIT_TOKEN_FILE.")
        return value

    def words(self, name: str, default: list[str] | None = None) -> list[str]:
        """The variable as a list of comma-separated words."""
        raw = self.text(name)
        return [word.strip() for word in raw.split(",") if word.strip()] if raw else list(default or [])

    def database(self, default: Path) -> dict[str, object]:
        """`DATABASE_URL` as a Django database dictionary; without it, SQLite in the file `default`."""
        if not self.text("DATABASE_URL"):
            # Not by way of a URL, in which a folder's name may mean something else.
            return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(default)}
        # Looked at before it is parsed: the parser's own complaint would show the password.
        if self.text("DATABASE_URL").startswith(("sqlite:///", "postgresql://", "postgres://")):
            try:
                return dict(self._env.db_url("DATABASE_URL"))
            except ValueError:
                pass
        raise ImproperlyConfigured(
            "DATABASE_URL cannot be used: write sqlite:////path/to/file or postgresql://user:password@host/name."
        )


def _dotenv_text(path: Path) -> str:
    """The text of a `.env` file. Raises ImproperlyConfigured, which never quotes a line: it may hold a secret."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ImproperlyConfigured(f"{path} cannot be read ({error.strerror}): check its owner and mode.") from None
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"{path} is not UTF-8 text: write NAME=value, one a line.") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if not _LINE.fullmatch(line):
            raise ImproperlyConfigured(f"{path}, line {number}: write NAME=value, or # before a comment.")
    return text
