"""Concurrency limits: what is one, and what is none."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from taggit.models import Tag

from jobs.choices import LimitScope
from jobs.limiting import limited_devices, save_limit
from jobs.limits import ConcurrencyLimit
from tests.netraven_site.api_helpers import make_device

pytestmark = pytest.mark.django_db


def limit(scope: str, devices: int | None = 10, **fields: Any) -> ConcurrencyLimit:
    return save_limit(ConcurrencyLimit(), scope=scope, devices=devices, **fields)


def test_a_limit_counts_the_devices_of_its_scope() -> None:
    tag = Tag.objects.create(name="core")
    make_device("a", site="Paris", tags=("core",))
    make_device("b", site="Rome", tags=("edge",), aaa_domain="it")
    make_device("off", site="Paris", tags=("core",), enabled=False)
    found = {
        made.scope: sorted(limited_devices(made).values_list("name", flat=True))
        for made in (
            limit(LimitScope.SYSTEM),
            limit(LimitScope.SITE, site=" Paris "),
            limit(LimitScope.TAG, tag=tag),
            limit(LimitScope.DOMAIN, domain="it"),
        )
    }
    assert found == {"system": ["a", "b"], "site": ["a"], "tag": ["a"], "domain": ["b"]}


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"scope": "system", "devices": 0}, "devices", "1 device or more"),
        ({"scope": "system", "devices": None}, "devices", "1 device or more"),
        ({"scope": "site"}, "site", "Name the site"),
        ({"scope": "site", "site": "  "}, "site", "Name the site"),
        ({"scope": "tag"}, "tag", "Choose the tag"),
        ({"scope": "domain", "site": "Paris"}, "domain", "Name the AAA domain"),
        ({"scope": "planet"}, "scope", "not a valid choice"),
    ],
)
def test_what_is_no_limit_is_refused_at_its_field(fields: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        limit(**fields)
    assert says in caught.value.message_dict[field][0]
    assert not ConcurrencyLimit.objects.exists()


@pytest.mark.parametrize(
    ("scope", "fields"), [("system", {}), ("site", {"site": "Paris"}), ("domain", {"domain": "it"})]
)
def test_a_second_limit_for_the_same_is_refused(scope: str, fields: dict[str, Any]) -> None:
    first = limit(scope, **fields)
    with pytest.raises(ValidationError, match="There is a limit for this already"):
        limit(scope, **fields)
    assert save_limit(first, devices=3).devices == 3


def test_what_another_scope_would_need_is_emptied() -> None:
    made = limit(LimitScope.SITE, site="Paris")
    save_limit(made, scope=LimitScope.SYSTEM)
    made.refresh_from_db()
    assert (made.scope, made.site, made.tag) == ("system", "", None)
