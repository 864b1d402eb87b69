"""Codes, tokens and their ends: https://docs.slack.dev/authentication/installing-with-oauth."""

import secrets
from typing import Any

from tests.fakes.slack.blocks import Refused
from tests.fakes.slack.state import CODE_LIVES, SCOPES, TOKEN_LIVES, Grant, State
from tests.fakes.slack.wire import Request
from tests.fakes.slack.world import App, Installation, Person, Token, Workspace
from tests.quiet import MARK


def is_way_back(app: App, uri: str) -> bool:
    """One of the app's redirect URLs, or below one. Real Slack wants https; this one also takes http on loopback."""
    if not uri.startswith(("https://", "http://127.0.0.1", "http://localhost")) or "#" in uri:
        return False
    return not app.redirect_urls or any(uri == known or uri.startswith(known.rstrip("/") + "/") for known in app.redirect_urls)


def grant(
    slack: State,
    team: Workspace,
    person: Person,
    *,
    app: App | None = None,
    scopes: tuple[str, ...] = SCOPES,
    redirect_uri: str = "",
    is_org_wide: bool = False,
) -> str:
    """The code of somebody who allowed the app."""
    code = f"{secrets.randbelow(10**12):012}.{MARK}{secrets.token_hex(32)}"
    slack.grants[code] = Grant(app or slack.app, team, person, scopes, redirect_uri, slack.now + CODE_LIVES, is_org_wide)
    return code


def access(slack: State, request: Request) -> dict[str, Any]:
    """oauth.v2.access: a code or a refresh token for an access token."""
    args = request.args
    app = _app(slack, request, args)
    match args.get("grant_type") or "authorization_code":
        case "authorization_code":
            return _exchange(slack, app, args)
        case "refresh_token":
            return _refresh(slack, app, args)
        case _:
            raise Refused("invalid_grant_type")


def _app(slack: State, request: Request, args: dict[str, Any]) -> App:
    client_id, secret = request.basic or (args.get("client_id", ""), args.get("client_secret", ""))
    app = slack.apps.get(client_id)
    if not app:
        raise Refused("invalid_client_id")
    if secret != app.client_secret:
        raise Refused("bad_client_secret")
    return app


def _exchange(slack: State, app: App, args: dict[str, Any]) -> dict[str, Any]:
    granted = slack.grants.get(args.get("code", ""))
    if not granted or granted.app is not app or granted.is_used or granted.expires_at < slack.now:
        raise Refused("invalid_code")
    if granted.redirect_uri != args.get("redirect_uri", ""):
        raise Refused("bad_redirect_uri")
    if not granted.scopes:
        raise Refused("no_scopes")
    granted.is_used = True
    installation = install(slack, granted.team, app=app, scopes=granted.scopes)
    return _installed(installation, granted) | _tokens(slack, installation)


def _installed(installation: Installation, granted: Grant) -> dict[str, Any]:
    team = granted.team
    return {
        "app_id": installation.app.id,
        "authed_user": {"id": granted.person.id},
        "scope": ",".join(installation.scopes),
        "token_type": "bot",
        "bot_user_id": installation.bot_user,
        "team": None if granted.is_org_wide else team.facts(),
        "enterprise": {"id": team.enterprise, "name": team.name} if team.enterprise else None,
        "is_enterprise_install": granted.is_org_wide,
    }


def install(slack: State, team: Workspace, *, app: App | None = None, scopes: tuple[str, ...] = SCOPES) -> Installation:
    """Scopes add up over repeated installs."""
    app = app or slack.app
    installation = team.installations.setdefault(app.id, Installation(app, team))
    installation.scopes += [scope for scope in scopes if scope not in installation.scopes]
    return installation


def _tokens(slack: State, installation: Installation) -> dict[str, Any]:
    token = live_token(slack, installation)
    if not token.expires_at:
        return {"access_token": token.text}
    refresh = f"xoxe-1-{MARK}{secrets.token_urlsafe(64)}"
    slack.refreshers[refresh] = installation
    return {"access_token": token.text, "refresh_token": refresh, "expires_in": TOKEN_LIVES}


def live_token(slack: State, installation: Installation) -> Token:
    """Without rotation the one there is; with it a new one, and of three the oldest is revoked."""
    live = [token for token in installation.tokens if not token.gone]
    if live and not installation.app.has_rotation:
        return live[-1]
    start, expires_at = ("xoxe.xoxb-1-", slack.now + TOKEN_LIVES) if installation.app.has_rotation else ("xoxb-", 0)
    token = Token(f"{start}{secrets.randbelow(10**12):012}-{MARK}{secrets.token_urlsafe(24)}", installation, expires_at)
    for old in live[:-1]:
        old.gone = "token_revoked"
    installation.tokens.append(token)
    slack.tokens[token.text] = token
    return token


def _refresh(slack: State, app: App, args: dict[str, Any]) -> dict[str, Any]:
    installation = slack.refreshers.pop(args.get("refresh_token", ""), None)
    if not installation or installation.app is not app:
        raise Refused("invalid_refresh_token")
    return {
        "app_id": app.id,
        "scope": ",".join(installation.scopes),
        "token_type": "bot",
        "bot_user_id": installation.bot_user,
        "team": installation.team.facts(),
        "enterprise": None,
        "is_enterprise_install": False,
    } | _tokens(slack, installation)


def end_token(slack: State, token: Token, word: str = "token_revoked") -> None:
    """With rotation that one alone; else the app looks uninstalled."""
    token.gone = word
    if not token.expires_at:
        end_installation(slack, token.installation, word)


def end_installation(slack: State, installation: Installation, word: str = "token_revoked") -> None:
    """Every token, the refresh tokens and the workspace's webhooks."""
    for token in installation.tokens:
        token.gone = token.gone or word
    for refresh in [text for text, owner in slack.refreshers.items() if owner is installation]:
        del slack.refreshers[refresh]
    for hook in slack.hooks.values():
        if hook.team is installation.team:
            hook.gone = (404, "no_service")
    if installation.team.installations.pop(installation.app.id, None):
        slack.outgoing.append(installation)


def uninstall(slack: State, request: Request, token: Token) -> dict[str, Any]:
    """apps.uninstall."""
    app = _app(slack, request, request.args)
    if app is not token.installation.app:
        raise Refused("client_id_token_mismatch")
    end_installation(slack, token.installation, "account_inactive")
    return {}
