"""The application, put together from its rooms: everything that serves is imported here."""

import logging

from flask import Flask, request

from portal import access, assets, cli, compiled, controls, headers, rendering, responses, words
from portal.access_codes.pages import blueprint as access_codes
from portal.account.pages import blueprint as account
from portal.agent_files.pages import blueprint as agent_files
from portal.agents.version_pages import blueprint as agents
from portal.appearance.pages import blueprint as appearance
from portal.audit.pages import blueprint as audit
from portal.auth import passwords
from portal.auth.pages import blueprint as auth
from portal.bulk.pages import blueprint as bulk
from portal.config import Settings, load_settings
from portal.database import driver_url, reading
from portal.database import rates as _the_limiters_storage  # noqa: F401  (registers pgrate://)
from portal.database.cluster import with_database
from portal.database.health import guard_connections
from portal.extensions import compress, csrf, db, limiter, login
from portal.forgotten.pages import blueprint as forgotten
from portal.framework import Portal, unhooked
from portal.health.pages import blueprint as health
from portal.imports.pages import blueprint as imports
from portal.invitations.pages import blueprint as invitations
from portal.jobs.pages import blueprint as jobs
from portal.organizations.pages import blueprint as organizations
from portal.overview.pages import blueprint as overview
from portal.shares.pages import blueprint as shares
from portal.system import ROOT
from portal.users.pages import blueprint as users


def create_app(settings: Settings | None = None) -> Flask:
    """The application; without `settings` they are read from the environment. Raises SettingsRefused."""
    settings = with_database(settings or load_settings())
    app = Portal("portal", template_folder=str(ROOT / "templates"), static_folder=None)
    _configure(app, settings)
    _extend(app, settings)
    _open_doors(app)
    _dress(app, settings)
    return app


def _configure(app: Flask, settings: Settings) -> None:
    if settings.instance_path:
        passwords.slots_folder = settings.instance_path / "locks"
        passwords.slots_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pool = {"pool_size": settings.pool_size, "max_overflow": 0, "pool_timeout": 5, "connect_args": {"connect_timeout": 3}}
    pool |= {"hide_parameters": True}  # a fault is logged with its statement: hashes, addresses and links of mails stand in the parameters
    small = {**pool, "pool_size": 2}
    app.config.update(
        PORTAL=settings,
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=driver_url(settings.database_url),
        SQLALCHEMY_ENGINE_OPTIONS=pool,
        SQLALCHEMY_BINDS={
            "platform": {"url": driver_url(settings.platform_database_url), **small},
            "rates": {"url": driver_url(settings.database_url), **small, "isolation_level": "AUTOCOMMIT"},
        },
        OWNER_DATABASE_URL=settings.owner_database_url,
        SESSION_COOKIE_NAME="portal" if settings.insecure else "__Host-portal",
        SESSION_COOKIE_SECURE=not settings.insecure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,  # headers.refuse_cross_site looks at Origin, which a privacy setting does not take away
        MAX_CONTENT_LENGTH=1024 * 1024,
        MAX_FORM_MEMORY_SIZE=1024 * 1024,
        MAX_FORM_PARTS=500,
        RATELIMIT_STORAGE_URI="pgrate://",
        RATELIMIT_KEY_PREFIX="doors",
        TEMPLATES_AUTO_RELOAD=False,
        COMPRESS_MIMETYPES=["text/html", "application/json", "application/problem+json"],
        COMPRESS_ALGORITHM=["zstd", "br", "gzip"],  # each at a level that costs a tenth of the page, not a third
        COMPRESS_ZSTD_LEVEL=1,
        COMPRESS_BR_LEVEL=2,
        COMPRESS_LEVEL=3,
    )
    _trust_hosts(app, settings)
    logging.getLogger("portal").setLevel(logging.INFO)


def _trust_hosts(app: Flask, settings: Settings) -> None:
    hosts = [settings.hostname, "localhost", "127.0.0.1", "[::1]", *filter(None, map(str.strip, settings.trusted_hosts.split(",")))]
    if settings.serve_subdomains:
        hosts.append("." + settings.hostname)
    app.config["TRUSTED_HOSTS"] = list(dict.fromkeys(hosts))  # the likeliest first
    if settings.proxy_count:
        from werkzeug.middleware.proxy_fix import ProxyFix

        count = settings.proxy_count
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]


def _extend(app: Flask, settings: Settings) -> None:
    compress.init_app(app)
    db.init_app(app)
    with app.app_context():
        for name, engine in db.engines.items():
            guard_connections(engine, "portal_platform" if name == "platform" else "portal_app")
    reading.init_app(app, settings.database_url)
    login.init_app(app, add_context_processor=False)  # words.py gives templates the reader; after a fault nobody is looked up
    headers.init_app(app)
    with unhooked(app):
        csrf.init_app(app)
        limiter.init_app(app)
    _look_at_requests(app)
    responses.init_app(app)


def _look_at_requests(app: Flask) -> None:
    """What is asked of every request, and what of unsafe ones; limits are asked for by the doors that have one."""

    def look() -> None:
        headers.refuse_unmeasured()
        if request.method not in headers.SAFE:
            headers.refuse_cross_site()
            access.let_files_in()
            csrf.protect(apply_exemptions=True)

    app.before_request(look)


def _open_doors(app: Flask) -> None:
    for blueprint in (
        *(overview, agents, agent_files, shares, users, invitations, access_codes, bulk, imports),
        *(organizations, audit, auth, forgotten, account, appearance, jobs, health),
    ):
        app.register_blueprint(blueprint)
    cli.init_app(app)
    access.require_a_guard_on_every_door(app)


def _dress(app: Flask, settings: Settings) -> None:
    rendering.init_app(app)
    controls.init_app(app)
    words.init_app(app)
    assets.init_app(app, ROOT / "static", settings.instance_path)
    compiled.init_app(app, settings.instance_path)
