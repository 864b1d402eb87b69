"""docs/howto/operate.md, every command as it stands, in its order; only folders are exchanged, and systemctl and pip are played."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.conftest import Database
from tests.e2e.installation import Installation
from tests.e2e.processes import free_port
from tests.e2e.seed import SECRETS
from tests.e2e.stage import ROOT

PAGE = (ROOT / "docs/howto/operate.md").read_text()
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$PLAYED/calls"
case $1 in stop|restart) kill -TERM "$(cat "$PLAYED/pid")" && while kill -0 "$(cat "$PLAYED/pid")" 2> /dev/null; do sleep 0.05; done ;; esac
case $1 in start|restart) runbell serve > "$PLAYED/log" 2>&1 & echo $! > "$PLAYED/pid"; until grep -q "Runbell is at" "$PLAYED/log"; do sleep 0.05; done ;; esac
"""


def chapter(title: str, language: str = "sh") -> list[str]:
    [text] = re.findall(rf"^## {title}$(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)
    assert found, f"{title} has no {language}"
    return found


@pytest.fixture
def here(tmp_path: Path) -> Installation:
    """A server that runs, as systemctl would have started it."""
    made = Installation(tmp_path / "home", {"RUNBELL_BIND": f"127.0.0.1:{free_port()}", "PLAYED": str(tmp_path)})
    made.seed(3)
    for name, text in {"systemctl": SYSTEMCTL, "pip": "#!/bin/sh\necho pip $@ >> $PLAYED/calls\n"}.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    made.env["PATH"] = f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{made.environ['PATH']}"
    return made


def shell(here: Installation, text: str, **env: str) -> str:
    """What the snippet prints; each of its lines must work."""
    text = text.replace("/var/backups", str(here.home.parent))
    ended = subprocess.run(
        ["sh", "-eu", "-c", text], env=here.environ | env, cwd=here.home.parent, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_page(here: Installation, on_postgres: Database) -> None:
    files = here.home.parent
    shell(here, "systemctl start runbell")
    try:
        back_up, with_keys = chapter("Back up")
        assert "The keys are not in it" in shell(here, back_up)
        assert "can read every secret" in shell(here, with_keys)
        [line] = chapter("Back up", "crontab")
        shell(here, line.split(maxsplit=5)[5].replace(r"\%", "%"))
        assert len(list(files.glob("runbell-?.backup"))) == 1

        there = Installation(files / "there", here.env)
        onto_new, over_old = chapter("Restore")
        shell(there, onto_new)
        assert there.secrets() == list(SECRETS)
        shell(here, over_old)
        [upgrade] = chapter("Upgrade")
        shell(here, upgrade)
        assert (files / "before-upgrade.backup").exists()

        [new_keys] = chapter("New encryption keys")
        assert "Nothing needs the other keys" in shell(here, new_keys)
        file = here.home / "encryption_keys"
        file.write_text(file.read_text().split(",")[0])
        assert here.secrets() == list(SECRETS)

        [move] = chapter("From SQLite to PostgreSQL")
        url = on_postgres.env["RUNBELL_DATABASE_URL"]
        assert "Every table reads the same" in shell(here, move, POSTGRES_URL=url)
        assert Installation(here.home, here.env | on_postgres.env).secrets() == list(SECRETS)
    finally:
        shell(here, "systemctl stop runbell")
    calls = (files / "calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["start", "stop", "start", "stop", "pip", "start", "restart", "stop", "start", "stop"]
