"""The addresses of the analytics; to be included before those of the admin."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from netraven_site.analytics import views

app_name = "analytics"
urlpatterns = [
    path("", admin.site.admin_view(views.rates_page), name="rates"),
    path("advice/", admin.site.admin_view(views.advice_page), name="advice"),
    path("advice/apply/", admin.site.admin_view(views.apply_view), name="apply"),
    path("advice/<int:number>/undo/", admin.site.admin_view(views.undo_view), name="undo"),
    path("coverage/", admin.site.admin_view(views.coverage_page), name="coverage"),
    path("no-login/", admin.site.admin_view(views.loginless_page), name="loginless"),
]
