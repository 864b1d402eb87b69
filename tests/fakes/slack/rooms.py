"""Pages for eyes: the workspaces, what was posted in each channel, and buttons for what people do in Slack."""

from collections import Counter
from collections.abc import Callable
from html import escape

from tests.fakes.slack import drawing
from tests.fakes.slack.acts import Acts
from tests.fakes.slack.look import card, hidden, page
from tests.fakes.slack.wire import Request, Response, redirect
from tests.fakes.slack.world import Channel, Person, Workspace

SHOWN = 40  # channels in the side bar; the others have an address
# What is new comes by itself, every three seconds, where there is script.
LIVE = """<script>setInterval(async () => {
  const main = document.querySelector("main"), text = await (await fetch(location.href)).text();
  const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("main");
  if (fresh && fresh.innerHTML !== main.innerHTML) main.replaceWith(fresh);
}, 3000)</script>"""


def home(slack: Acts) -> Response:
    return card("Workspaces", "".join(_workspace(slack, team) for team in slack.workspaces.values()))


def _workspace(slack: Acts, team: Workspace) -> str:
    first = next((channel for channel in team.channels.values() if not channel.is_private), None)
    way_in = f'<p><a href="/channel/{first.id}">Open {escape(team.name)}</a></p>' if first else ""
    apps = [installation.app for installation in team.installations.values()]
    installed = "".join(
        f"<li>App {escape(app.name)} {_button('uninstall', 'Remove', team=team.id, app=app.client_id)}</li>" for app in apps
    )
    people = "".join(f"<li>{escape(one.email)} ({one.rank.replace('_', ' ')}) {_ranks(one)}</li>" for one in team.people.values())
    return f'<h2>{escape(team.name)}</h2>{way_in}<ul class="lines">{installed}{people}</ul>'


def _ranks(person: Person) -> str:
    if person.is_deleted:
        return "deactivated"
    to, label = ("member", "Make a member") if person.rank in ("primary_owner", "owner") else ("owner", "Make an owner")
    return _button("rank", label, person=person.id, to=to)


def channel(slack: Acts, id_: str) -> Response:
    team = next((team for team in slack.workspaces.values() if id_ in team.channels), None)
    if not team:
        return card("No such channel", '<p><a href="/">Workspaces</a></p>', status=404)
    here = team.channels[id_]
    messages = "".join(drawing.message(post) for post in slack.posts_in(here))
    body = (
        f'<div class="s-window"><nav class="s-side" aria-label="Channels"><p>{escape(team.name)}</p>{_channels(slack, team, here)}'
        f'<a href="/">Workspaces</a></nav><main><header class="s-top"><h1># {escape(here.name)}</h1>{_acts(here)}</header>'
        f"{messages or '<p class=s-empty>Nothing was posted here yet.</p>'}</main></div>{LIVE}"
    )
    return page(f"# {here.name}", body)


def _channels(slack: Acts, team: Workspace, here: Channel) -> str:
    counts = Counter(post.channel.id for post in slack.posts)
    known = [one for one in team.channels.values() if not one.is_private]
    shown = sorted({*known[:SHOWN], here, *(one for one in known if counts[one.id])}, key=lambda one: one.name)
    lines = "".join(
        f'<li><a href="/channel/{one.id}"{" aria-current=page" if one is here else ""}># {escape(one.name)}'
        f"{f' <span class=s-count>{counts[one.id]}</span>' if counts[one.id] else ''}</a></li>"
        for one in shown
    )
    return f"<ul>{lines}</ul>"


def _acts(here: Channel) -> str:
    act, label = ("unarchive", "Unarchive") if here.is_archived else ("archive", "Archive")
    return f'<div class="s-acts">{_button(act, label, channel=here.id)}{_button("delete", "Delete", channel=here.id)}</div>'


def _button(act: str, label: str, **about: str) -> str:
    return (
        f'<form method="post" action="/acts" style="display:inline">{hidden({"act": act, **about})}<button>{escape(label)}</button></form>'
    )


def act(slack: Acts, request: Request) -> Response:
    """Does it, tells the app, and goes back to where the button was."""
    form = request.form
    about_channel: dict[str, Callable[[Channel], None]] = {"archive": slack.archive, "unarchive": slack.unarchive, "delete": slack.delete}
    if form["act"] in about_channel:
        here = next(team.channels[form["channel"]] for team in slack.workspaces.values() if form["channel"] in team.channels)
        about_channel[form["act"]](here)
        return redirect("/" if form["act"] == "delete" else f"/channel/{here.id}")
    if form["act"] == "uninstall":
        slack.uninstall(slack.workspaces[form["team"]], slack.apps[form["app"]])
    else:
        slack.rank(next(team.people[form["person"]] for team in slack.workspaces.values() if form["person"] in team.people), form["to"])
    return redirect("/")
