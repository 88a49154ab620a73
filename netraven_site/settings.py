"""All settings of NetRaven; each can be set in the environment or in the instance's `.env`.

docs/settings.md lists every variable with its default.
"""

from __future__ import annotations

import base64
import secrets
import sys
from pathlib import Path
from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy

from credentials.keyring_file import default_path
from netraven_site.env import REPOSITORY, Reader, instance_home

BASE_DIR = REPOSITORY
NETRAVEN_HOME = instance_home()
env = Reader(NETRAVEN_HOME)

NETRAVEN_VAR = NETRAVEN_HOME / "var"
NETRAVEN_KEYRING_PATH = default_path(env.text("NETRAVEN_KEYRING"), NETRAVEN_HOME)
NETRAVEN_HOST = env.text("NETRAVEN_HOST", "127.0.0.1")
NETRAVEN_PORT = env.number("NETRAVEN_PORT", 8000, least=1, most=65535)

# There is no default secret. Without one each process draws its own, so that `--help` and `setup`
# work, and the system check netraven.E001 refuses everything else.
SECRET_KEY_IS_SET = bool(env.text("NETRAVEN_SECRET_KEY"))
SECRET_KEY = env.text("NETRAVEN_SECRET_KEY") or secrets.token_urlsafe(64)
SECRET_KEY_FALLBACKS = env.words("NETRAVEN_SECRET_KEY_FALLBACKS")
# encrypted_model_fields builds a cipher at import and wants a key for it; SecretField never uses it.
FIELD_ENCRYPTION_KEY = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()

DEBUG = env.flag("NETRAVEN_DEBUG")
HTTPS = env.flag("NETRAVEN_HTTPS")
NETRAVEN_BEHIND_PROXY: bool = env.flag("NETRAVEN_BEHIND_PROXY")
ALLOWED_HOSTS = env.words("NETRAVEN_ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.words("NETRAVEN_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "netraven_site.apps.NetRavenSiteConfig",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "unfold.contrib.import_export",
    "unfold.contrib.simple_history",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "taggit",
    "simple_history",
    "import_export",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "credentials.apps.CredentialsConfig",
    "devices.apps.DevicesConfig",
    "jobs.apps.JobsConfig",
]
if sys.argv[1:2] == ["worker"]:
    # A task cluster shows no pages: without them it starts sooner, and its processes take a fifth less memory.
    INSTALLED_APPS[INSTALLED_APPS.index("django.contrib.admin")] = "django.contrib.admin.apps.SimpleAdminConfig"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "netraven_site.security.headers.HeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "netraven_site.auditing.ActingMiddleware",
    "netraven_site.security.sign_ins.SignInMiddleware",
    "netraven_site.middleware.PlatformsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
]

ROOT_URLCONF = "netraven_site.urls"
WSGI_APPLICATION = "netraven_site.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES: dict[str, dict[str, Any]] = {"default": env.database(NETRAVEN_VAR / "netraven.sqlite3")}
ON_SQLITE = DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
if ON_SQLITE:
    # Without IMMEDIATE a read that becomes a write fails at once beside another writer, whatever
    # the busy time-out says; measured, that lost 15 % of task results.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = env.number("NETRAVEN_DB_CONN_MAX_AGE", 600)
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Web --------------------------------------------------------------------------------------
NETRAVEN_WEB_RECYCLE_S = env.number("NETRAVEN_WEB_RECYCLE_S", 30, least=1)

# --- Tasks ------------------------------------------------------------------------------------
NETRAVEN_BROKER_URL = env.text("NETRAVEN_BROKER_URL")
NETRAVEN_WORKERS = env.number("NETRAVEN_WORKERS", 2, least=1, most=64)
NETRAVEN_THREADS = env.number("NETRAVEN_THREADS", 100, least=1, most=500)
NETRAVEN_SHARD_SIZE = env.number("NETRAVEN_SHARD_SIZE", 1000, least=1, most=5000)
NETRAVEN_DEVICE_WAIT_S = env.number("NETRAVEN_DEVICE_WAIT_S", 900, least=1)
NETRAVEN_GRACE_S = env.number("NETRAVEN_GRACE_S", 60, least=1)
NETRAVEN_SHARD_TIMEOUT_S = env.number("NETRAVEN_SHARD_TIMEOUT_S", 3600, least=60)
Q_CLUSTER: dict[str, Any] = {
    "name": "netraven",
    "workers": NETRAVEN_WORKERS,
    # Measured: with the defaults a failing task runs again for ever and a slow one runs twice.
    "timeout": NETRAVEN_SHARD_TIMEOUT_S,
    "retry": 2 * NETRAVEN_SHARD_TIMEOUT_S + 60,
    "max_attempts": 1,
    "ack_failures": True,
    "queue_limit": 1,
    "bulk": 1,
    "catch_up": False,
    "scheduler": False,
    "save_limit": 0,
    "recycle": 1,
    "poll": 0.2,
    "label": "Task queue",
    "error_reporter": {},
    "log_level": "WARNING",
}
if NETRAVEN_BROKER_URL:
    Q_CLUSTER["redis"] = NETRAVEN_BROKER_URL
else:
    Q_CLUSTER["orm"] = "default"

# --- Talking to devices -----------------------------------------------------------------------
# The team's own platforms: TOML files, or folders of them, laid over the shipped table.
NETRAVEN_PLATFORMS = env.words("NETRAVEN_PLATFORMS")
if not NETRAVEN_PLATFORMS and (NETRAVEN_HOME / "platforms.d").is_dir():
    NETRAVEN_PLATFORMS = [str(NETRAVEN_HOME / "platforms.d")]
NETRAVEN_TARGETS = env.words("NETRAVEN_TARGETS")
NETRAVEN_TARGET_PORTS = env.words("NETRAVEN_TARGET_PORTS")
NETRAVEN_HOST_KEY_POLICY = env.text("NETRAVEN_HOST_KEY_POLICY", "first-use")
NETRAVEN_CONNECT_TIMEOUT_S = env.number("NETRAVEN_CONNECT_TIMEOUT_S", 10, least=1)
NETRAVEN_BANNER_TIMEOUT_S = env.number("NETRAVEN_BANNER_TIMEOUT_S", 15, least=1)
NETRAVEN_AUTH_TIMEOUT_S = env.number("NETRAVEN_AUTH_TIMEOUT_S", 30, least=1)
NETRAVEN_READ_TIMEOUT_S = env.number("NETRAVEN_READ_TIMEOUT_S", 120, least=1)
NETRAVEN_DEVICE_DEADLINE_S = env.number("NETRAVEN_DEVICE_DEADLINE_S", 300, least=5)
NETRAVEN_MAX_OUTPUT_BYTES = env.number("NETRAVEN_MAX_OUTPUT_MIB", 32, least=1) * 1024 * 1024
NETRAVEN_RETRIES = env.number("NETRAVEN_RETRIES", 2, least=0, most=10)
NETRAVEN_RETRY_PAUSE_S = env.number("NETRAVEN_RETRY_PAUSE_S", 2, least=0)
# --- Export of configurations -----------------------------------------------------------------
NETRAVEN_EXPORT_DIR = Path(env.text("NETRAVEN_EXPORT_DIR") or NETRAVEN_VAR / "export").expanduser()
NETRAVEN_GIT_REMOTE = env.remote("NETRAVEN_GIT_REMOTE")
NETRAVEN_GIT_USER = env.text("NETRAVEN_GIT_USER", "git")
NETRAVEN_GIT_TOKEN_FILE = env.path("NETRAVEN_GIT_TOKEN_FILE")
NETRAVEN_GIT_SSH_KEY = env.path("NETRAVEN_GIT_SSH_KEY")
NETRAVEN_GIT_KNOWN_HOSTS = env.path("NETRAVEN_GIT_KNOWN_HOSTS")
NETRAVEN_GIT_AUTHOR = env.text("NETRAVEN_GIT_AUTHOR", "NetRaven <netraven@localhost>")

# --- Lockout guard ----------------------------------------------------------------------------
NETRAVEN_GUARD_WINDOW_S = env.number("NETRAVEN_GUARD_WINDOW_S", 900, least=1)
NETRAVEN_GUARD_CENTRAL_LIMIT = env.number("NETRAVEN_GUARD_CENTRAL_LIMIT", 3, least=1)
NETRAVEN_GUARD_LOCAL_LIMIT = env.number("NETRAVEN_GUARD_LOCAL_LIMIT", 2, least=1)
NETRAVEN_GUARD_IN_FLIGHT = env.number("NETRAVEN_GUARD_IN_FLIGHT", 2, least=1)

# --- Audit trail ------------------------------------------------------------------------------
NETRAVEN_AUDIT_KEEP_DAYS = env.number("NETRAVEN_AUDIT_KEEP_DAYS", 0, least=0, most=36_500)
NETRAVEN_AUDIT_ANCHOR_S = env.number("NETRAVEN_AUDIT_ANCHOR_S", 300, least=1)
NETRAVEN_AUDIT_ANCHOR_FILE = Path(
    env.text("NETRAVEN_AUDIT_ANCHOR_FILE") or NETRAVEN_HOME / "audit-anchors.jsonl"
).expanduser()
NETRAVEN_AUDIT_ANCHOR_SYSLOG = env.text("NETRAVEN_AUDIT_ANCHOR_SYSLOG")
NETRAVEN_AUDIT_ANCHOR_WEBHOOK = env.text("NETRAVEN_AUDIT_ANCHOR_WEBHOOK")

# --- People -----------------------------------------------------------------------------------
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
] + [{"NAME": "netraven_site.security.sign_ins.EndOtherSignIns"}]
AUTHENTICATION_BACKENDS = ["netraven_site.security.backends.GuardedBackend"]
# How many wrong passwords close the door: for a name from one address, for a name from everywhere (from an address
# where it never got in), for an address with any names. The first lock is NETRAVEN_SIGN_IN_LOCK_S long, each
# further one twice as long, an hour at most.
NETRAVEN_SIGN_IN_TRIES = env.number("NETRAVEN_SIGN_IN_TRIES", 5, least=1)
NETRAVEN_SIGN_IN_TRIES_ACCOUNT = env.number("NETRAVEN_SIGN_IN_TRIES_ACCOUNT", 30, least=1)
NETRAVEN_SIGN_IN_TRIES_ADDRESS = env.number("NETRAVEN_SIGN_IN_TRIES_ADDRESS", 60, least=1)
NETRAVEN_SIGN_IN_WINDOW_S = env.number("NETRAVEN_SIGN_IN_WINDOW_S", 900, least=60)
NETRAVEN_SIGN_IN_LOCK_S = env.number("NETRAVEN_SIGN_IN_LOCK_S", 60, least=1, most=3600)
NETRAVEN_REAUTH_S = env.number("NETRAVEN_REAUTH_S", 600, least=0, most=86_400)
NETRAVEN_API_PER_MINUTE = env.number("NETRAVEN_API_PER_MINUTE", 1200)
NETRAVEN_API_ANONYMOUS_PER_MINUTE = env.number("NETRAVEN_API_ANONYMOUS_PER_MINUTE", 60)
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = env.number("NETRAVEN_SESSION_S", 12 * 3600, least=60)
NETRAVEN_SESSION_IDLE_S = env.number("NETRAVEN_SESSION_IDLE_S", 2 * 3600)
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = env.number("NETRAVEN_HSTS_S", 31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
if NETRAVEN_BEHIND_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

LANGUAGE_CODE = "en"
TIME_ZONE = env.time_zone("NETRAVEN_TIME_ZONE", "UTC")
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
STATIC_ROOT = None  # served from the packages themselves, see below
STATICFILES_DIRS = [BASE_DIR / "netraven_site" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Static files are served from the packages themselves: nothing to collect before the first start.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

TAGGIT_CASE_INSENSITIVE = True
IMPORT_EXPORT_SKIP_ADMIN_LOG = True

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "netraven_site.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["netraven_site.permissions.ModelPermissions"],
    "DEFAULT_PAGINATION_CLASS": "netraven_site.pagination.PageNumbers",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    # Form bodies would put secrets where error reports print them; the one upload has a parser of its own.
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    # The description at /api/v1/schema/ says it all, so OPTIONS says nothing.
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "netraven_site.api.exception_handler",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "NetRaven API",
    "DESCRIPTION": (
        "Devices, credentials, jobs, runs and configuration versions. Every list is paged "
        "(`page`, `page_size` up to 500). Unknown fields and parameters are refused. "
        "Every error has one shape: `detail`, a sentence, and `errors`, messages by field."
    ),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SERVE_AUTHENTICATION": [
        "netraven_site.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Without the null the page sends the description to a validator in the internet.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None, "docExpansion": "none", "filter": True},
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    # Fields of one name with different choices.
    "ENUM_NAME_OVERRIDES": {
        "HostKeyStateEnum": "devices.choices.HostKeyState",
        "AsideStateEnum": "devices.choices.AsideState",
        "PlatformStateEnum": "devices.platforms_described.STATES",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "netraven_site.api.schema.add_errors",
    ],
}

LOG_LEVEL = env.choice("NETRAVEN_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    # One line a message, whatever a device, a file or a person put into it.
    "formatters": {
        "line": {
            "()": "netraven_site.security.logs.OneLine",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        # Both can write what goes over the wire at DEBUG, so they never log below WARNING.
        "netmiko": {"level": "ERROR"},
        "paramiko": {"level": "CRITICAL"},
        "django-q": {"handlers": ["console"], "level": "WARNING", "propagate": False},
    },
}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "NetRaven",
    "SITE_HEADER": "NetRaven",
    "SITE_SUBHEADER": "Network operations",
    "SITE_URL": None,
    "SITE_ICON": lambda request: static("netraven/mark.svg"),
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("netraven/mark.svg")}],
    "BORDER_RADIUS": "6px",
    "COLORS": {
        # A calm blue: the tones of states are to be the loudest colours on a page.
        "primary": {
            "50": "oklch(97.2% .012 245)",
            "100": "oklch(94% .026 245)",
            "200": "oklch(88.5% .05 245)",
            "300": "oklch(80% .085 245)",
            "400": "oklch(71% .115 246)",
            "500": "oklch(61% .125 248)",
            "600": "oklch(50.5% .115 250)",
            "700": "oklch(44% .1 250)",
            "800": "oklch(38% .082 250)",
            "900": "oklch(33% .065 250)",
            "950": "oklch(25% .05 250)",
        },
    },
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": None,
    "STYLES": [lambda request: static("netraven/netraven.css")],
    "SCRIPTS": [lambda request: static("netraven/netraven.js")],
    "DASHBOARD_CALLBACK": "netraven_site.dashboard.dashboard_callback",
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "show_all_applications": False,
        "navigation": "netraven_site.navigation.sidebar",
    },
    "COMMAND": {"search_models": False, "search_callback": "netraven_site.navigation.find", "show_history": False},
    "LOGIN": {
        "form": "netraven_site.security.forms.SignInForm",
        "image": None,
        "redirect_after": lambda request: reverse_lazy("admin:index"),
    },
}
