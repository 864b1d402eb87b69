"""Jobs and notification settings of a dbt platform account, carried over: first looked at, then made, and made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runbell.core.fields import BadField
from runbell.server.commands import parser
from runbell.server.db.models import Account, Destination, Job, Member, Rule, User
from tests.fakes.dbt_platform import FakeDbt
from tests.server.people import Acme

pytestmark = pytest.mark.django_db


@pytest.fixture
def dbt() -> Iterator[FakeDbt]:
    """Another job beside nightly; ada and bob there; and settings of every kind."""
    with FakeDbt() as fake:
        world = fake.world
        world.jobs[102] = (11, "hourly")
        ada, bob = world.add_user("ada@acme.test"), world.add_user("bob.berg@acme.test", licence="read_only")
        world.add_setting(1, ada, boxes={"on_failure": [101, 102], "on_warning": [101]})
        world.add_setting(1, bob, boxes={"on_failure": [101]})
        world.add_setting(4, ada, boxes={"on_cancel": [101]}, external_email="Ops@partner.example")
        world.add_setting(2, bob, boxes={"on_failure": [102]}, slack_channel_id="C07ALERTS", slack_channel_name="#data-alerts")
        yield fake


@pytest.fixture
def said(dbt: FakeDbt, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> "Said":
    found = Said(dbt, tmp_path / "token", capsys)
    monkeypatch.setattr("time.sleep", found.waited.append)
    return found


class Said:
    """What the command prints: `out` and `err` of the last run."""

    def __init__(self, dbt: FakeDbt, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.dbt, self.file, self.capsys = dbt, file, capsys
        self.waited: list[float] = []
        file.write_text(f"{dbt.token}\n")

    def __call__(self, *more: str, account: str = "7", code: int = 0) -> str:
        words = ["admin", "import", "dbt-platform", "--host", self.dbt.url, "--account", account, "--token-file", str(self.file), *more]
        options = parser().parse_args(words)
        try:
            assert options.command(options) == code
        finally:
            self.out, self.err = self.capsys.readouterr()
            assert self.dbt.token not in self.out + self.err
        return self.out


def counts() -> tuple[int, ...]:
    return tuple(model._default_manager.count() for model in (User, Member, Job, Destination, Rule))


class TestLookingFirst:
    def test_says_what_would_be_made_and_what_is_here(self, shop: Acme, said: Said) -> None:
        before = counts()
        out = " ".join(said().split())
        assert counts() == before
        assert "projects 0 1" in out
        assert "jobs 1 1" in out
        assert "members 1 1" in out
        assert "external addresses 1 0" in out
        assert "Slack channels 1 0" in out
        assert "boxes 6 0" in out
        assert "ada@acme.test: 3 boxes bob" in out
        assert "bob.berg@acme.test: 1 box (new member, viewer)" in out
        assert "Ops@partner.example: 1 box (new external address)" in out
        assert "#data-alerts: 1 box (new Slack channel, waiting for a link)" in out
        assert "Nothing was changed" in out
        assert "notifications: 4 read" in said.err

    def test_says_what_cannot_come_and_why(self, shop: Acme, dbt: FakeDbt, said: Said) -> None:
        world, one = dbt.world, {"on_failure": [101]}
        world.add_setting(3, 501, boxes=one)
        world.add_setting(1, 999, boxes=one)
        world.add_setting(1, world.add_user("gone@acme.test", is_active=False), boxes=one)
        world.add_setting(4, 501, boxes=one, external_email="not an address")
        world.add_setting(4, 501, boxes={"on_failure": [101, 7777]}, external_email="more@partner.example")
        Member.objects.filter(user__email="dana@acme.test").update(is_active=False)
        world.add_setting(1, world.add_user("dana@acme.test"), boxes=one)
        out = said()
        assert "setting 9005 is a webhook" in out
        assert "setting 9006 is for the user 999, who is not in the account's list of users" in out
        assert "setting 9007 is for gone@acme.test, whose user is deactivated in dbt" in out
        assert "setting 9008 is for 'not an address', which is no e-mail address" in out
        assert "setting 9009 names jobs that are no longer in dbt (1)" in out
        assert "setting 9010 is for dana@acme.test, who is deactivated here" in out

    def test_one_address_is_one_recipient(self, shop: Acme, dbt: FakeDbt, said: Said) -> None:
        """Twice as an external address in two spellings, and a member's address that dbt has as an external one."""
        dbt.world.add_setting(4, 501, boxes={"on_failure": [101]}, external_email="ops@PARTNER.example")
        dbt.world.add_setting(4, 501, boxes={"on_success": [101]}, external_email="Bob.Berg@acme.test")
        out = said()
        assert "Ops@partner.example: 2 boxes" in out
        assert "bob.berg@acme.test: 2 boxes" in out

    def test_asks_the_database_the_same_however_much_there_is(self, shop: Acme, dbt: FakeDbt, said: Said) -> None:
        def queries() -> int:
            with CaptureQueriesContext(connection) as caught:
                said()
            return len(caught)

        before = queries()
        for number in range(30):
            user = dbt.world.add_user(f"person{number}@acme.test")
            dbt.world.add_setting(1, user, boxes={"on_failure": [101]})
            dbt.world.add_setting(4, user, boxes={"on_failure": [101]}, external_email=f"o{number}@partner.example")
        assert queries() == before


class TestWords:
    def test_the_account_is_named_when_there_are_several(self, shop: Acme, said: Said) -> None:
        Account.objects.create(name="Other", created_at=shop.account.created_at)
        with pytest.raises(BadField, match="--into"):
            said()
        assert f"into account {shop.account.pk}" in said("--into", str(shop.account.pk))
        with pytest.raises(BadField, match="there is no account 99999"):
            said("--into", "99999")

    @pytest.mark.parametrize("text", ["", "\n", None, b"\xff\xfe"])
    def test_a_token_file_that_is_none(self, shop: Acme, said: Said, text: str | bytes | None) -> None:
        said.file.unlink()
        if text is not None:
            said.file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(BadField, match="--token-file"):
            said()

    def test_a_token_of_two_words_is_refused_and_not_repeated(self, shop: Acme, said: Said) -> None:
        said.file.write_text("secret words\n")
        with pytest.raises(BadField, match="token") as bad:
            said()
        assert "secret" not in str(bad.value)

    @pytest.mark.parametrize(
        ("fault", "words"),
        [(401, "does not accept the token"), (403, "Account Viewer"), ("html", "not the dbt platform's Admin API")],
    )
    def test_trouble_is_said_with_the_way_out(self, shop: Acme, dbt: FakeDbt, said: Said, fault: int | str, words: str) -> None:
        dbt.faults = [fault] * 5
        said(code=1)
        assert words in said.err

    def test_another_account(self, shop: Acme, said: Said) -> None:
        said(account="8", code=1)
        assert "knows no such account" in said.err

    def test_waits_when_it_is_asked_to(self, shop: Acme, dbt: FakeDbt, said: Said) -> None:
        dbt.faults = [30.0, 503]
        said()
        assert said.waited == [30.0, 2.0]
        assert "again in 30 s" in said.err

    def test_help_teaches(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            parser().parse_args(["admin", "import", "dbt-platform", "--help"])
        out = capsys.readouterr().out
        for words in ("Nothing is changed", "waiting for a link", "can be run again", "Account Viewer"):
            assert words.lower() in " ".join(out.split()).lower()
