"""Single sign-on by OpenID Connect: Authlib speaks to the provider and checks state, PKCE, signature, issuer, audience and nonce.

Not allauth's own provider: it sends no nonce, leaves the signature unread and believes the userinfo of any subject.
"""

from collections.abc import Mapping
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.utils import perform_login
from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from joserfc.errors import JoseError
from requests import RequestException

from runbell.server.services import single_sign_on as service

NEXT = "sso_next"
STATUS = {"away": 503, "cancelled": 200}
PATIENCE = 10  # seconds: a provider that hangs must not hold a thread of ours


@never_cache
def start(request: HttpRequest) -> HttpResponse:
    provider = _provider()
    wanted = request.GET.get("next", "")
    request.session[NEXT] = wanted if get_adapter().is_safe_url(wanted) else ""
    try:
        answer: HttpResponse = provider.authorize_redirect(request, settings.RUNBELL_PUBLIC_URL + reverse("sso_finish"))
    except (RequestException, OAuthError, ValueError, RuntimeError):
        return _refuse(request, "away")
    return answer


@never_cache
def finish(request: HttpRequest) -> HttpResponse:
    try:
        person = service.person_of(_claims(_provider(), request), now=timezone.now())
    except OAuthError as error:
        return _refuse(request, "cancelled" if error.error == "access_denied" else "invalid")
    except (JoseError, KeyError, TypeError):
        return _refuse(request, "invalid")
    except (RequestException, ValueError, RuntimeError):
        return _refuse(request, "away")
    except service.Refused as refused:
        return _refuse(request, refused.code)
    answer: HttpResponse = perform_login(request, person, redirect_url=request.session.pop(NEXT, "") or None)
    return answer


def _provider() -> Any:
    if not settings.RUNBELL_OIDC:
        raise Http404
    return OAuth().register(
        "sso",
        client_id=settings.RUNBELL_OIDC_CLIENT_ID,
        client_secret=settings.RUNBELL_OIDC_CLIENT_SECRET,
        server_metadata_url=f"{settings.RUNBELL_OIDC_URL.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256", "default_timeout": PATIENCE},
    )


def _claims(provider: Any, request: HttpRequest) -> Mapping[str, Any]:
    """What the signed token says; the address from userinfo when the token has none, and only of the same subject."""
    issuer = provider.load_server_metadata()["issuer"]
    if issuer.rstrip("/") != settings.RUNBELL_OIDC_URL.rstrip("/"):
        raise OAuthError("invalid_issuer")
    expected = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": provider.client_id}}
    token = provider.authorize_access_token(request, claims_options=expected)
    claims: Mapping[str, Any] = token["userinfo"]
    if claims.get("email"):
        return claims
    more = provider.userinfo(token=token)
    if more["sub"] != claims["sub"]:
        raise OAuthError("invalid_subject")
    return more  # type: ignore[no-any-return]  # authlib has no types


def _refuse(request: HttpRequest, code: str) -> HttpResponse:
    return render(request, "runbell/sso_refused.html", {"code": code}, status=STATUS.get(code, 403))
