"""The application that granian serves."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runbell.server.settings")

from django.conf import settings
from django.urls import get_resolver

from runbell.server import logs
from runbell.server.gateway import PATIENCE, Gateway
from runbell.server.serve import die_with  # needs the settings named above

LEAST_PATIENCE = 1.0  # seconds

die_with(os.getppid())
logs.set_up(settings.RUNBELL_LOG_LEVEL)
application = get_wsgi_application()


def most_at(path: str) -> int:
    """Artifacts alone are larger than reports and forms."""
    is_artifact = path.startswith("/api/runbell/v1/runs/")
    return max(settings.DATA_UPLOAD_MAX_MEMORY_SIZE, settings.RUNBELL_MAX_ARTIFACT if is_artifact else 0)


# However small tests make time: within a few milliseconds no body comes to a machine that is busy.
patience = max(PATIENCE * settings.RUNBELL_TIME_SCALE, LEAST_PATIENCE)
gateway = Gateway(application, threads=settings.RUNBELL_WEB_THREADS, most_at=most_at, patience=patience)

# With its views, so that the first request need not wait for them. What was imported stays: to walk through it again and again is an
# eighth of what a report costs.
get_resolver().reverse_dict  # noqa: B018
gc.collect()
gc.freeze()
