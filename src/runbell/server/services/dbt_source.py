"""An account of the dbt platform, read whole for an import: its places, its people and what they chose."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from runbell.channels.dbt_api import DbtApi, DbtTrouble
from runbell.channels.guard import Guard
from runbell.core.dbt_settings import Left, Person, Wish, read_person, read_wish
from runbell.server.services import dbt_mirror
from runbell.server.services.dbt_mirror import Rows
from runbell.server.services.dbt_platforms import read_account, read_secret, read_url
from runbell.server.services.job_places import Kind

TRIES = 5
PASSING = ("dbt_limited", "dbt_http", "dbt_silent", "dbt_no_answer")
LISTS = ("projects", "environments", "jobs", "users", "notifications")

Tell = Callable[[str], None]
Wait = Callable[[timedelta], None]


@dataclass(frozen=True, slots=True)
class Source:
    """`places`: those that are active, by their ids there. `left`: settings that nobody here could have."""

    url: str
    external_id: str
    places: Mapping[Kind, Rows]
    people: Mapping[str, Person]
    wishes: tuple[Wish, ...]
    left: tuple[Left, ...]


def read_source(host: str, external_id: str, token: str, *, tell: Tell, wait: Wait) -> Source:
    """Asks and changes nothing, there and here. `wait` is called when the platform wants to be left in peace. Raises `BadField`, `DbtTrouble`.

    Whoever may type the host at the server's own prompt may reach it from there anyway.
    """
    url, external_id, token = read_url(host), read_account(external_id), read_secret("token", token)
    with closing(DbtApi(url, external_id, token, guard=Guard(allows_private=True))) as api:
        rows = {what: _patiently(api, what, tell, wait) for what in LISTS}
    people = [person for person in map(read_person, rows["users"]) if person]
    wishes = [wish for wish in map(read_wish, rows["notifications"]) if wish]
    return Source(
        url,
        external_id,
        {kind: dbt_mirror.active(rows[f"{kind}s"]) for kind in Kind},
        {person.id: person for person in people},
        tuple(wish for wish in wishes if isinstance(wish, Wish)),
        tuple(wish for wish in wishes if isinstance(wish, Left)),
    )


def _patiently(api: DbtApi, what: str, tell: Tell, wait: Wait) -> list[Mapping[str, Any]]:
    for tries in range(TRIES):
        try:
            rows = api.listing(what)
        except DbtTrouble as trouble:
            if trouble.because.code not in PASSING or tries == TRIES - 1:
                raise
            pause = trouble.retry_after or timedelta(seconds=2**tries)
            tell(f"{what}: no answer yet, again in {pause.total_seconds():.0f} s")
            wait(pause)
        else:
            tell(f"{what}: {len(rows):,} read")
            return rows
    raise AssertionError("the last try raised")
