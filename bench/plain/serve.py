"""`python -m bench.plain.serve PORT TOKEN RECIPIENTS`: makes the tables and serves the view, with as many threads as Runbell has."""

import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.plain.settings"

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
THREADS = 4


def fill(token: str, recipients: int) -> None:
    from django.db import connection

    from bench.plain.models import Delivery, Node, Recipient, Run, Sender, Step

    with connection.schema_editor() as editor:
        for model in (Sender, Run, Step, Node, Recipient, Delivery):
            editor.create_model(model)
    Sender.objects.create(token=token)
    Recipient.objects.bulk_create(Recipient(address=f"grace{number}@example.com") for number in range(recipients))
    connection.close()


if __name__ == "__main__":
    from granian import Granian
    from granian.constants import Interfaces

    port, token, recipients = sys.argv[1:]
    fill(token, int(recipients))
    Granian(
        "bench.plain.serve:application",
        address="127.0.0.1",
        port=int(port),
        interface=Interfaces.WSGI,
        blocking_threads=THREADS,
        websockets=False,
    ).serve()
