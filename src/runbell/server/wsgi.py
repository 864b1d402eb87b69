"""The WSGI application that granian serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runbell.server.settings")

from django.conf import settings

from runbell.server import logs
from runbell.server.serve import die_with  # needs the settings named above

die_with(os.getppid())
logs.set_up(settings.RUNBELL_LOG_LEVEL)
application = get_wsgi_application()
