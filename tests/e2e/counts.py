"""What was promised and what came of it. What arrived is counted at the sink, by run and address, and never from our own tables."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from email.utils import parseaddr
from pathlib import Path

Address = tuple[str, str]  # the run's id as its messages say it, and the recipient


@dataclass(frozen=True)
class Counts:
    """`repeated` beyond the first of each; `in_flight`: claimed at the kills, of which each may come once more."""

    accepted: int
    sent: int
    dead: int
    lost: int
    repeated: int
    in_flight: int

    def __str__(self) -> str:
        numbers = {name: f"{number:,}" for name, number in asdict(self).items()}
        return "accepted {accepted}, sent {sent}, dead {dead}, lost {lost}, repeated {repeated} (in flight at kills: {in_flight})".format(
            **numbers
        )


Count = Callable[[Counts], None]  # puts them into the closing line


def total(counts: Iterable[Counts]) -> Counts:
    found = list(counts)
    return Counts(*(sum(getattr(each, field.name) for each in found) for field in fields(Counts)))


@dataclass(frozen=True)
class Mails:
    """What the mail sink has on record: the Message-IDs of each address."""

    ids: dict[Address, list[str]]

    @property
    def repeated(self) -> int:
        return sum(len(ids) - 1 for ids in self.ids.values())

    def against(self, expected: set[Address], *, dead: int = 0, in_flight: int = 0) -> Counts:
        lost = len(expected - self.ids.keys()) - dead
        return Counts(len(expected), len(expected & self.ids.keys()), dead, lost, self.repeated, in_flight)

    def assert_told_apart(self) -> None:
        """A repeat has the Message-ID of its first, and no two messages share one."""
        assert {address for address, ids in self.ids.items() if len(set(ids)) > 1} == set()
        assert len({ids[0] for ids in self.ids.values()}) == len(self.ids)


def mails_in(record: Path) -> Mails:
    """Mails about runs. A line that is being written does not count yet."""
    ids: dict[Address, list[str]] = defaultdict(list)
    whole = record.read_text().rpartition("\n")[0] if record.exists() else ""
    for mail in map(json.loads, whole.splitlines()):
        if mail["run"]:
            ids[mail["run"], parseaddr(mail["to"])[1]].append(mail["message_id"])
    return Mails(ids)


def expected(runs: Iterable[int], recipients: Iterable[str]) -> set[Address]:
    addresses = list(recipients)
    return {(str(run), address) for run in runs for address in addresses}
