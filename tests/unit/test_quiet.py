"""The search for secrets finds them: wherever one is planted, the test that planted it fails."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLANTS = {
    "nothing": "pass",
    "stdout": "print('xoxb-' + MARK)",
    "log": "logging.getLogger('x').debug('with %s', 'xoxb-' + MARK)",
    "remembered": "remember('a-state'); print('state=a-state')",
    "page": "answer('it is ' + MARK)",
    "header": "answer('', **{'Location': '/back?code=' + MARK})",
    "way": "answer('', **{'Location': 'https://slack.com/oauth/v2/authorize?state=' + MARK})",
    "message": "FakeSlack().keep(Post(0, None, None, '1', {'text': MARK}))",
    "column": "shop(); Destination.objects.update(address=MARK)",
    "secret": "shop(); Destination.objects.update(secret=MARK)",
    "session": "shop(); session = SessionStore(); session['x'] = MARK; session.save()",
    "squeezed": "shop(); session = SessionStore(); session['x'] = MARK + 'x' * 9999; session.save()",
    "cache": "shop(); cache.set('x', {'y': MARK})",
}
HARMLESS = ("nothing", "way", "secret")
TEST = """
import logging
import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache
from django.http import HttpResponse
from django.test import RequestFactory
from runbell.server.db.models import Destination
from tests.fakes.slack import FakeSlack
from tests.fakes.slack.state import Post
from tests.quiet import MARK, Listener, remember
from tests.server.people import acme

def shop():
    made = acme()
    made.destination()
    Destination.objects.update(kind="slack")

def answer(text, **headers):
    Listener(lambda request: HttpResponse(text, headers=headers))(RequestFactory().get("/x"))

@pytest.mark.django_db
def test_it():
    PLANT
"""
CONFTEST = """
from pathlib import Path
exec(compile(Path("ROOT/tests/conftest.py").read_text(), "conftest.py", "exec"))
"""


def test_wherever_one_is_planted(tmp_path: Path) -> None:
    """All in one process: starting one takes seconds."""
    (tmp_path / "conftest.py").write_text(CONFTEST.replace("ROOT", str(ROOT)))
    for name, plant in PLANTS.items():
        (tmp_path / f"test_{name}.py").write_text(TEST.replace("PLANT", plant))
    words = ["-q", "-n", "0", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", str(ROOT / "pyproject.toml"), str(tmp_path)]
    said = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    failed = {
        line.split("::")[0].rpartition("test_")[2].removesuffix(".py") for line in said.stdout.splitlines() if line.startswith("FAILED")
    }
    assert failed == set(PLANTS) - set(HARMLESS), said.stdout[-5000:]


def test_files_too(tmp_path: Path) -> None:
    from tests import quiet

    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "runbell.sqlite3-wal").write_bytes(b"\xff\x00xoxb-" + quiet.MARK.encode() + b"\xff")
    quiet.check_files(tmp_path)
    with pytest.raises(AssertionError, match="sqlite3-wal"):
        quiet.settle()
    quiet.settle()
