#!/usr/bin/env python3
"""The command line of NetRaven: `./manage.py help` lists the commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VENV_PYTHON = Path(__file__).resolve().parent / ".venv" / "bin" / "python"


def main() -> None:
    """Run a management command, in the project's own virtual environment when there is one."""
    if sys.prefix == sys.base_prefix and os.access(VENV_PYTHON, os.X_OK):
        # Someone who has not activated anything still gets the pinned packages.
        os.execv(str(VENV_PYTHON), [str(VENV_PYTHON), str(Path(__file__).resolve()), *sys.argv[1:]])  # noqa: S606
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netraven_site.settings")
    # Whatever the command is, it reads the keyring: no core files, no look into its memory for the same user.
    from jobs.engine.linux import keep_memory_private

    keep_memory_private()
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError:
        sys.exit("NetRaven's packages are not installed here. Run: make install")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        # A setting that cannot be read is the operator's to mend: a sentence, not a traceback.
        print(f"Settings: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
