"""What a person sees between “Link” and the way back: signing in where needed, the workspace, the permissions.

    /oauth/v2/authorize ──signed in──────────────────────────────> permissions ──Allow──> redirect_uri?code=…&state=…
            └─signed out─> workspace ─> e-mail and password ──────────┘   └──Cancel──> redirect_uri?error=access_denied&state=…

The query of the first page goes along to the last, in the address: nothing of it is kept here, so it does not age.
"""

import secrets
from html import escape
from urllib.parse import urlencode, urlsplit

from tests.fakes.slack import oauth
from tests.fakes.slack.look import card, hidden
from tests.fakes.slack.state import State
from tests.fakes.slack.wire import Request, Response, redirect
from tests.fakes.slack.world import App, Person, Workspace
from tests.quiet import remember

START, WORKSPACE, SIGN_IN = "/oauth/v2/authorize", "/oauth/v2/workspace", "/oauth/v2/sign-in"
COOKIE = "fake_slack"
SAYS = {
    "channels:read": "View basic information about public channels in a workspace",
    "chat:write": "Send messages as the app",
    "chat:write.public": "Send messages to channels the app is not a member of",
    "users:read": "View people in a workspace",
    "team:read": "View the name, email domain, and icon for workspaces the app is connected to",
}


def sign_in(slack: State, team: Workspace, person: Person, session: str = "") -> str:
    """The value of the cookie of a browser in which this person is signed in, beside those who were."""
    session = session or secrets.token_urlsafe(16)
    with slack.lock:
        signed_in = slack.sessions.setdefault(session, [])
        if (team, person) not in signed_in:
            signed_in.append((team, person))
    return session


def answer(slack: State, request: Request) -> Response:
    app = slack.apps.get(request.query.get("client_id", ""))
    if state := request.query.get("state"):
        remember(state)
    if trouble := _trouble(app, request):
        return card("Something went wrong when authorizing this app.", f'<p class="bad">{escape(trouble)}</p>', status=400)
    assert app
    match request.method, request.path:
        case "GET", "/oauth/v2/authorize":
            return _start(slack, request, app)
        case "POST", "/oauth/v2/authorize":
            return _end(slack, request, app)
        case _, "/oauth/v2/workspace":
            return _workspace(slack, request)
        case _:
            return _sign_in(slack, request)


def _trouble(app: App | None, request: Request) -> str:
    if not app:
        return "Invalid client_id parameter"
    if not oauth.is_way_back(app, request.query.get("redirect_uri", "")):
        return "redirect_uri did not match any configured URIs"
    if not request.query.get("scope"):
        return "Invalid scope: no scopes requested"
    return ""


def _with(path: str, query: dict[str, str], **more: str) -> str:
    return f"{path}?{urlencode({**query, **more})}"


def _signed_in(slack: State, request: Request) -> list[tuple[Workspace, Person]]:
    known = slack.sessions.get(request.cookie(COOKIE), [])
    return [(team, person) for team, person in known if not person.is_deleted]


# Signed out.


def _workspace(slack: State, request: Request) -> Response:
    """Which workspace? By the first part of its address."""
    domain = request.form.get("domain", "").strip().lower().removeprefix("https://").partition(".")[0]
    if any(team.domain == domain for team in slack.workspaces.values()):
        return redirect(_with(SIGN_IN, request.query, domain=domain))
    bad = f'<p class="bad">We couldn’t find your workspace “{escape(domain)}”.</p>' if request.method == "POST" else ""
    known = ", ".join(f"<code>{escape(team.domain)}</code>" for team in slack.workspaces.values())
    body = (
        f'<p>Enter your workspace’s Slack URL.</p>{bad}<form method="post" action="{escape(_with(WORKSPACE, request.query))}">'
        f'<label for="domain">Workspace URL</label><span class="suffix"><input id="domain" name="domain" required autofocus '
        f'placeholder="your-workspace" value="{escape(domain)}">.slack.com</span><button class="go wide">Continue</button></form>'
        f'<p class="hint">In this fake there are: {known}</p>'
    )
    return card("Sign in to your workspace", body)


def _sign_in(slack: State, request: Request) -> Response:
    query = {name: value for name, value in request.query.items() if name != "domain"}
    team = next((team for team in slack.workspaces.values() if team.domain == request.query.get("domain")), None)
    if not team:
        return redirect(_with(WORKSPACE, query))
    email, password = request.form.get("email", "").strip().lower(), request.form.get("password", "")
    for person in team.people.values():
        if (person.email, person.password, person.is_deleted) == (email, password, False):
            session = sign_in(slack, team, person, request.cookie(COOKIE))
            return redirect(_with(START, {**query, "team": team.id}), Set_Cookie=f"{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax")
    return card(f"Sign in to {team.name}", _password_form(request, team, email))


def _password_form(request: Request, team: Workspace, email: str) -> str:
    bad = '<p class="bad">Sorry, you entered an incorrect email address or password.</p>' if request.method == "POST" else ""
    known = "".join(
        f"<li>{escape(person.email)} / {escape(person.password)} ({person.rank.replace('_', ' ')})</li>" for person in team.people.values()
    )
    return (
        f'<p class="soft">{escape(team.domain)}.slack.com</p>{bad}<form method="post" action="{escape(_with(SIGN_IN, request.query))}">'
        f'<label for="email">Email address</label><input id="email" name="email" type="email" required autofocus value="{escape(email)}">'
        f'<label for="password">Password</label><input id="password" name="password" type="password" required>'
        f'<button class="go wide">Sign In</button></form><div class="hint">In this fake there are:<ul>{known}</ul></div>'
    )


# Signed in.


def _start(slack: State, request: Request, app: App) -> Response:
    signed_in = _signed_in(slack, request)
    if not signed_in:
        return redirect(_with(WORKSPACE, request.query))
    wanted = request.query.get("team", "")
    places = [(team, person) for team, person in signed_in if wanted in (team.id, team.enterprise)]
    team, person = (places or signed_in)[0]
    return _permissions(request, app, signed_in, team, person, is_org_wide=bool(wanted) and wanted == team.enterprise)


def _permissions(
    request: Request, app: App, signed_in: list[tuple[Workspace, Person]], team: Workspace, person: Person, *, is_org_wide: bool
) -> Response:
    above = _switch(request, signed_in, team.enterprise if is_org_wide else team.id)
    if refusal := _refusal(app, team, person):
        return card("Something went wrong when authorizing this app.", f'<p class="bad">{escape(refusal)}</p>', above=above)
    place = f"{team.name} organization" if is_org_wide else f"{team.name} Slack workspace"
    scopes = "".join(
        f"<li><code>{escape(scope)}</code>{escape(SAYS.get(scope, 'Something this fake has no words for'))}</li>"
        for scope in request.query["scope"].split(",")
    )
    back = urlsplit(request.query["redirect_uri"]).netloc
    body = (
        f'<p class="soft">Signed in as {escape(person.email)}</p><p><strong>What will {escape(app.name)} be able to do?</strong></p>'
        f'<ul class="scopes">{scopes}</ul><form method="post" action="{escape(_with(START, request.query, team=team.id))}">'
        f"{hidden({'org': '1'} if is_org_wide else {})}"
        '<div class="buttons"><button name="choice" value="cancel">Cancel</button><button class="go" name="choice" value="allow">Allow</button></div>'
        f'</form><p class="soft">Afterwards you go back to {escape(back)}.</p>'
    )
    return card(f"{app.name} is requesting permission to access the {place}", body, above=above)


def _refusal(app: App, team: Workspace, person: Person) -> str:
    if not app.is_distributed and team is not app.home:
        return "invalid_team_for_non_distributed_app: this app can be installed in its own workspace alone, until its public distribution is activated."
    if person.rank in ("guest", "single"):
        return f"You are not authorized to install {app.name} on {team.name}."
    return ""


def _switch(request: Request, signed_in: list[tuple[Workspace, Person]], chosen: str) -> str:
    """Top right: the workspaces one is signed in to, and organizations they belong to. It needs no script."""
    places = [(team.id, team.name) for team, _ in signed_in]
    places += [(team.enterprise, f"{team.name} (organization)") for team, _ in signed_in if team.enterprise]
    options = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(name)}</option>' for value, name in places
    )
    kept = {name: value for name, value in request.query.items() if name != "team"}
    return (
        f'<form class="switch" method="get" action="{START}">{hidden(kept)}<label for="team">Workspace</label>'
        f'<select id="team" name="team" onchange="this.form.submit()">{options}</select><noscript><button>Switch</button></noscript>'
        f'<a href="{escape(_with(WORKSPACE, kept))}">Sign in to another workspace</a></form>'
    )


def _end(slack: State, request: Request, app: App) -> Response:
    """Allow or Cancel: back to where the person came from, with the state as it was sent."""
    back, state = request.query["redirect_uri"], request.query.get("state", "")
    place = next(((team, person) for team, person in _signed_in(slack, request) if team.id == request.query.get("team")), None)
    if not place:
        return redirect(_with(WORKSPACE, request.query))
    team, person = place
    if request.form.get("choice") != "allow" or _refusal(app, team, person):
        return redirect(_with_answer(back, error="access_denied", state=state))
    scopes = tuple(request.query["scope"].split(","))
    code = oauth.grant(
        slack, team, person, app=app, scopes=scopes, redirect_uri=back, is_org_wide=request.form.get("org") == "1" and bool(team.enterprise)
    )
    return redirect(_with_answer(back, code=code, state=state))


def _with_answer(uri: str, **answer: str) -> str:
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(answer)}"
