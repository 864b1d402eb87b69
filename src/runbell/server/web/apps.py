from django.apps import AppConfig


class WebConfig(AppConfig):
    """Templates, static files and their tags; no tables."""

    name = "runbell.server.web"
    label = "runbell_web"
    verbose_name = "Runbell pages"
