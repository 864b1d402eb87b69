"""POST /integrations/slack/events: what Slack tells by itself. The signature is the right; strangers learn nothing."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from runbell.server.services.slack_events import MAX_BODY, NotSigned, take


@csrf_exempt
@require_POST
def events(request: HttpRequest) -> HttpResponse:
    """Slack waits three seconds and sends 30,000 an hour at most; what is not signed costs one HMAC, and is not counted."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY:
        return HttpResponse(status=413)
    timestamp, signature = request.headers.get("X-Slack-Request-Timestamp", ""), request.headers.get("X-Slack-Signature", "")
    try:
        answer = take(request.body, timestamp, signature, now=timezone.now())
    except NotSigned:
        return HttpResponse(status=401)
    return JsonResponse(answer) if answer else HttpResponse(status=200)
