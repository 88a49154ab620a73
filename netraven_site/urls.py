"""The addresses of the portal."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from netraven_site.security.recent import change_password

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/password_change/", admin.site.admin_view(change_password), name="password_change"),
    path("admin/analytics/", include("netraven_site.analytics.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("netraven_site.api.urls")),
]

handler400 = "netraven_site.security.errors.bad_request"
handler403 = "netraven_site.security.errors.permission_denied"
handler404 = "netraven_site.security.errors.not_found"
handler500 = "netraven_site.security.errors.server_error"
