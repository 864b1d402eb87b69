"""What the dbt Admin API knows of a destination, what is to be saved of it, and why that is refused."""

from dataclasses import dataclass, field

from runbell.core.permissions import Action
from runbell.server.db.models import Destination
from runbell.server.services.access import NotAllowed
from runbell.server.services.rules import Boxes, Choices

OF_ACCOUNT = "of_account"


class Taken(ValueError):
    """A second live setting for one recipient; in the words of the dbt platform, which its clients look for."""


class Stale(RuntimeError):
    """The setting was saved by somebody else since the caller read it."""


class HeldToProject(NotAllowed):
    """Notification settings reach over all projects of an account."""

    def __init__(self) -> None:
        super().__init__(Action.SET_ANY_NOTIFICATIONS)
        self.args = ("Not allowed: this token is held to one project; notification settings belong to the whole account.",)


@dataclass(frozen=True, slots=True)
class Setting:
    """A destination and all that it chose."""

    destination: Destination
    boxes: Boxes

    @property
    def user_id(self) -> int | None:
        """A member's setting: the recipient. A Slack channel's: its owner. Else its creator, null when that member is gone."""
        link = self.destination.link
        member = self.destination.member or (link.member if link else self.destination.created_by)
        return member.user_id if member else None

    @property
    def is_of_account(self) -> bool:
        """Of a Slack channel: API clients made it as one of the whole account. It is sent like any other."""
        return OF_ACCOUNT in self.destination.settings

    @property
    def recipient(self) -> str:
        """As the audit log names it."""
        link = self.destination.link
        if self.destination.member:
            return self.destination.member.user.email
        return f"{self.destination.address} · {link.workspace.name}" if link else self.destination.address


@dataclass(frozen=True, slots=True)
class Change:
    """What to save: rules are replaced for the outcomes that are named, the others stay."""

    jobs: Choices = field(default_factory=dict)
    environments: Choices = field(default_factory=dict)
    external_email: str | None = None  # None: stays
    user_id: int | None = None  # of an external address: its creator; None: stays
    language: str | None = None  # of an external address, empty: the account's; None: stays
    zone: str | None = None
    takes_lists: bool | None = None  # of an external address, in a storm of mails; None: stays
    slack_channel_id: str = ""
    slack_channel_name: str = ""
    is_of_account: bool = False
