"""`manage.py credential_report`: how logins went, who opens what, and what to change, from the ledger."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from credentials.management.output import ReportingCommand, wrong_use
from jobs.analytics.advice import LAST_RESULTS, LEAST_OPENED, LEAST_REJECTED, TROUBLES, Loginless
from jobs.analytics.ordering import LEAST_SAVED, Change, Ordering
from jobs.analytics.rates import LEAST_ANSWERED, Counts, CredentialUse, Group, credential_uses, rates
from jobs.analytics.report import Advice, advise
from jobs.analytics.rollup import not_counted, roll_up
from jobs.management import following
from jobs.rollups import Dimension

_MOST_DAYS = 366
_SHOWN = 20
_COUNT_FOR_S = 600.0
_SEARCH_FOR_S = 60.0


class Command(ReportingCommand):
    """Report from the counts; nothing is connected to and no secret is opened."""

    help = (
        "Report from the ledger of logins: rates by credential, tag, platform and site; credentials that never "
        "worked, are redundant, or stand in the wrong order; devices that nothing opens."
    )
    epilog = "exit codes: 0 reported; 2 wrong use."

    def add_arguments(self, parser: CommandParser) -> None:
        """How far back."""
        parser.add_argument("--days", type=int, default=28, metavar="N", help="the last N days (default: 28)")
        parser.add_argument("--json", action="store_true", help="report as one JSON object, without shortening")

    def handle(self, *args: Any, **options: Any) -> None:
        """Count what is not counted yet, judge, print."""
        days = options["days"]
        if not 1 <= days <= _MOST_DAYS:
            raise wrong_use(f"--days is a number between 1 and {_MOST_DAYS}.")
        if not roll_up(limit_s=_COUNT_FOR_S).is_complete:
            self.stderr.write(f"{not_counted():,} login attempts are not counted yet and not in this report.")
        uses = credential_uses(days)
        groups = {by: rates(by, days).groups for by in (Dimension.TAG, Dimension.PLATFORM, Dimension.SITE)}
        found = advise(days, search_for_s=_SEARCH_FOR_S)
        if options["json"]:
            self.print_json(_as_json(days, uses, groups, found))
            return
        self._show_rates(days, uses, groups)
        self._show_advice(found)

    # --- for people -------------------------------------------------------------------------------
    def _show_rates(self, days: int, uses: list[CredentialUse], groups: dict[Dimension, list[Group]]) -> None:
        self._title(
            f"Credentials, logins of the last {days} days (tests apart; rates from {LEAST_ANSWERED} answered logins on)"
        )
        self._table(
            [*_HEADINGS, "LAST USED", "LAST SUCCESS"],
            [[*_row(use.name, use.counts), _when(use.last_used_at), _when(use.last_success_at)] for use in uses],
        )
        for by, found in groups.items():
            self._title(f"By {by.label.lower()}")
            self._table([by.label.upper(), *_HEADINGS[1:]], [_row(group.label, group.counts) for group in found])

    def _show_advice(self, found: Advice) -> None:
        judged = found.verdicts
        self._title(f"Never worked (at least {LEAST_REJECTED} rejections, no success, present version)")
        self._table(
            ["CREDENTIAL", "REJECTED", "ON DEVICES", "MATCHES", "LAST REJECTED"],
            [
                [each.name, each.rejected, each.devices, each.matched, _when(each.last_rejected_at)]
                for each in judged.never_worked
            ],
        )
        if judged.too_few or judged.untried:
            self.stdout.write(f"Too few logins to judge: {judged.too_few}. Not tried yet: {judged.untried}.")
        self._title(f"Redundant (opens at least {LEAST_OPENED} devices, each opened by one that is tried before it)")
        self._table(
            ["CREDENTIAL", "OPENS", "INSTEAD OF IT"],
            [
                [each.name, each.devices, ", ".join(f"{name} ({count})" for name, count in each.covered_by)]
                for each in found.redundant
            ],
        )
        self._show_order(found.ordering)
        troubled = found.loginless
        self._title("Devices without a working credential")
        self._table(
            ["DEVICE", "MAY BE TRIED", "PROVEN WRONG", "WHY"],
            [[each.name, each.usable, each.rejected, TROUBLES[each.trouble].known] for each in troubled.found],
        )
        if troubled.untried:
            self.stdout.write(f"Not tried yet: {following.devices(troubled.untried)}.")

    def _show_order(self, ordering: Ordering) -> None:
        self._title(f"Order of credentials (a change must save at least {LEAST_SAVED} failed logins)")
        self.stdout.write(
            f"Replayed: {ordering.visits:,} device visits of {ordering.days:.0f} days; "
            f"{ordering.failed_now:,} failed logins under the present order. "
            f"Not decidable: {ordering.undecided:,} visits. Rejections in the ledger: {ordering.recorded:,}."
        )
        if not ordering.is_complete:
            self.stdout.write("The search for a better order was stopped before it had tried everything.")
        if not ordering.changes:
            self.stdout.write("No other order is known to be better.")
            return
        self._table(["CREDENTIAL", "FOR TAG", "PRIORITY", "BETTER"], [_change(each) for each in ordering.changes])
        self.stdout.write(
            f"This saves about {ordering.saved_a_week:.0f} failed logins a week ({ordering.saved:,} in the replay). "
            "Apply it on the page of advice, where it can be undone."
        )

    def _title(self, text: str) -> None:
        self.stdout.write(f"\n{text}")

    def _table(self, headings: list[str], rows: list[list[object]]) -> None:
        if not rows:
            self.stdout.write("None.")
            return
        self.print_table(headings, rows[:_SHOWN])
        if len(rows) > _SHOWN:
            self.stdout.write(f"... and {len(rows) - _SHOWN:,} more; --json has them all.")


_HEADINGS = ["CREDENTIAL", "ACCEPTED", "REJECTED", "UNANSWERED", "OTHER", "SUCCESS %"]


def _row(label: str, counts: Counts) -> list[object]:
    return [label, counts.accepted, counts.rejected, counts.unanswered, counts.other, counts.success_rate]


def _when(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"


def _change(change: Change) -> list[object]:
    return [change.name, change.tag_name or "-", "-" if change.before is None else change.before, change.after]


# --- for programs -----------------------------------------------------------------------------------
def _as_json(
    days: int, uses: list[CredentialUse], groups: dict[Dimension, list[Group]], found: Advice
) -> dict[str, Any]:
    ordering = found.ordering
    return {
        "days": days,
        "samples": {
            "rate": LEAST_ANSWERED,
            "never_worked": LEAST_REJECTED,
            "redundant": LEAST_OPENED,
            "order": LEAST_SAVED,
            "loginless_results": LAST_RESULTS,
        },
        "credentials": [
            {
                "credential": use.name,
                "enabled": use.enabled,
                "priority": use.priority,
                **_counts(use.counts),
                "last_used_at": _iso(use.last_used_at),
                "last_success_at": _iso(use.last_success_at),
            }
            for use in uses
        ],
        **{
            f"by_{by.value}": [{by.value: group.key, **_counts(group.counts)} for group in rows]
            for by, rows in groups.items()
        },
        "never_worked": [
            {
                "credential": each.name,
                "rejected": each.rejected,
                "devices": each.devices,
                "matched": each.matched,
                "last_rejected_at": _iso(each.last_rejected_at),
            }
            for each in found.verdicts.never_worked
        ],
        "too_few_logins": found.verdicts.too_few,
        "not_tried": found.verdicts.untried,
        "redundant": [
            {"credential": each.name, "devices": each.devices, "covered_by": dict(each.covered_by)}
            for each in found.redundant
        ],
        "order": {
            "changes": [
                {"credential": each.name, "tag": each.tag_name or None, "before": each.before, "after": each.after}
                for each in ordering.changes
            ],
            "days": ordering.days,
            "visits": ordering.visits,
            "undecided": ordering.undecided,
            "recorded_rejections": ordering.recorded,
            "failed_now": ordering.failed_now,
            "failed_then": ordering.failed_then,
            "saved_a_week": round(ordering.saved_a_week, 1),
            "is_complete": ordering.is_complete,
            "avoided": [asdict(each) for each in ordering.avoided],
        },
        "loginless": [_loginless(each) for each in found.loginless.found],
        "devices_not_tried": found.loginless.untried,
    }


def _counts(counts: Counts) -> dict[str, Any]:
    rate = counts.success_rate
    return {**counts._asdict(), "success_rate": None if rate is None else round(rate, 2)}


def _loginless(each: Loginless) -> dict[str, Any]:
    return {"device": each.name, "why": each.trouble.value, "usable": each.usable, "rejected": each.rejected}


def _iso(moment: Any) -> str | None:
    return moment.isoformat() if moment else None
