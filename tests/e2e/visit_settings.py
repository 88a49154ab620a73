"""The settings of an instance, with a kind of job for tests more."""

from netraven_site.settings import *  # noqa: F403
from netraven_site.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.e2e.visits.VisitsConfig"]
