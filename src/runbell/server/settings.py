"""Django's settings, made from the environment."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from runbell import __version__
from runbell.server.environment import choice, home, keys, number, read, span, switch, words


def database(url: str, home: Path) -> dict[str, Any]:
    """Django's DATABASES entry of a RUNBELL_DATABASE_URL."""
    parts = urlsplit(url)
    if parts.scheme in ("", "sqlite"):
        return {
            "ENGINE": "runbell.server.db.sqlite",
            "NAME": parts.path or str(home / "runbell.sqlite3"),
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": SQLITE_PRAGMAS},
            "CONN_MAX_AGE": None,
        }
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(f"RUNBELL_DATABASE_URL: {parts.scheme}:// is not known; use postgresql:// or leave it empty for SQLite")
    return {
        "ENGINE": "runbell.server.db.postgres",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or "") or dict(parse_qsl(parts.query)).get("host", ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": {key: value for key, value in parse_qsl(parts.query) if key != "host"},
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }


# FULL, not NORMAL: in WAL mode NORMAL can lose a committed report at power loss (https://sqlite.org/pragma.html#pragma_synchronous).
# No mmap: it makes nothing of ours faster, counts the database as memory of each process, and a disk that fails would end the process by
# SIGBUS (https://sqlite.org/mmap.html).
SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA cache_size=-20000;PRAGMA journal_size_limit=27103364;PRAGMA temp_store=MEMORY"
)

RUNBELL_HOME = home()
RUNBELL_BIND = read("RUNBELL_BIND")
RUNBELL_PUBLIC_URL = (read("RUNBELL_PUBLIC_URL") or f"http://{RUNBELL_BIND}").rstrip("/")
RUNBELL_SMTP_URL = read("RUNBELL_SMTP_URL")
RUNBELL_MAIL_FROM = read("RUNBELL_MAIL_FROM")
RUNBELL_SUPPORT_CONTACT = read("RUNBELL_SUPPORT_CONTACT")
RUNBELL_OIDC_URL = read("RUNBELL_OIDC_URL")
RUNBELL_OIDC_CLIENT_ID = read("RUNBELL_OIDC_CLIENT_ID")
RUNBELL_OIDC_CLIENT_SECRET = read("RUNBELL_OIDC_CLIENT_SECRET")
RUNBELL_OIDC_NAME = read("RUNBELL_OIDC_NAME")
RUNBELL_OIDC_CREATE = read("RUNBELL_OIDC_CREATE")
RUNBELL_OIDC = bool(RUNBELL_OIDC_URL and RUNBELL_OIDC_CLIENT_ID and RUNBELL_OIDC_CLIENT_SECRET)
# Half-set single sign-on must not lock everybody out.
RUNBELL_PASSWORD_SIGN_IN = read("RUNBELL_PASSWORD_SIGN_IN") != "off" or not RUNBELL_OIDC
RUNBELL_TIME_SCALE = number("RUNBELL_TIME_SCALE", 0.000001)
RUNBELL_LOST_RUN_AFTER = span("RUNBELL_LOST_RUN_AFTER") * RUNBELL_TIME_SCALE
RUNBELL_MAX_AGE = span("RUNBELL_MAX_AGE")
RUNBELL_KEEP_DELIVERIES = span("RUNBELL_KEEP_DELIVERIES")
RUNBELL_KEEP_RUNS = span("RUNBELL_KEEP_RUNS")
RUNBELL_MAX_ARTIFACT = int(number("RUNBELL_MAX_ARTIFACT", 0) * 1024 * 1024)  # bytes
RUNBELL_DBT_ARTIFACTS = switch("RUNBELL_DBT_ARTIFACTS")
RUNBELL_METRICS_TOKEN = read("RUNBELL_METRICS_TOKEN")
RUNBELL_CONFIRM_EXTERNAL = switch("RUNBELL_CONFIRM_EXTERNAL")
RUNBELL_CONFIRM_EXTERNAL_TRUSTED = [name.lstrip("@.") for name in words("RUNBELL_CONFIRM_EXTERNAL_TRUSTED")]
RUNBELL_SLACK_CLIENT_ID = read("RUNBELL_SLACK_CLIENT_ID")
RUNBELL_SLACK_CLIENT_SECRET = read("RUNBELL_SLACK_CLIENT_SECRET")
RUNBELL_SLACK_SIGNING_SECRET = read("RUNBELL_SLACK_SIGNING_SECRET")
RUNBELL_SLACK_URL = read("RUNBELL_SLACK_URL").rstrip("/")
RUNBELL_SLACK_API_URL = read("RUNBELL_SLACK_API_URL").rstrip("/") + "/"
RUNBELL_SLACK_REQUIRE = choice("RUNBELL_SLACK_REQUIRE", ("owner", "admin", "any"))
RUNBELL_DBT_SETTLE = span("RUNBELL_DBT_SETTLE")
RUNBELL_DBT_POLL = span("RUNBELL_DBT_POLL")
RUNBELL_PRIVATE_HOSTS = switch("RUNBELL_PRIVATE_HOSTS")
RUNBELL_SLACK_DIGEST_AFTER = int(number("RUNBELL_SLACK_DIGEST_AFTER", 0))
RUNBELL_MAIL_DIGEST_AFTER = int(number("RUNBELL_MAIL_DIGEST_AFTER", 0))
RUNBELL_LOG_LEVEL = read("RUNBELL_LOG_LEVEL").lower()
RUNBELL_WEB_THREADS = int(number("RUNBELL_WEB_THREADS", 1))

SECRET_KEY, *SECRET_KEY_FALLBACKS = keys("RUNBELL_SECRET_KEY", RUNBELL_HOME / "secret_key")
RUNBELL_ENCRYPTION_KEYS = keys("RUNBELL_ENCRYPTION_KEYS", RUNBELL_HOME / "encryption_keys")

DEBUG = read("RUNBELL_DEBUG") == "1"
_public = urlsplit(RUNBELL_PUBLIC_URL)
# Behind a proxy the Host is the public name, beside it the bind address; a health check may come by any loopback name.
ALLOWED_HOSTS = sorted({_public.hostname or "localhost", RUNBELL_BIND.rsplit(":", 1)[0].strip("[]"), "localhost", "127.0.0.1", "[::1]"})
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]
_is_https = _public.scheme == "https"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _is_https
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME, LANGUAGE_COOKIE_NAME = "runbell_session", "runbell_csrf", "runbell_language"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _is_https else None
SECURE_HSTS_SECONDS = 31_536_000 if _is_https else 0
# No other site hears of the secrets in our links. "no-referrer" would be no safer and has browsers send forms with "Origin: null"
# (https://fetch.spec.whatwg.org/#append-a-request-origin-header), which are then taken for forged.
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "runbell.server.web.edge.forged"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "runbell.server.web.apps.WebConfig",  # before allauth, whose templates it overrides
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "django_htmx",
    "ninja",
    "csp",
    "runbell.server.db.apps.RunbellConfig",
]
MIDDLEWARE = [
    "runbell.server.web.sizes.SizeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "runbell.server.api.direct.DirectMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "runbell.server.web.edge.ReaderMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "runbell.server.web.sessions.SeenMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "frame-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "manifest-src": [SELF],
    }
}
ROOT_URLCONF = "runbell.server.urls"
WSGI_APPLICATION = "runbell.server.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "runbell.server.web.edge.frame",
            ],
            "builtins": ["runbell.server.web.templatetags.runbell"],
        },
    }
]

DATABASES = {"default": database(read("RUNBELL_DATABASE_URL"), RUNBELL_HOME)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# allauth's rate limits must count across processes and survive restarts; the table comes with our migrations.
# Django keeps 300 entries; then trying 300 addresses would make the limits of all others forget.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "runbell_cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    }
}

AUTH_USER_MODEL = "runbell.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ALLAUTH_TRUSTED_PROXY_COUNT = int(number("RUNBELL_TRUSTED_PROXIES", 0))
ACCOUNT_ADAPTER = "runbell.server.web.sign_in.AccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"  # members come by invitation or from the command line; nobody signs up
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_RATE_LIMITS = {
    "manage_email": "5/h/user",  # each sends mail to an address that somebody merely typed
    # Guessing is slowed by the address that is guessed at. What counts by the guesser's own is an office's, or a whole company's.
    "login": "300/m/ip",
    "login_failed": "100/m/ip,5/300s/key",
}
MFA_ADAPTER = "runbell.server.services.sign_ins.SecondStepAdapter"
MFA_FORMS = {"activate_totp": "runbell.server.services.sign_ins.ActivateForm"}
MFA_ALLOW_UNVERIFIED_EMAIL = True  # addresses are the user's own; allauth's table of them stays empty
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "Runbell"
PASSWORD_RESET_TIMEOUT = 24 * 3600
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
EMAIL_BACKEND = "runbell.server.services.account_mail.OutboxBackend"
DEFAULT_FROM_EMAIL = RUNBELL_MAIL_FROM

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("ru", _("Russian"))]
LOCALE_PATHS = [Path(__file__).parent / "locale"]
USE_I18N = USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "/static/"
STATIC_ROOT = RUNBELL_HOME / "static"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024 + 65_536  # the report's own cap (core.runs.MAX_BODY) answers first
APPEND_SLASH = False

RUNBELL_VERSION = __version__
LOGGING_CONFIG = None  # structlog is set up in logs.py by each process
SILENCED_SYSTEM_CHECKS: list[str] = []
