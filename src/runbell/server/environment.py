"""The environment: one table of every setting, and the only readers of it."""

import os
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable. A secret can also come from a file named by `<name>_FILE`."""

    name: str
    default: str
    help: str
    is_secret: bool = False


SETTINGS = (
    Setting("RUNBELL_HOME", "", "Directory of the database, keys and locks. Default: $XDG_DATA_HOME/runbell or ~/.local/share/runbell."),
    Setting("RUNBELL_DATABASE_URL", "", "postgresql://user:password@host/name, or empty for SQLite under RUNBELL_HOME.", is_secret=True),
    Setting("RUNBELL_BIND", "127.0.0.1:8484", "Address and port the web server listens on."),
    Setting("RUNBELL_PUBLIC_URL", "", "The URL people use, for links in messages. Default: http:// and RUNBELL_BIND."),
    Setting(
        "RUNBELL_SECRET_KEY",
        "",
        "Signs sessions and links. Generated into RUNBELL_HOME when absent. Comma list: the first signs.",
        is_secret=True,
    ),
    Setting(
        "RUNBELL_ENCRYPTION_KEYS",
        "",
        "Fernet keys for secrets at rest, comma list: the first encrypts. Generated when absent.",
        is_secret=True,
    ),
    Setting(
        "RUNBELL_SMTP_URL", "", "smtp://, smtp+starttls:// or smtps://user:password@host:port. Empty: the built-in mailbox.", is_secret=True
    ),
    Setting("RUNBELL_MAIL_FROM", "Runbell <runbell@localhost>", "The From of every mail."),
    Setting("RUNBELL_LOST_RUN_AFTER", "24h", "A started run without an end fails after this time."),
    Setting("RUNBELL_MAX_AGE", "24h", "A delivery that could not be sent for this long is dead."),
    Setting("RUNBELL_KEEP_DELIVERIES", "30d", "The delivery log and the mailbox go back so far."),
    Setting("RUNBELL_KEEP_RUNS", "90d", "Runs older than this are deleted, but for the last one of each job."),
    Setting("RUNBELL_MAX_ARTIFACT", "20", "Megabytes of one artifact that a reporter may leave with a run. 0: none is kept."),
    Setting(
        "RUNBELL_DBT_ARTIFACTS",
        "off",
        "on: run_results.json and sources.json of runs of the dbt platform are kept, for the Admin API and the run's page. Or off.",
    ),
    Setting(
        "RUNBELL_METRICS_TOKEN", "", "Bearer token of /metrics. Empty: only asked from this machine, not through a proxy.", is_secret=True
    ),
    Setting("RUNBELL_CONFIRM_EXTERNAL", "off", "on: an external address gets nothing before its holder opens a link and confirms. Or off."),
    Setting(
        "RUNBELL_CONFIRM_EXTERNAL_TRUSTED",
        "pagerduty.com, teams.ms",
        "Comma list of domains, with all below them, whose addresses need no confirming.",
    ),
    Setting(
        "RUNBELL_TRUSTED_PROXIES",
        "0",
        "How many proxies stand before the server and add to X-Forwarded-For: limits then count real addresses.",
    ),
    Setting("RUNBELL_OIDC_URL", "", "Issuer of an OpenID Connect provider, for single sign-on: docs/howto/single-sign-on.md."),
    Setting("RUNBELL_OIDC_CLIENT_ID", "", "What the provider calls Runbell."),
    Setting("RUNBELL_OIDC_CLIENT_SECRET", "", "The secret of that client.", is_secret=True),
    Setting("RUNBELL_OIDC_NAME", "", "What people call it, for the button “Continue with …”; empty: single sign-on."),
    Setting(
        "RUNBELL_OIDC_CREATE",
        "off",
        "Where an unknown person with a verified address becomes a member: account id and role, as 1:viewer. Or off.",
    ),
    Setting("RUNBELL_PASSWORD_SIGN_IN", "on", "off: people sign in by single sign-on alone. Or on."),
    Setting("RUNBELL_SLACK_CLIENT_ID", "", "Client id of your Slack app, for accounts that set none of their own: docs/howto/slack.md."),
    Setting("RUNBELL_SLACK_CLIENT_SECRET", "", "The secret of that app.", is_secret=True),
    Setting("RUNBELL_SLACK_SIGNING_SECRET", "", "What that app signs its events with.", is_secret=True),
    Setting("RUNBELL_SLACK_URL", "https://slack.com", "Where people allow the app; https://slack-gov.com for GovSlack."),
    Setting("RUNBELL_SLACK_API_URL", "https://slack.com/api/", "Slack's Web API; https://slack-gov.com/api/ for GovSlack."),
    Setting("RUNBELL_SLACK_REQUIRE", "owner", "What one must be in a Slack workspace to link it: owner, admin or any."),
    Setting("RUNBELL_SLACK_DIGEST_AFTER", "10", "So many messages waiting for one Slack channel go as one that lists them. 0: never."),
    Setting(
        "RUNBELL_MAIL_DIGEST_AFTER",
        "60",
        "When more messages than this come up for one address within an hour, they go as mails that list them. 0: never.",
    ),
    Setting("RUNBELL_DBT_SETTLE", "20s", "How long a run of the dbt platform that ended waits for its details before its message goes."),
    Setting("RUNBELL_DBT_POLL", "60s", "How often the dbt platform is asked for runs of which no webhook told."),
    Setting(
        "RUNBELL_PRIVATE_HOSTS",
        "off",
        "on: hosts that members name, such as their dbt platform's, may be in private networks and on this machine. Or off.",
    ),
    Setting("RUNBELL_WEB_THREADS", "4", "Requests served at the same time."),
    Setting("RUNBELL_LOG_LEVEL", "info", "debug, info, warning or error."),
    Setting("RUNBELL_SUPPORT_CONTACT", "", "Shown wherever the way out needs someone else: an address or a URL."),
    Setting("RUNBELL_TIME_SCALE", "1", "Shrinks retry, lease and lost-run times, and how long a body may take; for tests."),
    Setting("RUNBELL_DEBUG", "0", "1 shows tracebacks in the browser; for development alone."),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def read(name: str) -> str:
    """The value of one setting: the variable, for secrets the file named by `<name>_FILE`, or the default."""
    setting = _BY_NAME[name]
    path = os.environ.get(f"{name}_FILE") if setting.is_secret else None
    if path:
        try:
            return Path(path).read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE: cannot read {path}: {error.strerror}") from None
    return os.environ.get(name, setting.default).strip()


def span(name: str) -> timedelta:
    """A time such as `90s`, `15m`, `24h` or `7d`."""
    value = read(name)
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    try:
        return timedelta(**{units[value[-1:]]: float(value[:-1])})
    except (KeyError, ValueError):
        raise ImproperlyConfigured(f"{name}: {value!r} is not a time like 90s, 15m, 24h or 7d") from None


def switch(name: str) -> bool:
    value = read(name).lower()
    if value not in ("on", "off"):
        raise ImproperlyConfigured(f"{name}: {value!r} is neither on nor off")
    return value == "on"


def choice(name: str, known: tuple[str, ...]) -> str:
    value = read(name).lower()
    if value not in known:
        raise ImproperlyConfigured(f"{name}: {value!r} is none of {', '.join(known)}")
    return value


def words(name: str) -> list[str]:
    """A comma list, in lower case."""
    return [word for part in read(name).lower().split(",") if (word := part.strip())]


def number(name: str, low: float) -> float:
    try:
        value = float(read(name))
    except ValueError:
        raise ImproperlyConfigured(f"{name}: {read(name)!r} is not a number") from None
    if value < low:
        raise ImproperlyConfigured(f"{name}: must be at least {low}")
    return value


def home() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(read("RUNBELL_HOME") or f"{base}/runbell").expanduser().absolute()


def keys(name: str, path: Path) -> list[str]:
    """At least one, the present first: out of the setting, or out of the file that stands in for it."""
    return [key.strip() for key in (read(name) or key_file(path)).split(",") if key.strip()]


def key_file(path: Path) -> str:
    """The key kept in `path`; made on first use, readable by its owner alone. Two processes starting at once agree on one."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48) if path.name == "secret_key" else _fernet_key())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()


def _fernet_key() -> str:
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()
