"""The client's settings: flags › environment › runbell.toml.

    setting       flag            variable                              runbell.toml
    url           --url           RUNBELL_URL                           url
    token         --token-file    RUNBELL_TOKEN, RUNBELL_TOKEN_FILE     token, token_file
    spool_dir     --spool-dir     RUNBELL_SPOOL_DIR                     spool_dir
    project       --project       RUNBELL_PROJECT                       project
    environment   --environment   RUNBELL_ENVIRONMENT                   environment
    wait          --wait          RUNBELL_WAIT                          wait
    send_artifacts  --send-artifacts  RUNBELL_SEND_ARTIFACTS            send_artifacts

A bad value is a complaint in words and reads as not given: `run` says it and goes on, the other commands stop there.
"""

import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from runbell.cli.config import variable

FILE = "runbell.toml"
KEYS = ("url", "token", "token_file", "spool_dir", "project", "environment", "wait", "send_artifacts")

KINDS: Mapping[str, tuple[str, type]] = {"wait": ("a number", float), "send_artifacts": ("true or false", bool)}
SWITCH = {"on": True, "true": True, "off": False, "false": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """`url` without a slash at the end; `url` and `token` are empty when unset. `wait` in seconds."""

    url: str
    token: str
    spool_dir: Path
    project: str = ""
    environment: str = ""
    wait: float = 0.0
    send_artifacts: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """A value, and where it was given, for complaints."""

    value: str
    source: str
    folder: Path


Layer = dict[str, Given]


def load_settings(flags: Mapping[str, object], environ: Mapping[str, str], folders: Iterable[Path]) -> tuple[Settings, list[str]]:
    """The settings and the complaints. `folders` are searched for runbell.toml, the first one found counts."""
    complaints: list[str] = []
    layers = (_flags(flags), _variables(environ), _read_table(folders, complaints))

    def given(name: str) -> Given | None:
        return next((layer[name] for layer in layers if name in layer), None)

    def text(name: str) -> str:
        found = given(name)
        return found.value if found else ""

    spool_dir = given("spool_dir")
    settings = Settings(
        url=_url(given("url"), complaints),
        token=_token(layers, complaints),
        spool_dir=_path(spool_dir) if spool_dir else default_spool_dir(environ),
        project=text("project"),
        environment=text("environment"),
        wait=_wait(given("wait"), complaints),
        send_artifacts=_switch(given("send_artifacts"), complaints),
    )
    return settings, complaints


def default_spool_dir(environ: Mapping[str, str]) -> Path:
    """In the user's state directory; in the temporary one for users without a home of their own, as in some containers."""
    state = Path(environ.get("XDG_STATE_HOME", ""))
    if state.is_absolute():
        return state / "runbell" / "spool"
    try:
        home = Path(environ.get("HOME") or "~").expanduser()
    except RuntimeError:  # a user id without a name
        home = Path()
    if home.is_absolute() and os.access(home, os.W_OK | os.X_OK):
        return home / ".local" / "state" / "runbell" / "spool"
    return Path(tempfile.gettempdir(), f"runbell-spool-{os.getuid()}")


def _flags(flags: Mapping[str, object]) -> Layer:
    given = {name: flags[name] for name in KEYS if flags.get(name) is not None}
    return {name: Given(str(value), "--" + name.replace("_", "-"), Path()) for name, value in given.items()}


def _variables(environ: Mapping[str, str]) -> Layer:
    given = {name: environ.get(variable(name), "").strip() for name in KEYS}
    return {name: Given(value, variable(name), Path()) for name, value in given.items() if value}


def _read_table(folders: Iterable[Path], complaints: list[str]) -> Layer:
    path = next((folder / FILE for folder in folders if _is_file(folder / FILE)), None)
    if path is None:
        return {}
    import tomllib  # 6 ms that most calls do not need

    try:
        values = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        complaints.append(f"{path} cannot be read: {error}")
        return {}
    return {
        key: Given(str(value), f"{key} in {path}", path.parent) for key, value in values.items() if _is_fit(path, key, value, complaints)
    }


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder we may not look into
        return False


def _is_fit(path: Path, key: str, value: object, complaints: list[str]) -> bool:
    if key not in KEYS:
        complaints.append(f"{key} in {path} is no setting; there are {', '.join(KEYS)}")
        return False
    what, kind = KINDS.get(key, ("text", str))
    is_fit = isinstance(value, (int, float) if kind is float else kind) and isinstance(value, bool) == (kind is bool)  # True is also an int
    if not is_fit:
        complaints.append(f"{key} in {path} must be {what}")
    return is_fit


def _url(given: Given | None, complaints: list[str]) -> str:
    if given is None:
        return ""
    why = url_trouble(given.value)
    if why:
        complaints.append(f"{given.source} {why}")
    return "" if why else given.value.rstrip("/")


def url_trouble(url: str) -> str:
    """Why this cannot be the server's address, or empty. Never repeats it: a password may be in it."""
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        return "must be an address like https://runbell.example.com"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine or not url.isascii() or " " in url:
        return "must be an address like https://runbell.example.com"
    if parts.username is not None:
        return "must not hold a user or password; the token goes into RUNBELL_TOKEN"
    return "must not hold a query or fragment" if parts.query or parts.fragment else ""


def _token(layers: Iterable[Layer], complaints: list[str]) -> str:
    layer = next((layer for layer in layers if "token" in layer or "token_file" in layer), {})
    token = layer.get("token") or ("token_file" in layer and _token_in(layer["token_file"], complaints))
    if not token:
        return ""
    if not (token.value.isascii() and token.value.isprintable() and " " not in token.value):
        complaints.append(f"{token.source} does not hold a token")  # its text is never shown
        return ""
    return token.value


def _token_in(file: Given, complaints: list[str]) -> Given | None:
    path = _path(file)
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        complaints.append(f"{file.source}: cannot read {path}: {getattr(error, 'strerror', None) or 'not text'}")
        return None
    if not text:
        complaints.append(f"{file.source}: {path} is empty")
        return None
    return Given(text, str(path), path.parent)


def _path(given: Given) -> Path:
    try:
        return given.folder / Path(given.value).expanduser()
    except RuntimeError:  # ~nobody
        return given.folder / given.value


def _wait(given: Given | None, complaints: list[str]) -> float:
    try:
        value = float(given.value) if given else 0.0
    except ValueError:
        value = -1.0
    if given and not 0 <= value <= 86_400:
        complaints.append(f"{given.source} must be seconds between 0 and 86400")
    return value if 0 <= value <= 86_400 else 0.0


def _switch(given: Given | None, complaints: list[str]) -> bool:
    value = SWITCH.get(given.value.lower()) if given else False
    if given and value is None:
        complaints.append(f"{given.source} must be on or off")
    return bool(value)
