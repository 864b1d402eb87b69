"""The list and the single object of one kind of thing, in the dbt Admin API's form."""

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from django.db.models import Model
from django.http import HttpRequest, JsonResponse
from ninja import Router

from runbell.core.permissions import Action
from runbell.server.api import described
from runbell.server.api.edge import account_actor
from runbell.server.api.envelope import Query, answer, listed, route
from runbell.server.services.access import Actor
from runbell.server.services.listings import Listing

Row = TypeVar("Row", bound=Model)
Shapes = Callable[[list[Row], Collection[str]], list[dict[str, Any]]]


def browse(
    router: Router,
    path: str,
    listing: Listing[Row],
    find: Callable[[Actor, int, Action], Row],
    shapes: Shapes[Row],
    includes: Collection[str] = (),
) -> None:
    """GET `path` and GET `path/<key>`. `shapes` is given a page of rows at once, so that what belongs to them costs one query and not
    one each, and which of `includes` are to come with them."""
    name = path.rpartition("/")[2]

    def many(request: HttpRequest, account_id: int) -> JsonResponse:
        actor, query = account_actor(request, account_id), Query(request)
        filters, window = query.filters(listing.filters), query.window()
        page = listing.page(actor, filters, window)
        return listed(shapes(page.rows, query.includes(includes)), page.total, window, filters)

    def one(request: HttpRequest, account_id: int, key: int) -> JsonResponse:
        row = find(account_actor(request, account_id), key, listing.action)
        return answer(shapes([row], Query(request).includes(includes))[0])

    many.__name__, one.__name__ = f"list_{name}", f"read_{name}"
    takes = described.listing(listing.filters, listing.orders, includes)
    route(router, "GET", path, summary=f"List {name}", says=described.Listed, refuses=described.READ | {400}, takes=takes)(many)
    route(router, "GET", f"{path}/{{int:key}}", summary=f"Read one of the {name}", takes=described.including(includes))(one)
