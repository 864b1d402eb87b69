"""Posts out of a real worker, beside what else posts to Slack, over TLS into a Slack that says yes to everything."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from bench.bell import Bell, Sink, standing
from bench.beside import MISSING, PYTHON, peer
from bench.drains import BATCH, watched
from bench.processes import BIN, ROOT, processor_seconds, running
from bench.rates import Rate, rate_row, ratio_row
from bench.table import Row

WARM, COUNT = 200, 2_000
JOB, ENVIRONMENT = "nightly build {}", "Slack"
FILL = """
import django
django.setup()
from django.utils import timezone
from runbell.server.db.models import Account, Destination, Environment, Job, Member, Project, Rule, SlackLink, SlackWorkspace
account, member, now = Account.objects.get(), Member.objects.get(), timezone.now()
place = Environment.objects.create(name=ENVIRONMENT, project=Project.objects.get(), account=account, created_at=now)
jobs = Job.objects.bulk_create(Job(name=JOB.format(n), environment=place, account=account, created_at=now) for n in range(CHANNELS))
team = SlackWorkspace.objects.create(account=account, team_id="T0000001", name="Acme", client_id="1.2", token="xoxb-1-2-bench", created_at=now)
link = SlackLink.objects.create(workspace=team, member=member, slack_user_id="U1", rank="owner", linked_at=now)
made = {"account": account, "kind": "slack", "link": link, "created_by": member, "created_at": now, "updated_at": now}
channels = Destination.objects.bulk_create(
    Destination(address=f"#team-{n}", address_key=f"T0000001:C{n:07}", settings={"channel_id": f"C{n:07}"}, public_id=f"slack{n}", **made)
    for n in range(CHANNELS)
)
Rule.objects.bulk_create(
    Rule(destination=channel, job=job, outcome="failed", set_by=member, set_at=now) for channel, job in zip(channels, jobs)
)
"""


def slack(place: Path) -> Iterator[Row]:
    """Posts to Slack over TLS, one into each of many Slack channels."""
    trusted, kept = place / "trusted.pem", place / "posts"
    trust = {"SSL_CERT_FILE": str(trusted), "REQUESTS_CA_BUNDLE": str(trusted), "NO_PROXY": "127.0.0.1"}
    with slack_sink(place, trusted) as sink:
        with standing(place, RUNBELL_SLACK_API_URL=f"https://127.0.0.1:{sink.port}/api/", **trust) as bell:
            furnish(bell)
            ours = drained(bell, sink)
            sink.ask(f"dump {kept}")
            yield rate_row("Runbell, one worker on SQLite", ours)
            if not PYTHON.exists():
                yield Row("slack_sdk, Apprise", "", MISSING)
                return
            session = peer("slack_sdk", kept, WARM + COUNT, sink, env=trust)
            around = Rate.mean(ours, drained(bell, sink))  # a machine may be slower a minute later
        yield rate_row("slack_sdk, the same posts over one kept connection", session)
        yield ratio_row("Runbell's worker ÷ slack_sdk on a kept connection", around, session, 0.7)
        yield rate_row("slack_sdk as it comes, a connection each", peer("slack_sdk_plain", kept, WARM + COUNT, sink, every=10, env=trust))
        yield rate_row("Apprise, without its pauses", peer("apprise_slack", kept, WARM + COUNT, sink, every=20, env=trust))


@contextmanager
def slack_sink(place: Path, trusted: Path) -> Iterator[Sink]:
    """`trusted` is written: who made its certificate."""
    authority, own = trustme.CA(), place / "slack.pem"
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(own))
    known = Path(ssl.get_default_verify_paths().openssl_cafile)
    trusted.write_bytes((known.read_bytes() if known.exists() else b"") + authority.cert_pem.bytes())
    words = (sys.executable, "-m", "bench.slack_sink", own)
    with running(words, os.environ, place / "slack.log", is_talking=True) as process:
        yield Sink(process)


def furnish(bell: Bell) -> None:
    """Every job has a Slack channel of its own."""
    with bell.serve():
        bell.wait_for_web()
        bell.fill()
    names = f"CHANNELS, JOB, ENVIRONMENT = {WARM + COUNT}, {JOB!r}, {ENVIRONMENT!r}\n"
    subprocess.run([BIN / "python", "-c", names + FILL], env=bell.env, cwd=ROOT, check=True)


def drained(bell: Bell, sink: Sink) -> Rate:
    """By one worker, a run of each job."""
    count = WARM + COUNT
    with bell.web():
        bell.wait_for_web()
        client = bell.client()
        for first in range(0, count, BATCH):
            client.batch_of(ENVIRONMENT, [JOB.format(number) for number in range(first, min(first + BATCH, count))])
    sink.reset()
    with bell.worker() as worker:
        return watched(sink, WARM, COUNT, lambda: processor_seconds([worker.pid]))
