"""Every URL of the server."""

from django.urls import URLPattern, URLResolver, include, path

from runbell.server.api import admin_v2, admin_v3
from runbell.server.api.native import api

handler404 = "runbell.server.api.nowhere.not_there"
handler429 = "runbell.server.web.trouble.too_many"  # allauth asks for it
handler500 = "runbell.server.web.trouble.broken"
urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v2/", admin_v2.api.urls),  # before api/, which would answer for it
    path("api/v3/", admin_v3.api.urls),
    path("api/", api.urls),
    path("", include("runbell.server.sources.urls")),
    path("", include("runbell.server.web.urls")),
]
