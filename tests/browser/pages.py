"""Every page there is, from the table of URLs, in an account that has something of everything."""

from datetime import timedelta

from runbell.core.permissions import Role
from runbell.core.runs import Outcome
from tests.browser.people import People
from tests.server.walk import ROWS, Open, Row

NOT_PAGES = {
    "healthz": "a word",
    "readyz": "JSON",
    "a/<int:account_id>/deliveries.csv": "a file",
    "a/<int:account_id>/runs/<int:run_id>/artifacts/<int:step>/<str:name>": "a file of dbt, to be kept",
    "a/<int:account_id>/mailbox/<int:item_id>/html": "the letter in its frame, which test_email.py holds to its bytes",
    "a/<int:account_id>/settings/notifications/preview/html": "the same of a preview",
    "a/<int:account_id>/settings/notifications/slack/channels": "what the picker of Slack channels shows while one types",
    "a/<int:account_id>/settings/notifications/test/<int:delivery_id>": "a line of the page that sent the test",
}
PAGES = [row for row in ROWS if row.GET == 200 and not row.is_api and row.route not in NOT_PAGES]
LONG = "the_job_whose_name_says_everything_" * 5


def reader(row: Row) -> Role | None:
    """Who looks: the admin sees the most."""
    return None if row.who in (Open.EVERYBODY, Open.VISITORS) else Role.ACCOUNT_ADMIN


def furnish(people: People) -> None:
    """Runs of every outcome in two environments, one under way, names at the limit, people who hear and a mailbox with mail."""
    people.choose(Role.ACCOUNT_ADMIN, Outcome.FAILED, Outcome.WARNED)
    people.choose(Role.ACCOUNT_ADMIN, Outcome.CANCELLED, every=True)
    people.choose(Role.DEVELOPER, Outcome.SUCCEEDED, job="hourly", environment="Staging")
    people.choose(Role.VIEWER, Outcome.FAILED, job=LONG, environment=LONG[:100])
    for hours, outcome in enumerate(Outcome, 1):
        people.report(outcome, ago=timedelta(hours=hours))
        people.report(outcome, job="hourly", environment="Staging", ago=timedelta(hours=hours))
    people.report(None, job="backfill")
    people.report(Outcome.FAILED, job=LONG, environment=LONG[:100])
    people.wait_for_mail()
