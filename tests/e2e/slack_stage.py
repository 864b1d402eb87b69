"""Slack channels in the database of a server's home, each told when the job fails: python -m tests.e2e.slack_stage < JSON.

Linking is a matter for people and browsers, and is tested there; here it only has to be done.
"""

import json
import os
import sys

import django
from django.utils import timezone


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runbell.server.settings")
    django.setup()
    from runbell.server.db.models import Destination, Job, Member, Rule, SlackLink, SlackWorkspace  # after setup

    wanted, now = json.load(sys.stdin), timezone.now()
    job, member = Job.objects.get(), Member.objects.get()
    team = SlackWorkspace.objects.create(
        account=job.account, team_id=wanted["team"], name="Acme HQ", client_id="1.2", token=wanted["token"], created_at=now
    )
    link = SlackLink.objects.create(workspace=team, member=member, slack_user_id="U1", rank="owner", linked_at=now)
    for number, channel in enumerate(wanted["channels"]):
        destination = Destination.objects.create(
            account=job.account,
            kind="slack",
            address=f"#team-{number}",
            address_key=f"{wanted['team']}:{channel}",
            settings={"channel_id": channel},
            link=link,
            created_by=member,
            public_id=f"slack{number}",
            created_at=now,
            updated_at=now,
        )
        Rule.objects.create(destination=destination, job=job, outcome="failed", set_by=member, set_at=now)


if __name__ == "__main__":
    main()
