"""Settings, all from the environment (`.env.example` lists them), safe where nothing is said."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import bootstrap
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from environs import Env
from whitenoise.compress import Compressor

from config.broker import celery_url, embedded_socket
from config.local_secrets import (
    BASE_DIR,
    ENCRYPTION_KEYS_FILE,
    SECRET_KEY_FILE,
    data_dir,
    read_local_secret,
)

env = Env()
env.read_env(str(BASE_DIR / ".env"), recurse=False)

# --- Where things are -------------------------------------------------------------------------

DATA_DIR = data_dir(env)
DEBUG = env.bool("DEBUG", False)
SITE_URL = env.str("SITE_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"])
DEMO = env.bool("BULKWATCH_DEMO", False)

# --- Secrets ----------------------------------------------------------------------------------

SECRET_KEY = env.str("SECRET_KEY", "") or read_local_secret(DATA_DIR, SECRET_KEY_FILE)
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set, and DATA_DIR holds none. Set it to a long random text, made by "
        "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
    )

# Their own keys, so that changing SECRET_KEY loses no token. The first encrypts, all decrypt.
ENCRYPTION_KEYS = [
    key.strip()
    for key in (env.str("ENCRYPTION_KEYS", "") or read_local_secret(DATA_DIR, ENCRYPTION_KEYS_FILE))
    .replace("\n", ",")
    .split(",")
    if key.strip()
]
if not ENCRYPTION_KEYS:
    raise ImproperlyConfigured(
        "ENCRYPTION_KEYS is not set, and DATA_DIR holds none. Set it to one or more Fernet keys, "
        "made by python -c 'from cryptography.fernet import Fernet; "
        "print(Fernet.generate_key().decode())', the newest first, separated by commas."
    )

# --- Application ------------------------------------------------------------------------------

INSTALLED_APPS = [
    "jobs",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "django_htmx",
    "lucide",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "config.middleware.HtmxLoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "jobs.context_processors.product",
            ],
        },
    },
]

# --- Database ---------------------------------------------------------------------------------

DATABASES = {
    "default": env.dj_db_url("DATABASE_URL", f"sqlite:///{DATA_DIR / 'bulkwatch.sqlite3'}")
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Deferred transactions fail with "database is locked" as soon as two processes write.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # A host that is gone must not keep a page, or the lookout, waiting for minutes.
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    } | DATABASES["default"].get("OPTIONS", {})

# --- Background work --------------------------------------------------------------------------

REDIS_URL = env.str("REDIS_URL", "") or f"unix://{embedded_socket(DATA_DIR)}?db=0"
EMBEDDED_BROKER_SOCKET = None if env.str("REDIS_URL", "") else embedded_socket(DATA_DIR)

CELERY_BROKER_URL = celery_url(REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a broker that is away for long comes back too
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600, "socket_timeout": 10}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False  # the leases in the database bring lost work back
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 150
CELERY_TASK_TIME_LIMIT = 180
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
# Each entry ends before its successor, so that no ticks pile up while no worker runs.
CELERY_BEAT_SCHEDULE = {
    "dispatch-due-polls": {
        "task": "jobs.tasks.dispatch_due_polls",
        "schedule": timedelta(seconds=2),
        "options": {"expires": 2},
    },
    "fetch-due-results": {
        "task": "jobs.tasks.fetch_due_results",
        "schedule": timedelta(seconds=3),
        "options": {"expires": 3},
    },
    "check-ids": {
        "task": "jobs.tasks.check_ids",
        "schedule": timedelta(seconds=2),
        "options": {"expires": 2},
    },
    "deliver-alerts": {
        "task": "jobs.tasks.deliver_alerts",
        "schedule": timedelta(seconds=5),
        "options": {"expires": 5},
    },
    "tidy-up": {
        "task": "jobs.tasks.tidy_up",
        "schedule": timedelta(hours=1),
        "options": {"expires": 3600},
    },
}
CELERY_BEAT_SCHEDULER = "config.beat:Scheduler"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "run" / "beat-schedule")

# --- Zoho -------------------------------------------------------------------------------------

ALLOW_CUSTOM_ZOHO_HOSTS = env.bool("ALLOW_CUSTOM_ZOHO_HOSTS", False)
ZOHO_REQUEST_TIMEOUT_SECONDS = env.float("ZOHO_REQUEST_TIMEOUT_SECONDS", 20.0)
ZOHO_DOWNLOAD_TIMEOUT_SECONDS = env.float("ZOHO_DOWNLOAD_TIMEOUT_SECONDS", 120.0)
ZOHO_PROXY_URL = env.str("ZOHO_PROXY_URL", "")
MAX_RESULT_MEGABYTES = env.int("MAX_RESULT_MEGABYTES", 200)
RESULT_RETENTION_DAYS = env.int("RESULT_RETENTION_DAYS", 0)
if not 0 <= RESULT_RETENTION_DAYS <= 36_500:
    raise ImproperlyConfigured(
        "RESULT_RETENTION_DAYS must be a number of days from 0 (results are kept until somebody "
        "deletes them) to 36500."
    )

# --- Mail -------------------------------------------------------------------------------------

_email = env.dj_email_url("EMAIL_URL", f"file:///{DATA_DIR / 'mail'}")
if "EMAIL_BACKEND" not in _email:
    raise ImproperlyConfigured(
        f"EMAIL_URL has an unknown scheme {urlsplit(env.str('EMAIL_URL')).scheme!r}: use smtp, "
        "smtp+tls, submission, file or console."
    )
EMAIL_BACKEND = _email["EMAIL_BACKEND"]
EMAIL_FILE_PATH = _email["EMAIL_FILE_PATH"]
EMAIL_HOST = _email["EMAIL_HOST"]
EMAIL_PORT = _email["EMAIL_PORT"]
EMAIL_HOST_USER = _email["EMAIL_HOST_USER"]
EMAIL_HOST_PASSWORD = _email["EMAIL_HOST_PASSWORD"]
EMAIL_USE_TLS = _email["EMAIL_USE_TLS"]
EMAIL_USE_SSL = _email["EMAIL_USE_SSL"]
EMAIL_TIMEOUT = _email["EMAIL_TIMEOUT"] or 15
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "Bulkwatch <bulkwatch@localhost>")

# --- The lookout ------------------------------------------------------------------------------

# Who is told when Bulkwatch itself does not work; else services/health/lookout.py says who.
OPERATORS = [
    address.strip()
    for address in env.str("OPERATORS", "").replace(";", ",").split(",")
    if address.strip()
]
if any("@" not in address for address in OPERATORS):
    raise ImproperlyConfigured("OPERATORS must be mail addresses, separated by commas.")
HEARTBEAT_URL = env.str("HEARTBEAT_URL", "")
_heartbeat = urlsplit(HEARTBEAT_URL)
if HEARTBEAT_URL and not (
    (_heartbeat.scheme == "https" and _heartbeat.hostname)
    or (_heartbeat.scheme == "http" and _heartbeat.hostname in ("127.0.0.1", "localhost", "::1"))
):
    raise ImproperlyConfigured(
        "HEARTBEAT_URL must begin with https://: whoever reads it on its way can keep an alarm "
        "from being raised. (http:// is for this machine alone.)"
    )

# --- Sign-in ----------------------------------------------------------------------------------

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "jobs:overview"
LOGOUT_REDIRECT_URL = "login"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "registration/locked_out.html"
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ACCESS_FAILURE_LOG = False

# --- Security ---------------------------------------------------------------------------------

_https = SITE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_NAME = "__Host-session" if _https else "bulkwatch_session"
CSRF_COOKIE_NAME = "__Host-csrf" if _https else "bulkwatch_csrf"
SECURE_HSTS_SECONDS = 31_536_000 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
SECURE_SSL_REDIRECT = _https and env.bool("SECURE_SSL_REDIRECT", True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
if env.bool("TRUST_FORWARDED_PROTO", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CSRF_TRUSTED_ORIGINS = ["{0.scheme}://{0.netloc}".format(urlsplit(SITE_URL))]
SECURE_REFERRER_POLICY = "same-origin"
DEFAULT_EXCEPTION_REPORTER_FILTER = "config.error_reports.AlwaysHidingFilter"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # Bootstrap's form controls carry their icons as data
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
    },
}

# --- Text, time, static files -----------------------------------------------------------------

LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", "UTC")
USE_THOUSAND_SEPARATOR = True

STATIC_URL = "static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", "") or DATA_DIR / "static")
STATICFILES_DIRS = [BASE_DIR / "static", ("bootstrap", Path(next(iter(bootstrap.__path__))))]
STORAGES = {
    # Result files hold personal data: nothing serves this folder but our own signed-in views.
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": str(DATA_DIR / "files"),
            "base_url": None,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage",
    },
}
# Source maps are most of the bytes, and only a developer's browser ever asks for one.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = (*Compressor.SKIP_COMPRESS_EXTENSIONS, "map")
FILE_UPLOAD_HANDLERS = ["config.uploads.LimitedUploadHandler"]
MAX_UPLOAD_MEGABYTES = env.int("MAX_UPLOAD_MEGABYTES", 100)
ORIGINAL_KEPT_HOURS = env.int("ORIGINAL_KEPT_HOURS", 24)
if MAX_UPLOAD_MEGABYTES < 1 or not 1 <= ORIGINAL_KEPT_HOURS <= 8760:
    raise ImproperlyConfigured(
        "MAX_UPLOAD_MEGABYTES must be at least 1, and ORIGINAL_KEPT_HOURS a number of hours from 1 "
        "to 8760."
    )
# Two million characters may be pasted, and some take two bytes.
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024

# --- Logging ----------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
    },
    "filters": {
        "hide_hook_tokens": {"()": "config.logs.HideHookTokens"},
        "hide_not_ready": {"()": "config.logs.HideNotReady"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["hide_hook_tokens"],
        }
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        "axes": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
        # Its records name the address that was asked for, to whatever handlers there are.
        "django.request": {"level": "ERROR", "filters": ["hide_hook_tokens", "hide_not_ready"]},
    },
}
