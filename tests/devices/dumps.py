"""Dumps of configurations with marks: `⟦secret⟧`, and `‹one¦other›` for what differs between two dumps of one state.

In `secret_forms` stand the forms that secrets have on a platform, with the same marks, and lines like them without one.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).with_name("dumps")
PLATFORMS = sorted(path.stem for path in FOLDER.glob("*.txt"))
FORMS = Path(__file__).with_name("secret_forms")
WITH_FORMS = sorted(path.stem for path in FORMS.glob("*.txt"))

_NOISE = re.compile(r"‹([^‹›¦]*)¦([^‹›¦]*)›")
_SECRET = re.compile(r"⟦(.*?)⟧", re.DOTALL)


def marked(platform: str) -> str:
    """The dump as it stands in its file, marks and all."""
    return (FOLDER / f"{platform}.txt").read_text(encoding="utf-8")


def dump(platform: str, which: int = 0) -> str:
    """What the device printed the first (0) or second (1) time."""
    return _SECRET.sub(r"\1", _NOISE.sub(rf"\{which + 1}", marked(platform)))


def secrets(platform: str) -> set[str]:
    """The secrets in the first dump."""
    return set(_SECRET.findall(_NOISE.sub(r"\1", marked(platform))))


def redacted(platform: str, placeholder: str = "<secret>") -> str:
    """The first dump with each secret replaced, and nothing else."""
    return _SECRET.sub(placeholder, _NOISE.sub(r"\1", marked(platform)))


def forms(platform: str, placeholder: str | None = None) -> str:
    """The lines of `secret_forms`, their secrets as they are or each replaced."""
    text = (FORMS / f"{platform}.txt").read_text(encoding="utf-8")
    return _SECRET.sub(r"\1" if placeholder is None else placeholder, text)


def secrets_in_forms(platform: str) -> set[str]:
    """The secrets in those lines."""
    return set(_SECRET.findall((FORMS / f"{platform}.txt").read_text(encoding="utf-8")))
