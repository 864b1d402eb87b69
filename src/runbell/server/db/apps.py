from django.apps import AppConfig


class RunbellConfig(AppConfig):
    """The one Django app with tables, and the one migration chain."""

    name = "runbell.server.db"
    label = "runbell"
    verbose_name = "Runbell"
