"""All that this Slack knows, and what tests ask and tell it."""

import json
import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.slack.faults import Fault
from tests.fakes.slack.limits import Limits
from tests.fakes.slack.world import App, Channel, Hook, Installation, Person, Token, Workspace
from tests.quiet import MARK, note

SCOPES = ("channels:read", "chat:write", "chat:write.public", "users:read", "team:read")
RUN = re.compile(r"/a/\d+/runs/(\d+)")
CODE_LIVES, TOKEN_LIVES = 600, 43_200


@dataclass(frozen=True)
class Call:
    """One request to the Web API or a webhook, in the order they came. `word`: the error, or "" for ok."""

    at: float
    method: str
    team: str
    channel: str
    args: dict[str, Any]
    status: int
    word: str
    token: str = ""


@dataclass(eq=False)
class Post:
    """A message somebody can read. `at` is a monotonic time."""

    at: float
    team: Workspace
    channel: Channel
    ts: str
    message: dict[str, Any]
    installation: Installation | None = None  # None: by a webhook

    @property
    def text(self) -> str:
        return str(self.message.get("text", ""))

    @property
    def payload(self) -> dict[str, Any]:
        """What the app wrote beside it, to know it by."""
        return dict((self.message.get("metadata") or {}).get("event_payload", {}))

    @property
    def runs(self) -> list[int]:
        """The runs it links to: one, or in a digest many."""
        return sorted({int(number) for number in RUN.findall(json.dumps(self.message))})


@dataclass(eq=False)
class Grant:
    """What somebody allowed; its code works once, for ten minutes."""

    app: App
    team: Workspace
    person: Person
    scopes: tuple[str, ...]
    redirect_uri: str
    expires_at: float
    is_org_wide: bool = False
    is_used: bool = False


@dataclass(eq=False)
class State:
    """`scale` shrinks the limits' times, as RUNBELL_TIME_SCALE does Runbell's; `page_size` is the most that conversations.list gives."""

    scale: float = 1
    page_size: int = 1000
    lock: threading.RLock = field(default_factory=threading.RLock)
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    apps: dict[str, App] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    refreshers: dict[str, Installation] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    hooks: dict[str, Hook] = field(default_factory=dict)
    sessions: dict[str, list[tuple[Workspace, Person]]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    outgoing: list[Installation] = field(default_factory=list)  # ended, and the app was not told yet
    _posts: list[Post] = field(default_factory=list)
    _shift: float = 0
    _last_ts: int = 0

    def __post_init__(self) -> None:
        self.limits = Limits(self.scale)
        self.news = threading.Condition(self.lock)
        self.ended = threading.Event()
        self.app = self.add_app()

    # What there is.

    def add_app(self, **fields: Any) -> App:
        app = App(**fields)
        self.apps[app.client_id] = app
        return app

    def add_workspace(self, name: str, domain: str = "", enterprise: str = "") -> Workspace:
        team = Workspace(name, domain or name.lower().replace(" ", "-"), enterprise)
        self.workspaces[team.id] = team
        return team

    def add_hook(self, team: Workspace, channel: Channel) -> Hook:
        hook = Hook(team, channel, f"/services/{team.id}/B{secrets.token_hex(5).upper()}/{MARK}{secrets.token_urlsafe(18)}")
        self.hooks[hook.path] = hook
        return hook

    def team_of(self, channel: Channel) -> Workspace:
        return next(team for team in self.workspaces.values() if channel.id in team.channels)

    # Time.

    @property
    def now(self) -> float:
        """Unix seconds, with what tests put the clock forward by."""
        return time.time() + self._shift

    def forward(self, *, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        self._shift += hours * 3600 + minutes * 60 + seconds

    def new_ts(self) -> str:
        """A message's id in its channel: a moment in microseconds, later than any before."""
        self._last_ts = max(self._last_ts + 1, int(self.now * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06}"

    # What was posted.

    @property
    def posts(self) -> list[Post]:
        with self.lock:
            return list(self._posts)

    def posts_in(self, channel: Channel) -> list[Post]:
        return [post for post in self.posts if post.channel is channel]

    def keep(self, post: Post) -> None:
        """On record before the client hears of it."""
        note(json.dumps(post.message), "a message in Slack")
        with self.news:
            self._posts.append(post)
            self.news.notify_all()

    def wait_for(self, count: int, channel: Channel | None = None, timeout: float = 30) -> list[Post]:
        """Until so many messages are there, in one channel or in all."""

        def found() -> list[Post]:
            return self.posts_in(channel) if channel else self.posts

        with self.news:
            if not self.news.wait_for(lambda: len(found()) >= count, timeout):
                raise AssertionError(f"{len(found())} of {count} messages after {timeout} s")
            return found()

    def called(self, method: str) -> list[Call]:
        with self.lock:
            return [call for call in self.calls if call.method == method]

    # What goes wrong on purpose. All take method, channel, team, times and skip: see Fault.

    def fault(self, fault: Fault, channel: Channel | None = None) -> Fault:
        if channel:
            fault.channel = channel.id
        self.faults.append(fault)
        return fault

    def refuse(self, word: str, channel: Channel | None = None, *, more: dict[str, Any] | None = None, **where: Any) -> Fault:
        """Answers `ok: false` with this word; of a webhook, the word alone with `status`."""
        return self.fault(Fault("refuse", word=word, more=more or {}, **{"status": 400, **where}), channel)

    def busy(self, retry_after: float, channel: Channel | None = None, **where: Any) -> Fault:
        return self.fault(Fault("busy", seconds=retry_after, **where), channel)

    def broken(self, status: int = 503, channel: Channel | None = None, **where: Any) -> Fault:
        """A page of HTML, also with status 200."""
        return self.fault(Fault("broken", status=status, **where), channel)

    def lose(self, channel: Channel | None = None, **where: Any) -> Fault:
        """The message is kept, the answer is lost."""
        return self.fault(Fault("lose", **where), channel)

    def cut(self, channel: Channel | None = None, **where: Any) -> Fault:
        """Nothing is kept, the connection is cut."""
        return self.fault(Fault("cut", **where), channel)

    def slow(self, seconds: float, channel: Channel | None = None, **where: Any) -> Fault:
        return self.fault(Fault("slow", seconds=seconds, **where), channel)

    def heal(self) -> None:
        """No more faults."""
        with self.lock:
            self.faults.clear()

    def fault_of(self, method: str, channel: str, team: str) -> Fault | None:
        with self.lock:
            return next((fault for fault in self.faults if fault.takes(method, channel, team)), None)
