"""Writes docs/reference/permissions.md from the table of roles, and from the tables that the tests hold to the server.

.venv/bin/python -m tools.permissions
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests import conftest as _  # noqa: F401  settings of their own, before any model is imported
from tests.server.rule_writers import PAIRS
from tests.server.walk import ROWS, Open, Row

from runbell.core.permissions import ALLOWED, SENTENCES, Action, Role, needs

PAGE = Path(__file__).parents[1] / "docs/reference/permissions.md"
ROLES = {
    Role.ACCOUNT_ADMIN: "Account admin",
    Role.NOTIFICATION_MANAGER: "Notification manager",
    Role.DEVELOPER: "Developer",
    Role.VIEWER: "Viewer",
}
YES, NO = "✓", "–"


def text() -> str:
    return "\n".join(
        [
            "# Who may do what",
            "",
            "Written by `make docs` from `core/permissions.py` and the tables that tests/server/test_walk.py and test_rule_writers.py hold to the server.",
            "",
            "A member has one role in each account. Whoever is no member is told 404, as if there were no such thing; a member without the right is",
            "told 403. A token never may more than the member it acts as, and only what its own permissions cover.",
            "",
            "## Actions",
            "",
            *_table(["Action", *ROLES.values(), "Token needs"], _actions()),
            "",
            "## Rules: whose may be written by whom",
            "",
            *_table(["Request", "For", *ROLES.values()], _writers()),
            "",
            "## URLs",
            "",
            *_table(["URL", "Methods", *ROLES.values(), "Signed out"], _urls()),
            "",
        ]
    )


def _table(heads: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _mark(is_so: bool) -> str:
    return YES if is_so else NO


def _actions() -> Iterator[list[str]]:
    for action in Action:
        yield [SENTENCES[action], *(_mark(action in ALLOWED[role]) for role in ROLES), f"`{needs(action)}`"]


def _writers() -> Iterator[list[str]]:
    for writer, whose in PAIRS:
        yield [writer.label, whose, *(_mark(writer.may(role, whose)) for role in ROLES)]


def _urls() -> Iterator[list[str]]:
    for row in ROWS:
        methods = [method for method, status in row.methods.items() if status != 404]  # 404 for everybody is no door
        if methods:
            roles = [_mark(_is_open(row) or row.status(role, methods[0]) == row.methods[methods[0]]) for role in ROLES]
            signed_out = _mark(row.who in (Open.EVERYBODY, Open.VISITORS))
            yield [f"`/{_readable(row.route)}`", ", ".join(methods), *roles, signed_out]


def _readable(route: str) -> str:
    """`a/<int:account_id>/` as `a/{account}/`; the same for what regular expressions name."""
    bare = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", re.sub(r"<\w+:(\w+?)(_id)?>", r"{\1}", route))
    return bare.replace("^", "").replace("$", "")


def _is_open(row: Row) -> bool:
    return isinstance(row.who, Open) and row.who is not Open.VISITORS


if __name__ == "__main__":
    PAGE.write_text(text())
