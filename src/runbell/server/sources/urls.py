"""URLs at which other systems tell us of runs."""

from django.urls import path

from runbell.server.sources import dbt_platform

urlpatterns = [path("sources/dbt/<int:platform_id>", dbt_platform.webhook, name="dbt_webhook")]
