"""While servers are upgraded one by one, the version of before works on the schema of the next: a migration only adds.

What a version no longer uses is removed by a later one, and listed in `SINCE`.
"""

from collections.abc import Iterator

import pytest
from django.db import connection, models
from django.db.migrations import AddField, AddIndex, AlterField, AlterModelOptions, CreateModel, RemoveIndex
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

FIRST = "0007"  # the schema of before came whole, with the first version
HARMLESS = (CreateModel, AddIndex, RemoveIndex, AlterModelOptions)
SINCE: dict[str, str] = {  # migration: why the version of before does without
    "0010_dbt_platform": "no version was given out before it",
    "0020_job_definition": "no version was given out before it",
    "0034_fewer_indexes": "only indexes go, and of each another begins alike",
}

NULLABLE = models.TextField(null=True)


@pytest.mark.django_db
def test_the_version_of_before_works_on_the_schema_of_the_next() -> None:
    assert [
        f"{name}: {operation.describe()}" for name, operation, before in steps() if name not in SINCE and harms(operation, before)
    ] == []


def steps() -> Iterator[tuple[str, Operation, ProjectState]]:
    """Each operation, with the state it is applied to."""
    loader = MigrationLoader(connection)
    for app, name in sorted(key for key in loader.graph.nodes if key[0] == "runbell" and key[1] >= FIRST):
        state = loader.project_state((app, name), at_end=False)
        for operation in loader.get_migration(app, name).operations:
            yield name, operation, state.clone()
            operation.state_forwards(app, state)


def harms(operation: Operation, before: ProjectState) -> bool:
    if isinstance(operation, AddField):
        return not is_filled_by_the_database(operation.field)
    if isinstance(operation, AlterField):
        return narrows(before.models["runbell", operation.model_name_lower].get_field(operation.name), operation.field)
    return not isinstance(operation, HARMLESS)


def is_filled_by_the_database(field: "models.Field[object, object]") -> bool:
    """An INSERT that does not know the column works all the same. Django's own `default` is no help: the database never hears of it."""
    return field.null or field.has_db_default() or field.many_to_many is True


def narrows(old: "models.Field[object, object]", new: "models.Field[object, object]") -> bool:
    if isinstance(old, models.ForeignKey) and isinstance(new, models.ForeignKey):
        return (old.remote_field.model, old.unique, old.null) != (new.remote_field.model, new.unique, new.null)
    return old.db_type(connection) != new.db_type(connection) or (old.null and not new.null) or (new.unique and not old.unique)


@pytest.mark.parametrize(
    ("operation", "is_harm"),
    [
        (AddField("delivery", "more", NULLABLE), False),
        (AddField("delivery", "more", models.IntegerField(db_default=1)), False),
        (AddField("delivery", "more", models.IntegerField(default=1)), True),
        (AlterField("delivery", "lane", models.CharField(max_length=64, default="email")), False),
        (AlterField("delivery", "lane", models.CharField(max_length=10)), True),
        (AlterField("delivery", "payload", models.BinaryField()), True),
    ],
)
@pytest.mark.django_db
def test_the_rule_itself(operation: Operation, is_harm: bool) -> None:
    loader = MigrationLoader(connection)
    assert harms(operation, loader.project_state(("runbell", "0006_held_until"))) == is_harm
