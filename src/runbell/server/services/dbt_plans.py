"""What an import from the dbt platform would do: for each recipient the boxes to add, and what cannot come. It writes nothing.

Places are known by their ids there, else by their names; people by their e-mail addresses; Slack channels by their ids in Slack. An
import only adds: what was chosen here stays, and who unsubscribed here is left alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from runbell.channels.registry import channel
from runbell.core.dbt_settings import Box, Left, Person, Way, Wish
from runbell.core.fields import BadField, trim_name
from runbell.core.rules import Scope
from runbell.core.runs import MAX_NAME, Outcome
from runbell.server.db.models import Account, DbtPlatform, Destination, Invitation, Member, State, Unsubscription
from runbell.server.services.dbt_platforms import integration_of
from runbell.server.services.dbt_source import Source
from runbell.server.services.job_places import FORMS, Kind
from runbell.server.services.joining import address_key_of
from runbell.server.services.members import clean_email
from runbell.server.services.rules import Boxes, boxes_of
from runbell.server.services.slack_targets import SLACK
from runbell.server.services.subscriptions import Scope as Unsubscribed

EMAIL = "email"
_ABOVE = {Kind.PROJECT: "", Kind.ENVIRONMENT: "project_id", Kind.JOB: "environment_id"}
SCOPES = {Kind.JOB: Scope.JOB, Kind.ENVIRONMENT: Scope.ENVIRONMENT}

Key = tuple[Way, str]
Mine = tuple[Scope, Outcome, int]
"""A box by our ids."""


@dataclass
class Line:
    """One recipient. `member` and `destination`: what is here of them; `person`: the user there, `by`: who made the setting there.

    `boxes`: all that was chosen there, by the ids there; `adds`: those that are not here yet.
    """

    way: Way
    key: str
    address: str
    person: Person | None = None
    by: Person | None = None
    member: Member | None = None
    destination: Destination | None = None
    boxes: set[Box] = field(default_factory=set)
    adds: set[Box] = field(default_factory=set)

    @property
    def is_here(self) -> bool:
        """Whether the recipient is, chosen boxes or not."""
        return self.member is not None if self.way is Way.MEMBER else self.destination is not None


@dataclass(frozen=True, slots=True)
class Plan:
    """`here`: of each kind of place, our ids of those there that are here already."""

    source: Source
    here: Mapping[Kind, Mapping[str, int]]
    lines: tuple[Line, ...]
    left: tuple[Left, ...]

    def missing(self, kind: Kind) -> list[str]:
        """The names of the places to be made."""
        return [str(row.get("name")) for key, row in self.source.places[kind].items() if key not in self.here[kind]]


def make_plan(source: Source, account: Account) -> Plan:
    """A fixed number of queries, however much there is."""
    here = _places(source, account)
    book = _Book(source, account)
    for wish in sorted(source.wishes, key=lambda wish: (wish.way is not Way.MEMBER, len(wish.id), wish.id)):
        book.take(wish)
    over = _weigh(book.lines.values(), here, account)
    return Plan(source, here, tuple(line for line in book.lines.values() if line.boxes), (*source.left, *book.left, *over))


def identity_of(source: Source, account: Account) -> DbtPlatform | None:
    """What the places are known by: the account of the dbt platform, connected here, or once connected, or once imported from."""
    return DbtPlatform.objects.filter(account=account, url=source.url, external_id=source.external_id).first()


def _places(source: Source, account: Account) -> dict[Kind, dict[str, int]]:
    """As dbt_mirror.py finds them."""
    platform = identity_of(source, account)
    integration = integration_of(platform) if platform else ""
    here: dict[Kind, dict[str, int]] = {}
    above: Mapping[str, int] = {}
    for kind in Kind:
        form = FORMS[kind]
        rows = form.model.objects.filter(account=account, state=State.ACTIVE)
        by_id, by_name = {}, {}
        for pk, owner, name, known_as, external_id in rows.values_list("pk", form.owner, "name", "integration", "external_id"):
            if not external_id:
                by_name[owner, name] = pk
            elif known_as == integration:
                by_id[external_id] = pk
        here[kind] = {}
        for key, row in source.places[kind].items():
            owner = above.get(str(row.get(_ABOVE[kind]))) if _ABOVE[kind] else account.pk
            name = trim_name(str(row.get("name") or ""), MAX_NAME)
            if found := by_id.get(key) or by_name.pop((owner, name), None):
                here[kind][key] = found
        above = here[kind]
    return here


class _Book:
    """Settings gathered by recipient: two of one address are one."""

    def __init__(self, source: Source, account: Account) -> None:
        self.lines: dict[Key, Line] = {}
        self.left: list[Left] = []
        self._source = source
        rows = Member.objects.filter(account=account).select_related("user", "account")
        self._members = {member.user.email: member for member in rows}
        destinations = Destination.objects.filter(account=account, state=State.ACTIVE, kind__in=(EMAIL, SLACK)).defer("secret")
        self._destinations = {_key_of(row): row for row in destinations}
        self._invited = set(Invitation.objects.filter(account=account, accepted_at=None, revoked_at=None).values_list("email", flat=True))

    def take(self, wish: Wish) -> None:
        found = {Way.MEMBER: self._member, Way.EXTERNAL: self._external, Way.SLACK: self._slack}[wish.way](wish)
        if isinstance(found, Left):
            self.left.append(found)
            return
        known = self.lines.setdefault((found.way, found.key), found)
        boxes = self._still_there(wish)
        if len(boxes) < len(wish.boxes):
            self.left.append(Left(wish.id, "jobs_gone", str(len({box[2] for box in wish.boxes - boxes}))))
        known.boxes |= boxes

    def _member(self, wish: Wish) -> Line | Left:
        person = self._source.people.get(wish.to)
        if person is None:
            return Left(wish.id, "user_gone", wish.to)
        if not person.is_active:
            return Left(wish.id, "user_inactive", person.email)
        try:
            return self._line_of(clean_email(person.email), wish, person)
        except BadField:
            return Left(wish.id, "address", person.email[:100])

    def _line_of(self, email: str, wish: Wish, person: Person | None) -> Line | Left:
        member = self._members.get(email)
        if member and not (member.is_active and member.user.is_active):
            return Left(wish.id, "member_inactive", email)
        if member is None and email in self._invited:
            return Left(wish.id, "invited", email)
        destination = self._destinations.get((Way.MEMBER, str(member.pk))) if member else self._outside(email)
        return Line(Way.MEMBER, email, email, person, member=member, destination=destination)

    def _outside(self, email: str) -> Destination | None:
        """Here as an external address: it becomes the member's own."""
        return self._destinations.get((Way.EXTERNAL, address_key_of(email)))

    def _external(self, wish: Wish) -> Line | Left:
        """A member's address is the member's own, whatever it is called there."""
        try:
            clean = channel(EMAIL).clean({"address": wish.to})
        except BadField:
            return Left(wish.id, "address", wish.to[:100])
        key = clean["address_key"]
        for email in (key, clean["address"].lower()):
            if email in self._members or (Way.MEMBER, email) in self.lines:
                return self._line_of(email, wish, None)
        destination = self._destinations.get((Way.EXTERNAL, key))
        return Line(Way.EXTERNAL, key, clean["address"], by=self._source.people.get(wish.by), destination=destination)

    def _slack(self, wish: Wish) -> Line:
        name = f"#{wish.name or wish.to}"
        return Line(Way.SLACK, wish.to, name, by=self._source.people.get(wish.by), destination=self._destinations.get((Way.SLACK, wish.to)))

    def _still_there(self, wish: Wish) -> set[Box]:
        there = {scope: self._source.places[kind] for kind, scope in SCOPES.items()}
        return {box for box in wish.boxes if box[2] in there[box[0]]}


def _key_of(row: Destination) -> Key:
    if row.member_id:
        return Way.MEMBER, str(row.member_id)
    return (Way.SLACK, str(row.settings.get("channel_id"))) if row.kind == SLACK else (Way.EXTERNAL, row.address_key)


def _weigh(lines: Iterable[Line], here: Mapping[Kind, Mapping[str, int]], account: Account) -> list[Left]:
    """Which boxes are new; and of whom some do not come since they were given up here by unsubscribing."""
    ours = {scope: here[kind] for kind, scope in SCOPES.items()}
    known = boxes_of(line.destination.pk for line in lines if line.destination)
    given_up, left = _given_up(account), []
    for line in lines:
        pk = line.destination.pk if line.destination else 0
        has = set(flat(known[pk])) if pk else set()
        refused = given_up.get(pk, set())
        came = {box: (box[0], box[1], ours[box[0]].get(box[2], 0)) for box in line.boxes}
        line.adds = {box for box, mine in came.items() if mine not in has}
        if kept_out := {box for box in line.adds if came[box] in refused or (EVERYTHING in refused and not has)}:
            left.append(Left("", "unsubscribed", line.address))
            line.boxes -= kept_out
            line.adds -= kept_out
    return left


EVERYTHING: Mine = (Scope.JOB, Outcome.FAILED, -1)
"""Stands for all that an address could be told of."""


def flat(boxes: Boxes) -> Iterator[Mine]:
    for scope, choices in ((Scope.JOB, boxes.jobs), (Scope.ENVIRONMENT, boxes.environments)):
        for outcome, keys in choices.items():
            yield from ((scope, outcome, key) for key in keys)


def _given_up(account: Account) -> dict[int, set[Mine]]:
    """By destination. An unsubscribing that was undone is none."""
    rows = Unsubscription.objects.filter(destination__account=account, destination__state=State.ACTIVE, undone_at=None)
    found: dict[int, set[Mine]] = {}
    for pk, scope, rules in rows.values_list("destination", "scope", "rules"):
        gone = found.setdefault(pk, {EVERYTHING} if scope == Unsubscribed.EVERYTHING else set())
        gone |= {(Scope.JOB if job else Scope.ENVIRONMENT, Outcome(word), job or environment) for job, environment, word, _ in rules}
    return found
