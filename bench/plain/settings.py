"""Django's, all but the database as they come."""

from typing import Any

from runbell.server.settings import DATABASES as OURS

ENGINES = {"runbell.server.db.sqlite": "django.db.backends.sqlite3", "runbell.server.db.postgres": "django.db.backends.postgresql"}

DATABASES: dict[str, Any] = {"default": {**OURS["default"], "ENGINE": ENGINES[OURS["default"]["ENGINE"]]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["bench.plain"]
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "bench.plain.views"
USE_TZ = True
