"""How the pages of jobs and runs draw what goes on: counts, progress, and how far something is from the usual."""

from datetime import timedelta
from urllib.parse import urlencode

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from runbell.core.rules import Scope
from runbell.server.services.home_pages import Group, Wish
from runbell.server.services.job_pages import JobLine, Origin
from runbell.server.web.templatetags.runbell import chosen, counted, roughly, took, when

register = template.Library()
Usual = tuple[float | None, float | None]
_ORDER = ("succeeded", "failed", "warned", "cancelled", "running", "")


@register.simple_tag
def group_counts(group: Group) -> str:
    """“15 jobs: 9 succeeded, 1 failed”."""
    jobs = ngettext("%(n)d job", "%(n)d jobs", group.jobs) % {"n": group.jobs}
    said = [_counted(word, n) for word in _ORDER if (n := group.counts.get(word, 0))]
    return gettext("%(jobs)s: %(counts)s") % {"jobs": jobs, "counts": ", ".join(said)}


def _counted(word: str, n: int) -> str:
    if word:
        return f"{n} {counted('' if word == 'running' else word)}"
    return ngettext("%(n)d without a run", "%(n)d without a run", n) % {"n": n}


@register.simple_tag
def progress(job: JobLine) -> SafeString:
    """How long the last run has been going, in words and as a bar; the tick is the usual duration."""
    assert job.last
    passed = max(timezone.now() - job.last.started_at, timedelta()).total_seconds()
    usual, spread = job.usual
    if not usual:
        return format_html("<p>{}</p>", gettext("Running for %(span)s") % {"span": roughly(passed)})
    over = passed - usual
    if over > (spread or 0):
        said = format_html('{}, <span class="longer">{}</span>', took(passed), _longer(over))
    else:
        said = format_html("{}", gettext("%(passed)s of usually %(usual)s") % {"passed": took(passed), "usual": took(usual)})
    return format_html("<p>{}</p>{}", said, _bar(passed, usual))


def _longer(over: float) -> str:
    return gettext("%(span)s longer than usual") % {"span": roughly(over)}


def _bar(passed: float, usual: float) -> SafeString:
    """A full rail is a quarter more than the usual, or what has passed."""
    whole = max(usual * 1.25, passed * 1.04)
    tick, done, over = (round(100 * span / whole, 1) for span in (usual, min(passed, usual), max(passed - usual, 0)))
    return format_html(
        '<svg class="progress" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="rail" width="100" height="6"/>'
        '<rect class="done" width="{}" height="6"/><rect class="over" x="{}" width="{}" height="6"/>'
        '<rect class="tick" x="{}" y="-3" width=".6" height="12"/></svg>',
        done,
        done,
        over,
        tick,
    )


@register.simple_tag
def beyond(seconds: float | None, usual: Usual) -> SafeString:
    """“+3 min”, only when it is beyond the usual spread."""
    middle, spread = usual
    if seconds is None or not middle or abs(seconds - middle) <= (spread or 0):
        return SafeString("")
    off = seconds - middle
    return format_html(' <span class="{}">{}{}</span>', "longer" if off > 0 else "faint", "+" if off > 0 else "−", roughly(abs(off)))


@register.simple_tag
def more_url(wish: Wish, group: Group) -> str:
    """The rest of an environment: the page of it alone, or what follows on that page."""
    query = {"show": wish.show, "q": wish.search, "environment": group.id}
    if wish.environment and group.after:
        query["after"] = group.after
    return "?" + urlencode({name: value for name, value in query.items() if value and value != "all"})


@register.simple_tag
def origin_line(origin: Origin, environment: str) -> SafeString:
    """“Fails, Warns: all jobs of Production, set by Ada, 24 Nov, 02:00”."""
    outcomes = ", ".join(chosen(word) for word in origin.outcomes)
    scope = gettext("this job") if origin.scope is Scope.JOB else gettext("all jobs of %(environment)s") % {"environment": environment}
    by = gettext("set by %(name)s") % {"name": origin.by} if origin.by else gettext("set")
    return format_html("{}: {}, {} {}", outcomes, scope, by, when(origin.at))
