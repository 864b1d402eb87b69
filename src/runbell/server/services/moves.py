"""The move of a whole installation to another database."""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from runbell.core.fields import BadField
from runbell.server.db.second import second_database
from runbell.server.services import schema
from runbell.server.services.database_copy import CannotCopy, Sum, Tell, copy_database
from runbell.server.settings import database


def move_to(url: str, *, tell: Tell) -> dict[str, Sum]:
    """Copies all there is to an empty database, and makes the schema there. Ours stays as it is. Raises `BadField`."""
    schema.demand_up_to_date()
    try:
        entry = database(url, settings.RUNBELL_HOME)
    except (ImproperlyConfigured, ValueError):
        raise BadField("--to", "must be a URL such as postgresql://user:password@host/name, or sqlite:///path/to/file") from None
    if _is_ours(entry):
        raise BadField("--to", "is the database that is used now")
    with second_database(entry) as second:
        try:
            connections[second].ensure_connection()
            if unknown := schema.unknown_migrations(second):
                raise BadField("--to", f"a newer Runbell was there: {unknown[0]} is not known to this one")
            schema.bring_up_to_date(second)
            return copy_database(DEFAULT_DB_ALIAS, second, may_replace=False, tell=tell)
        except CannotCopy as trouble:
            raise BadField("--to", str(trouble)) from None
        except DatabaseError as trouble:
            raise BadField("--to", f"the database there cannot be used: {' '.join(str(trouble).split())}") from None


def _is_ours(entry: dict[str, object]) -> bool:
    ours = settings.DATABASES[DEFAULT_DB_ALIAS]
    return all(str(entry.get(name, "")) == str(ours.get(name, "")) for name in ("ENGINE", "NAME", "HOST", "PORT"))
