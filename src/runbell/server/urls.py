"""Every URL of the server."""

from django.urls import URLPattern, URLResolver, path

from runbell.server.api.native import api

urlpatterns: list[URLPattern | URLResolver] = [path("api/", api.urls)]
