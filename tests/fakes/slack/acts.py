"""What people do in Slack, and what Slack then tells the app, where it has an events URL. With none, the app has to find out."""

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.slack import events, oauth
from tests.fakes.slack.events import Event
from tests.fakes.slack.state import State
from tests.fakes.slack.world import App, Channel, Installation, Person, Workspace


@dataclass(eq=False)
class Acts(State):
    """Each act returns once the endpoint has answered; `sent` has the answers."""

    sent: list[Event] = field(default_factory=list)

    def send(self, installation: Installation, event: dict[str, Any], *, secret: str = "", age: float = 0) -> None:
        """`secret` and `age` for events that should be refused."""
        app, now = installation.app, self.now
        if app.events_url:
            body = events.wrapped(installation, event, now)
            self.sent.append(events.send(app.events_url, secret or app.signing_secret, body, int(now - age)))

    def send_again(self, event: Event, number: int = 1, app: App | None = None) -> Event:
        """The same event, as Slack repeats it when the answer was late or bad."""
        app = app or self.app
        self.sent.append(events.send(app.events_url, app.signing_secret, event.body, int(self.now), (number, "http_timeout")))
        return self.sent[-1]

    def verify_url(self, app: App | None = None) -> bool:
        """What happens when somebody enters the events URL in the app's settings: the challenge must come back."""
        app, challenge = app or self.app, secrets.token_urlsafe(16)
        body = json.dumps({"token": "none", "type": "url_verification", "challenge": challenge}).encode()
        self.sent.append(events.send(app.events_url, app.signing_secret, body, int(self.now)))
        return self.sent[-1].status == 200 and challenge in self.sent[-1].answer

    def _tell(self, team: Workspace, event: dict[str, Any]) -> None:
        for installation in list(team.installations.values()):
            self.send(installation, event)

    def _tell_of(self, channel: Channel, kind: str, **more: Any) -> None:
        self._tell(self.team_of(channel), {"type": kind, "channel": channel.id, **more})

    # The app.

    def uninstall(self, team: Workspace, app: App | None = None) -> None:
        """Somebody removes the app from the workspace."""
        self._end(team, app or self.app, "account_inactive")

    def revoke(self, team: Workspace, app: App | None = None) -> None:
        """The token alone is revoked: Slack says so, and nothing of an uninstall."""
        installation = team.installations[(app or self.app).id]
        with self.lock:
            oauth.end_installation(self, installation, "token_revoked")
            self.outgoing.clear()
        self.send(installation, events.tokens_revoked(installation))

    def _end(self, team: Workspace, app: App, word: str) -> None:
        with self.lock:
            oauth.end_installation(self, team.installations[app.id], word)
        self.flush()

    def flush(self) -> None:
        """Tells of installations that ended."""
        with self.lock:
            ended, self.outgoing[:] = list(self.outgoing), []
        for installation in ended:
            self.send(installation, events.tokens_revoked(installation))
            self.send(installation, {"type": "app_uninstalled"})

    # Channels.

    def archive(self, channel: Channel) -> None:
        channel.is_archived = True
        self._tell_of(channel, "channel_archive", user=self._somebody(channel))

    def unarchive(self, channel: Channel) -> None:
        channel.is_archived = False
        self._tell_of(channel, "channel_unarchive", user=self._somebody(channel))

    def rename(self, channel: Channel, name: str) -> None:
        channel.previous_names.insert(0, channel.name)
        channel.name = name
        self._tell(self.team_of(channel), {"type": "channel_rename", "channel": {"id": channel.id, "name": name, "created": 1700000000}})

    def delete(self, channel: Channel) -> None:
        team = self.team_of(channel)
        del team.channels[channel.id]
        self._tell(team, {"type": "channel_deleted", "channel": channel.id})

    def make_private(self, channel: Channel) -> None:
        """Slack tells an app that is not in the channel nothing: from now on it is not found."""
        channel.is_private = True

    def restrict(self, channel: Channel, word: str = "restricted_action") -> None:
        """Nobody tells the app; posting says so."""
        channel.refuses = word

    def _somebody(self, channel: Channel) -> str:
        return next(iter(self.team_of(channel).people), "")

    # People.

    def rank(self, person: Person, rank: str) -> None:
        person.rank = rank
        self._tell_of_person(person)

    def demote(self, person: Person) -> None:
        self.rank(person, "member")

    def deactivate(self, person: Person) -> None:
        person.is_deleted = True
        self._tell_of_person(person)

    def _tell_of_person(self, person: Person) -> None:
        team = next(team for team in self.workspaces.values() if person.id in team.people)
        self._tell(team, {"type": "user_change", "user": person.facts(team), "cache_ts": int(self.now)})
