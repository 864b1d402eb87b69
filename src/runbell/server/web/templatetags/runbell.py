"""How pages draw outcomes, bars, times and reasons; the same words as the mails."""

from datetime import datetime, timedelta
from urllib.parse import urlencode

from django import template
from django.template import Context
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, gettext_lazy, pgettext_lazy

from runbell.core.because import Because
from runbell.core.permissions import Role
from runbell.messages.message import Line, Moment, Reader, Span
from runbell.messages.reasons import rang as rang_sentence
from runbell.messages.reasons import reason as sentence
from runbell.messages.wording import piece_text
from runbell.messages.wording import plain as plain_text
from runbell.server.services.pages import RunLine
from runbell.server.web import devices
from runbell.server.web.bars import Bar, chart_of, row_of, tally
from runbell.server.web.roles import ROLES

register = template.Library()

OUTCOMES = {
    "succeeded": ("ok", pgettext_lazy("run", "Succeeded")),
    "warned": ("warn", pgettext_lazy("run", "Warned")),
    "failed": ("fail", pgettext_lazy("run", "Failed")),
    "cancelled": ("stop", pgettext_lazy("run", "Canceled")),
    "": ("run", pgettext_lazy("run", "Running")),
}
CHOICES = {
    "succeeded": gettext_lazy("Succeeds"),
    "warned": gettext_lazy("Warns"),
    "failed": gettext_lazy("Fails"),
    "cancelled": gettext_lazy("Is canceled"),
}
COUNTED = {
    "succeeded": pgettext_lazy("after a number", "succeeded"),
    "warned": pgettext_lazy("after a number", "warned"),
    "failed": pgettext_lazy("after a number", "failed"),
    "cancelled": pgettext_lazy("after a number", "canceled"),
    "": pgettext_lazy("after a number", "running"),
}
HEADS = {
    "succeeded": pgettext_lazy("column head, with soft hyphens", "Succeeds"),
    "warned": pgettext_lazy("column head, with soft hyphens", "Warns"),
    "failed": pgettext_lazy("column head, with soft hyphens", "Fails"),
    "cancelled": pgettext_lazy("column head, with soft hyphens", "Is canceled"),
}
STATES = {
    "queued": ("", "send", gettext_lazy("Sending")),
    "sending": ("", "send", gettext_lazy("Sending")),
    "waiting": ("late", "clock", gettext_lazy("Trying again")),
    "sent": ("good", "check", gettext_lazy("Sent")),
    "dead": ("dead", "dead", gettext_lazy("Dead")),
    "suppressed": ("", "bell-off", gettext_lazy("Not sent")),
    "folded": ("good", "check", gettext_lazy("Sent in a digest")),
}
IN_SLACK = {"sent": gettext_lazy("Posted in Slack"), "folded": gettext_lazy("Posted in a digest"), "suppressed": gettext_lazy("Not posted")}
_RUNNING = SafeString(
    '<circle cx="8" cy="8" r="6.1" fill="none" stroke="var(--line-strong)" stroke-width="1.8"/>'
    '<path class="arc" d="M8 1.9A6.1 6.1 0 0 1 14.1 8" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round"/>'
)


def _reader() -> Reader:
    return Reader(get_language() or "en", timezone.get_current_timezone_name())


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    named = format_html('role="img" aria-label="{}"', label) if label else SafeString('aria-hidden="true"')
    return format_html('<svg class="icon" {}><use href="#i-{}"/></svg>', named, name)


@register.simple_tag(takes_context=True)
def choose_url(context: Context, environment: int | None = None, search: str = "") -> str:
    """Where the reader chooses who hears: the page of e-mail notifications, at this environment and job."""
    asked = {name: value for name, value in (("env", environment), ("q", search)) if value}
    page = reverse("email_notifications", args=[context["frame"].account_id])
    return f"{page}?{urlencode(asked)}" if asked else page


@register.simple_tag(takes_context=True)
def drop(context: Context, name: str) -> str:
    """This page without one of its filters, from the start."""
    query = context["request"].GET.copy()
    for other in (name, "before", "from", "open"):
        query.pop(other, None)
    return f"?{query.urlencode()}"


@register.simple_tag(takes_context=True)
def side_link(context: Context, name: str, icon_name: str, label: str) -> SafeString:
    """An entry of the settings' side navigation; the page that is open says `side=<its URL name>`."""
    current = SafeString(' aria-current="page"' if context.get("side") == name else "")
    href = reverse(name, args=[context["frame"].account_id])
    return format_html('<li><a href="{}"{}>{}{}</a></li>', href, current, icon(icon_name), label)


@register.simple_tag
def mark(outcome: str, *, named: bool = True) -> SafeString:
    """The shape of an outcome. Unnamed beside its own word only."""
    short, word = OUTCOMES[outcome]
    label = format_html('role="img" aria-label="{}"', word) if named else SafeString('aria-hidden="true"')
    inner = format_html('<use href="#m-{}"/>', short) if outcome else _RUNNING
    return format_html('<svg class="mark m-{}" viewBox="0 0 16 16" {}>{}</svg>', short, label, inner)


@register.simple_tag
def outcome(word: str) -> SafeString:
    """Shape and word."""
    short, said = OUTCOMES[word]
    return format_html('<span class="outcome w-{}">{}{}</span>', short, mark(word, named=False), said)


@register.simple_tag
def state(word: str, kind: str = "email") -> SafeString:
    """What became of a delivery over a channel of this kind."""
    tone, name, said = STATES[word]
    return format_html('<span class="state {}">{}{}</span>', tone, icon(name), IN_SLACK.get(word, said) if _is_slack(kind) else said)


@register.simple_tag
def way(kind: str) -> SafeString:
    """The sign of a channel, before an address."""
    return icon("hash", "Slack") if _is_slack(kind) else icon("mail", gettext("E-mail"))


@register.simple_tag
def taken(kind: str) -> str:
    """What an answer of yes means on a channel of this kind."""
    return gettext("Slack took it.") if _is_slack(kind) else gettext("Taken by the mail server, or kept in the mailbox.")


def _is_slack(kind: str) -> bool:
    return kind.startswith("slack")


@register.filter
def device(user_agent: str) -> str:
    return devices.device(user_agent)


@register.filter
def role_word(word: str) -> str:
    return str(ROLES[Role(word)])


@register.filter
def chosen(word: str) -> str:
    return str(CHOICES[word])


@register.filter
def head(word: str) -> str:
    """The same over a column, where a long word may be broken."""
    return str(HEADS[word])


@register.simple_tag
def bars(runs: tuple[RunLine, ...], usual: float | None) -> SafeString:
    """The last 30 runs, oldest first; a screen reader hears the counts."""
    return format_html(
        '<svg class="bars" viewBox="0 0 178 24" role="img" aria-label="{}">{}</svg>', counts(runs), _paths(row_of(runs, usual))
    )


def _paths(bars: list[Bar]) -> SafeString:
    """One path for each kind of rectangle: a page of 500 jobs is a third of the size that way. Numbers and our own words alone."""
    drawn: dict[str, list[str]] = {}
    for kind, x, y, width, height in (rect for bar in bars for rect in bar):
        drawn.setdefault(kind, []).append(f"M{x:g} {y:g}h{width:g}v{height:g}h-{width:g}z")
    return SafeString("".join(f'<path class="{kind}" d="{"".join(parts)}"/>' for kind, parts in drawn.items()))


@register.simple_tag
def chart(runs: tuple[RunLine, ...], usual: float | None, base: str) -> SafeString:
    """The same at 120 px, each bar a link to ``<base><run id>``. The table below says it in words, so this is hidden from readers."""
    drawn = format_html_join("", '<a href="{}" tabindex="-1"><title>{}</title>{}</a>', _links(runs, usual, base))
    line = SafeString('<line class="usual" x1="0" x2="709" y1="60" y2="60"/>' if usual else "")
    return format_html('<svg class="chart" viewBox="0 0 709 120" preserveAspectRatio="none" aria-hidden="true">{}{}</svg>', drawn, line)


def _links(runs: tuple[RunLine, ...], usual: float | None, base: str) -> list[tuple[str, str, SafeString]]:
    drawn = chart_of(runs, usual)[-len(runs) :] if runs else []
    return [(f"{base}{run.id}", _title(run), _rects(bar)) for run, bar in zip(runs, drawn, strict=True)]


def _title(run: RunLine) -> str:
    parts = [moment(run.started_at, short=True), str(OUTCOMES[run.outcome][1]), took(run.seconds)]
    return ", ".join(filter(None, parts))


def _rects(bar: Bar) -> SafeString:
    return format_html_join("", '<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>', bar)


@register.filter
def counts(runs: tuple[RunLine, ...]) -> str:
    """“Last 30 runs: 28 succeeded, 2 failed”."""
    said = ", ".join(f"{n} {counted(word)}" for word, n in tally(runs).items())
    return gettext("Last runs: %(counts)s") % {"counts": said} if said else gettext("No run yet")


def counted(word: str) -> str:
    return str(COUNTED[word])


@register.filter
def tallied(runs: tuple[RunLine, ...]) -> list[tuple[str, str]]:
    """Pairs of an outcome and its count in words, for legends."""
    return [(word, f"{n} {counted(word)}") for word, n in tally(runs).items()]


@register.filter
def took(seconds: float | None) -> str:
    return piece_text(Span(seconds), _reader()) if seconds is not None else ""


@register.filter
def roughly(seconds: float | None) -> str:
    return piece_text(Span(seconds, is_rough=True), _reader()) if seconds is not None else ""


@register.filter
def moment(at: datetime | None, short: bool = False) -> str:
    return piece_text(Moment(at, is_short=short), _reader()) if at else ""


@register.simple_tag
def when(at: datetime | None) -> SafeString | str:
    """A point in time to the minute; the full time is in the title and for machines."""
    if at is None:
        return ""
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), moment(at), moment(at, short=True))


@register.simple_tag
def ago(at: datetime) -> SafeString:
    """“7 h ago”."""
    passed = max(timezone.now() - at, timedelta()).total_seconds()
    said = gettext("%(span)s ago") % {"span": roughly(passed)} if passed >= 60 else gettext("just now")
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), moment(at), said)


@register.filter
def said(line: Line) -> str:
    """A line of a message as text."""
    return plain_text(line, _reader())


@register.filter
def rang(because: Because) -> str:
    return rang_sentence(because, get_language() or "en")


@register.filter
def reason(because: Because | None) -> str:
    return sentence(because, get_language() or "en") if because else ""
