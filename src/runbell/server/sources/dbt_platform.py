"""POST /sources/dbt/{id}: what the dbt platform tells by itself. The signature is the right; strangers learn nothing."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from runbell.core.fields import BadField
from runbell.server.services.dbt_events import MAX_BODY, NotSigned, take


@csrf_exempt
@require_POST
def webhook(request: HttpRequest, platform_id: int) -> HttpResponse:
    """Only writes down. dbt waits ten seconds, tries five times more and switches off a webhook that fails for long."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > MAX_BODY:
        return _problem(413, f"must have at most {MAX_BODY} bytes", "body")
    try:
        return JsonResponse(take(platform_id, request.body, request.headers.get("Authorization", ""), now=timezone.now()))
    except NotSigned:
        return _problem(401, "is not the signature of this body by the secret of this integration", "Authorization")
    except BadField as bad:
        return _problem(400 if bad.field == "body" else 422, bad.message, bad.field)


def _problem(status: int, message: str, field: str) -> HttpResponse:
    return JsonResponse({"error": {"field": field, "message": message}}, status=status)
