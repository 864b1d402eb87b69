from pathlib import Path

import pytest

from runbell.cli.settings import Settings, default_spool_dir, load_settings, url_trouble

TOKEN = "rb_12345678_abcdefghijklmnopqrstuvwxyz012345"


def load(folder: Path, *, flags: dict[str, object] | None = None, environ: dict[str, str] | None = None) -> tuple[Settings, list[str]]:
    return load_settings(flags or {}, {"XDG_STATE_HOME": "/state", **(environ or {})}, [folder])


def write(folder: Path, text: str) -> Path:
    path = folder / "runbell.toml"
    path.write_text(text)
    return path


def test_nothing_is_given(tmp_path: Path) -> None:
    assert load(tmp_path) == (Settings(url="", token="", spool_dir=Path("/state/runbell/spool")), [])


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    write(
        tmp_path, f'url = "https://file.test"\nproject = "file"\nenvironment = "file"\nspool_dir = "spool"\ntoken = "{TOKEN}"\nwait = 3\n'
    )
    environ = {"RUNBELL_URL": "https://environment.test/", "RUNBELL_PROJECT": " environment ", "RUNBELL_WAIT": "2.5"}
    settings, complaints = load(tmp_path, flags={"url": "https://flag.test/runbell/", "wait": None}, environ=environ)
    assert complaints == []
    assert settings == Settings(
        url="https://flag.test/runbell", token=TOKEN, spool_dir=tmp_path / "spool", project="environment", environment="file", wait=2.5
    )


def test_the_first_folder_with_a_file_counts(tmp_path: Path) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    for folder in (near, far):
        folder.mkdir()
        write(folder, f'project = "{folder.name}"\n')
    assert load_settings({}, {}, [tmp_path, near, far])[0].project == "near"


def test_a_byte_order_mark_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "runbell.toml").write_bytes(b'\xef\xbb\xbfproject = "shop"\n')
    assert load(tmp_path)[0].project == "shop"


def test_where_the_token_comes_from(tmp_path: Path) -> None:
    for name in ("flag", "variable", "file"):
        (tmp_path / name).write_text(f"rb_{name}\n")
    write(tmp_path, 'token_file = "file"\n')
    names = {"RUNBELL_TOKEN": "rb_plain", "RUNBELL_TOKEN_FILE": str(tmp_path / "variable")}
    assert load(tmp_path, flags={"token_file": str(tmp_path / "flag")}, environ=names)[0].token == "rb_flag"
    assert load(tmp_path, environ=names)[0].token == "rb_plain"
    assert load(tmp_path, environ={"RUNBELL_TOKEN_FILE": names["RUNBELL_TOKEN_FILE"]})[0].token == "rb_variable"
    assert load(tmp_path)[0].token == "rb_file"


@pytest.mark.parametrize(
    ("content", "complaint"), [(None, "No such file"), (b"", "is empty"), (b"\xff", "not text"), (b"rb_a\nrb_b", "does not hold a token")]
)
def test_a_token_file_that_holds_none(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    settings, complaints = load(tmp_path, environ={"RUNBELL_TOKEN_FILE": str(tmp_path / "token")})
    assert settings.token == ""
    assert len(complaints) == 1
    assert complaint in complaints[0]
    assert "rb_a" not in complaints[0]


def test_a_token_that_is_none_is_never_repeated(tmp_path: Path) -> None:
    settings, complaints = load(tmp_path, environ={"RUNBELL_TOKEN": "rb_1234\nX-Header: hunter2"})
    assert settings.token == ""
    assert complaints == ["RUNBELL_TOKEN does not hold a token"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("url = 3", "url in {path} must be text"),
        ('wait = "soon"', "wait in {path} must be a number"),
        ("wait = true", "wait in {path} must be a number"),
        ("wait = -1", "wait in {path} must be seconds between 0 and 86400"),
        ("wait = nan", "wait in {path} must be seconds between 0 and 86400"),
        (
            'job = "nightly"',
            "job in {path} is no setting; there are url, token, token_file, spool_dir, project, environment, wait, send_artifacts",
        ),
        ("send_artifacts = 1", "send_artifacts in {path} must be true or false"),
        ('send_artifacts = "on"', "send_artifacts in {path} must be true or false"),
        ("url = ", "{path} cannot be read: Invalid value (at end of document)"),
    ],
)
def test_complaints_name_the_setting_and_the_file(tmp_path: Path, line: str, complaint: str) -> None:
    path = write(tmp_path, line)
    settings, complaints = load(tmp_path)
    assert complaints == [complaint.format(path=path)]
    assert (settings.url, settings.wait) == ("", 0)


def test_a_wait_in_words(tmp_path: Path) -> None:
    assert load(tmp_path, environ={"RUNBELL_WAIT": "soon"})[1] == ["RUNBELL_WAIT must be seconds between 0 and 86400"]


@pytest.mark.parametrize("url", ["http://localhost:8484", "https://tools.acme.test/runbell/", "http://[::1]:8484", "https://10.0.0.1"])
def test_good_addresses(url: str) -> None:
    assert url_trouble(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "runbell.acme.test",
        "ftp://x",
        "http://",
        "http://x:port",
        "http://x:70000",
        "http://x:0",
        "http://ex ample",
        "http://пример",
        "http://[::1",
    ],
)
def test_bad_addresses(url: str) -> None:
    assert url_trouble(url) == "must be an address like https://runbell.example.com"


def test_addresses_never_hold_secrets(tmp_path: Path) -> None:
    settings, complaints = load(tmp_path, environ={"RUNBELL_URL": "https://ada:hunter2@acme.test"})
    assert settings.url == ""
    assert complaints == ["RUNBELL_URL must not hold a user or password; the token goes into RUNBELL_TOKEN"]
    assert "query" in url_trouble("https://acme.test/?token=hunter2")


def test_the_spool_has_a_home(tmp_path: Path) -> None:
    assert default_spool_dir({"HOME": str(tmp_path)}) == tmp_path / ".local/state/runbell/spool"
    assert default_spool_dir({"HOME": "/nonexistent"}).name.startswith("runbell-spool-")
    assert default_spool_dir({"HOME": str(tmp_path), "XDG_STATE_HOME": "relative"}) == tmp_path / ".local/state/runbell/spool"
    assert default_spool_dir({"HOME": "~nobody-of-that-name"}).name.startswith("runbell-spool-")


def test_a_path_with_a_user_that_is_none(tmp_path: Path) -> None:
    settings, _ = load(tmp_path, environ={"RUNBELL_SPOOL_DIR": "~nobody-of-that-name/spool"})
    assert settings.spool_dir == Path() / "~nobody-of-that-name/spool"


@pytest.mark.parametrize(("value", "is_on"), [("on", True), ("TRUE", True), ("off", False), ("", False)])
def test_artifacts_are_sent_when_it_is_said(tmp_path: Path, value: str, is_on: bool) -> None:
    settings, complaints = load_settings({}, {"RUNBELL_SEND_ARTIFACTS": value}, [tmp_path])
    assert (settings.send_artifacts, complaints) == (is_on, [])


def test_a_switch_is_on_or_off(tmp_path: Path) -> None:
    settings, complaints = load_settings({}, {"RUNBELL_SEND_ARTIFACTS": "manifest.json"}, [tmp_path])
    assert (settings.send_artifacts, complaints) == (False, ["RUNBELL_SEND_ARTIFACTS must be on or off"])
