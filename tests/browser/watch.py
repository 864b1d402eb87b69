"""Listens to what a page does not show: the console, the content security policy, scripts that broke and requests that failed."""

from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError


@dataclass
class Watch:
    """Every test ends with `check`. What a test means to provoke it names beforehand: `watch.expect(403)`."""

    troubles: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)

    def over(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", self._broken)
        context.on("requestfailed", self._failed)
        context.on("response", self._answered)

    def expect(self, *statuses: int) -> None:
        self.expected |= set(statuses)

    def check(self) -> None:
        assert not self.troubles, "\n".join(self.troubles)

    def _console(self, message: ConsoleMessage) -> None:
        # A policy violation is an error here too. A failed load is told twice; `_answered` knows its status.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource: the server responded"):
            self.troubles.append(f"console {message.type}: {message.text} ({message.location['url']})")

    def _broken(self, error: WebError) -> None:
        self.troubles.append(f"script: {error.error.message}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a page left before its last poll was answered
            self.troubles.append(f"{request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.troubles.append(f"{response.request.method} {response.url}: {response.status}")
