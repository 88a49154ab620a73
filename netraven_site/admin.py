"""The panels of the portal, and what the packages would put beside them."""

from __future__ import annotations

# Each package registers its own panels when its module is imported; once they are there they can be replaced.
import django.contrib.auth.admin  # noqa: F401
import django_q.admin  # noqa: F401
import taggit.admin  # noqa: F401
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django_q.models import Failure, OrmQ, Schedule, Success
from taggit.models import Tag

# Schedule's form lets anybody who may add one run any function; the others read unsigned pickles.
for model in (User, Group, Tag, Schedule, Success, Failure, OrmQ):
    if admin.site.is_registered(model):
        admin.site.unregister(model)

from netraven_site.panels import (  # noqa: E402
    asides,  # noqa: F401
    audit,  # noqa: F401
    configs,  # noqa: F401
    credentials,  # noqa: F401
    devices,  # noqa: F401
    held,  # noqa: F401
    host_keys,  # noqa: F401
    jobs,  # noqa: F401
    keys,  # noqa: F401
    limits,  # noqa: F401
    people,
    platforms,  # noqa: F401
    retention,  # noqa: F401
    runs,  # noqa: F401
    windows,  # noqa: F401
)

admin.site.register(Failure, people.FailedTaskPanel)
