"""Typed readers for the environment and for the instance's `.env` file."""

from __future__ import annotations

import os
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

REPOSITORY = Path(__file__).resolve().parent.parent


def instance_home() -> Path:
    """Folder that holds everything an instance owns: `.env`, the keyring and `var/`."""
    return Path(os.environ.get("NETRAVEN_HOME") or REPOSITORY).expanduser().resolve()


class Reader:
    """Reads typed variables; what the process environment says wins over `.env`."""

    def __init__(self, home: Path) -> None:
        self._env = environ.Env()
        dotenv = home / ".env"
        if dotenv.is_file() and os.access(dotenv, os.R_OK):
            self._env.read_env(str(dotenv), overwrite=False)

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

    def words(self, name: str, default: list[str] | None = None) -> list[str]:
        """The variable as a list of comma-separated words."""
        raw = self.text(name)
        return [word.strip() for word in raw.split(",") if word.strip()] if raw else list(default or [])

    def database(self, default: str) -> dict[str, object]:
        """`DATABASE_URL` as a Django database dictionary."""
        return dict(self._env.db_url("DATABASE_URL", default=default))
