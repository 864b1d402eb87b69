"""What every page shares: who looks, and the facts of the frame around the page."""

from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from runbell.core.permissions import Action
from runbell.server.db.models import Member, User
from runbell.server.services.access import Actor, actor_for_user

HISTORY = 30


@dataclass(frozen=True, slots=True)
class Frame:
    """The bar on top of every page of an account."""

    account_id: int
    account: str
    name: str
    email: str
    may: dict[str, bool]  # every action by its word: what links to show; the doors decide

    @property
    def settings_url(self) -> str:
        """The first page of the settings that this member can use."""
        return "mine"

    @property
    def initials(self) -> str:
        words = (self.name or self.email.partition("@")[0]).replace(".", " ").split()
        return "".join(word[0] for word in words[:2]).upper()


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in a list or a row of bars. `outcome` is empty while it runs; `seconds` None without an end."""

    id: int
    outcome: str
    started_at: datetime
    finished_at: datetime | None

    @property
    def is_running(self) -> bool:
        return not self.outcome

    @property
    def seconds(self) -> float | None:
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None


def actor_and_frame(user: User, account_id: int) -> tuple[Actor, Frame]:
    """One query. Raises `NotThere` for strangers."""
    actor = actor_for_user(user, account_id)
    person = actor.member.user
    frame = Frame(account_id, actor.member.account.name, person.name, person.email, {action.value: actor.may(action) for action in Action})
    return actor, frame


def account_ids(user: User) -> list[int]:
    """Accounts the person belongs to, the first joined first."""
    return list(Member.objects.filter(user=user, is_active=True).order_by("pk").values_list("account", flat=True))


def not_ready_because() -> str:
    """Empty when requests can be served; otherwise why not, without a name or a password in it."""
    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        is_behind = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError:
        return "the database does not answer"
    return "the database needs `runbell migrate`" if is_behind else ""
