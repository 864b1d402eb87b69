"""What every page shares: who looks, and the facts of the frame around the page."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from runbell.core.permissions import Action
from runbell.server.db.models import Member, User
from runbell.server.services.access import Actor, NotThere

HISTORY = 30
SEEN_GRAIN = timedelta(minutes=5)  # last seen is for people; a write with every page would cost more than most pages


@dataclass(frozen=True, slots=True)
class Frame:
    """The bar on top of every page of an account."""

    account_id: int
    account: str
    name: str
    email: str
    may: dict[str, bool]  # every action by its word: what links to show; the doors decide
    accounts: tuple[tuple[int, str], ...] = ()  # id and name of every account this person is in, by name

    @property
    def settings_url(self) -> str:
        """The first page of the settings that this member can use."""
        return "members" if self.may["manage_members"] else "email_notifications"

    @property
    def initials(self) -> str:
        return initials(self.name, self.email)


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


def initials(name: str, email: str) -> str:
    """What stands in for a picture of a person."""
    words = (name or email.partition("@")[0]).replace(".", " ").split()
    return "".join(word[0] for word in words[:2]).upper()


def actor_and_frame(user: User, account_id: int) -> tuple[Actor, Frame]:
    """One query. Raises `NotThere` for strangers."""
    mine = list(_memberships(user).select_related("account", "user").order_by("account__name", "account"))
    member = next((member for member in mine if member.account_id == account_id), None)
    if member is None:
        raise NotThere
    actor, person = Actor(member), member.user
    frame = Frame(
        account_id=account_id,
        account=member.account.name,
        name=person.name,
        email=person.email,
        may={action.value: actor.may(action) for action in Action},
        accounts=tuple((other.account_id, other.account.name) for other in mine),
    )
    return actor, frame


def seen(actor: Actor, *, now: datetime) -> None:
    """Notes that the member was here, to about five minutes. Two pages at once write once."""
    before = now - SEEN_GRAIN
    if actor.member.seen_at is None or actor.member.seen_at < before:
        Member.objects.filter(Q(seen_at=None) | Q(seen_at__lt=before), pk=actor.member.pk).update(seen_at=now)


def account_ids(user: User) -> list[int]:
    """Accounts the person belongs to, the first joined first."""
    return list(_memberships(user).order_by("pk").values_list("account", flat=True))


def _memberships(user: User) -> QuerySet[Member]:
    return Member.objects.filter(user=user, is_active=True, user__is_active=True)
