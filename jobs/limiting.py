"""Concurrency limits: the one service that writes them, and what is used of them."""

from __future__ import annotations

from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db.models import QuerySet, Sum
from django.utils import timezone

from devices.models import Device
from jobs.choices import LimitScope, ShardStatus
from jobs.limits import ConcurrencyLimit, LimitUse

_FIELD_OF: Final[dict[str, str]] = {LimitScope.SITE: "site", LimitScope.TAG: "tag", LimitScope.DOMAIN: "domain"}
_SAY: Final[dict[str, str]] = {"site": "Name the site.", "tag": "Choose the tag.", "domain": "Name the AAA domain."}


def save_limit(limit: ConcurrencyLimit, **plain: Any) -> ConcurrencyLimit:
    """Make or change a limit; what its scope does not need is emptied. ValidationError names each wrong field."""
    for name, value in plain.items():
        setattr(limit, name, value)
    own = _FIELD_OF.get(limit.scope)
    limit.site = limit.site.strip() if own == "site" else ""
    limit.domain = limit.domain.strip() if own == "domain" else ""
    limit.tag = limit.tag if own == "tag" else None
    wrong: dict[str, str] = {}
    if own and not getattr(limit, own):
        wrong[own] = _SAY[own]
    if limit.devices is None or limit.devices < 1:
        wrong["devices"] = "A limit is 1 device or more. To stop a job, disable it; to rest devices, use a window."
    try:
        limit.full_clean(exclude=wrong, validate_constraints=False)
    except ValidationError as error:
        raise ValidationError({**error.message_dict, **wrong}) from error
    if wrong:
        raise ValidationError(wrong)
    same = ConcurrencyLimit.objects.filter(scope=limit.scope, site=limit.site, domain=limit.domain, tag=limit.tag)
    if same.exclude(pk=limit.pk).exists():
        raise ValidationError({own or "scope": "There is a limit for this already: change that one."})
    limit.save()
    return limit


def limited_devices(limit: ConcurrencyLimit) -> QuerySet[Device]:
    """The enabled devices that a limit counts."""
    enabled = Device.objects.filter(enabled=True)
    if limit.scope == LimitScope.SITE:
        return enabled.filter(site=limit.site)
    if limit.scope == LimitScope.TAG:
        return enabled.filter(tag_links__tag=limit.tag_id)
    if limit.scope == LimitScope.DOMAIN:
        return enabled.filter(aaa_domain=limit.domain)
    return enabled


def used_now() -> dict[str, int]:
    """Devices that are worked on now, by the key of the limit; one query."""
    held = LimitUse.objects.filter(shard__status=ShardStatus.RUNNING, shard__lease_until__gt=timezone.now())
    return dict(held.order_by().values_list("key").annotate(n=Sum("devices")))
