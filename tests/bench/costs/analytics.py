"""What the pages about credentials ask for over a large ledger: the product's own benchmark of its analytics."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tests.netraven_site.instance import REPOSITORY

HEADINGS = ("", "measured", "queries")
_ATTEMPTS = 1_000_000
_QUERIES = ": queries"


def measure() -> list[Sequence[str]]:
    """The lines of its table."""
    done = subprocess.run(
        [sys.executable, "-m", "jobs.analytics.benchmark", "--json", "--attempts", str(_ATTEMPTS)],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return lines(json.loads(done.stdout))


def lines(found: Sequence[Mapping[str, Any]]) -> list[Sequence[str]]:
    """Its rows, with the number of queries beside what it is a number of."""
    queries = {each["what"].removesuffix(_QUERIES): each["value"] for each in found if each["unit"] == "queries"}
    return [
        (
            each["what"],
            _shown(each["value"], each["unit"]),
            f"{queries[each['what']]:.0f}" if each["what"] in queries else "",
        )
        for each in found
        if each["unit"] != "queries"
    ]


def _shown(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if unit == "rows" or value >= 100 else f"{value:,.1f} {unit}"
