"""Room: server/db.

Lives here: tables, their migrations, claiming, the encrypted field.
May import: core, django.
May touch: the database.
Never: a decision, a message, a request.
Ask for: the models, `outbox()`.
Example file: models/runs.py
"""
