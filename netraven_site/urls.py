"""The addresses of the portal."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/analytics/", include("netraven_site.analytics.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("netraven_site.api.urls")),
]
