"""Settings from the environment and `.env`, typed, with all faults named at once."""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from portal.errors import faults_of
from portal.system import NOT_FOR_CHILDREN, ROOT, StartRefused

ENV_FILE = ROOT / ".env"
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


class SettingsRefused(StartRefused):
    """The settings cannot be used; the message holds one sentence per fault."""


@dataclass(frozen=True)
class MailServer:
    """Where mail goes: a server that speaks SMTP, or for development a folder that gets a file for each mail.

    smtps:// is encrypted from the first byte (port 465). smtp:// is encrypted by STARTTLS before anything else is said, and a server
    that offers none is told nothing (port 587); only a server on this machine is spoken to in plain (port 25). `?starttls=no` and
    `?starttls=yes` say otherwise. Certificates are checked wherever there are some.
    """

    scheme: str
    host: str = ""
    port: int = 0
    starttls: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    folder: Path | None = None

    @classmethod
    def of(cls, url: str) -> "MailServer":
        """What an address means; raises ValueError in words that hold no password."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("cannot be read; write signs like @, : and / in user and password as %40, %3A and %2F") from None
        if parts.scheme == "file":
            return cls._folder(host, unquote(parts.path), parts.query)
        if parts.scheme not in {"smtp", "smtps"}:
            raise ValueError("must begin with smtp://, smtps:// or, for development, file:///")
        if not host or parts.path.strip("/") or parts.fragment:
            raise ValueError("must be an address like smtps://user:password@mail.example.org:465, without a path")
        if (parts.username is None) != (parts.password is None):
            raise ValueError("must name a user and a password, or neither")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not (user + password).isascii():
            raise ValueError("must have a user and a password without letters beyond ASCII: mail servers are told no others")
        asked = {"": None, "starttls=yes": True, "starttls=no": False}
        if parts.query not in asked or (parts.query and parts.scheme == "smtps"):
            raise ValueError("must have nothing after the port but ?starttls=yes or ?starttls=no, and that with smtp:// only")
        wanted = asked[parts.query]
        starttls = parts.scheme == "smtp" and (host not in LOCAL_HOSTS if wanted is None else wanted)
        usual = 465 if parts.scheme == "smtps" else 587 if starttls else 25
        return cls(parts.scheme, host, port or usual, starttls, user, password)

    @classmethod
    def _folder(cls, host: str, path: str, query: str) -> "MailServer":
        if host not in {"", "localhost"} or not path.strip("/") or query:
            raise ValueError("must name a folder of this machine, like file:///srv/mails")
        return cls("file", folder=Path(path))

    def __str__(self) -> str:
        """For people: never user and password."""
        return f"the folder {self.folder}" if self.folder else f"the mail server {self.host}:{self.port}"


class Settings(BaseModel):
    """Every setting of the portal. The names in the environment are the upper-case field names."""

    port: int = Field(8000, ge=1, le=65535)
    bind: str = Field("127.0.0.1", description="address the server listens on")
    public_url: str = Field("", description="how people reach the portal; http://localhost:PORT when not given")
    allow_http: bool = Field(False, description="serve a plain-http PUBLIC_URL on another host than this machine")
    trusted_hosts: str = Field("", description="further host names, separated by commas")
    serve_subdomains: bool = Field(False, description="every organization is reached under its own subdomain of PUBLIC_URL")
    proxy_count: int = Field(0, ge=0, le=5, description="how many proxies in front set X-Forwarded-* headers")

    database_url: str = Field("", description="as portal_app; without it the portal starts its own PostgreSQL")
    owner_database_url: str = ""
    platform_database_url: str = ""
    worker_database_url: str = ""
    pool_size: int = Field(5, ge=1, le=50, description="database connections per web worker")

    secret_key: str = Field("", description="signs cookies; at least 32 characters")
    instance_path: Path | None = Field(None, description="folder of the embedded database and other local state")
    run_as: str = Field("", description="unprivileged account that serves when started as root")
    web_workers: int = Field(2, ge=1, le=64)
    web_threads: int = Field(8, ge=1, le=64, description="of each worker; one is held by each who waits until her password is verified")
    request_seconds: float = Field(10, ge=1, le=300, description="how long a client may take to send a request")
    mail_url: str = Field("", description="where mail goes, see MailServer; without it mails stay in the outbox, not sent")
    mail_from: str = Field("", description="the address that mail comes from; needed with MAIL_URL")

    registration: Literal["open", "closed"] = "open"
    registration_contact: str = Field("", description="whom a visitor asks while registration is closed")
    registration_limit: str = Field("300 per hour", description="registrations tried per network")
    password_min_length: int = Field(12, ge=8, le=64)
    session_idle_minutes: int = Field(60, ge=1, le=1440)
    session_hours: int = Field(12, ge=1, le=168)
    platform_session_idle_minutes: int = Field(15, ge=1, le=1440)
    platform_session_hours: int = Field(8, ge=1, le=168)

    @field_validator("public_url")
    @classmethod
    def an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query):
            raise ValueError("must be an address like https://portal.example.org, without a path")
        return url.rstrip("/")

    @field_validator("mail_url")
    @classmethod
    def a_mail_server(cls, url: str) -> str:
        if url:
            MailServer.of(url)
        return url

    @field_validator("mail_from")
    @classmethod
    def a_sender(cls, address: str) -> str:
        """In ASCII, so that every server takes it."""
        from email_validator import EmailNotValidError, validate_email

        try:
            sender = validate_email(address, check_deliverability=False).ascii_email if address else ""
        except EmailNotValidError:
            sender = None
        if sender is None:
            raise ValueError("must be an e-mail address like portal@example.org")
        return sender

    @field_validator("secret_key")
    @classmethod
    def long_enough(cls, key: str) -> str:
        if key and len(key) < 32:
            raise ValueError("must have at least 32 characters; leave it away to have one made for the embedded database")
        return key

    @model_validator(mode="after")
    def fit_together(self) -> Self:
        if self.owner_database_url == NOT_FOR_CHILDREN:
            self.owner_database_url = ""
        if not self.public_url:
            self.public_url = f"http://localhost:{self.port}"
        sisters = {
            "OWNER_DATABASE_URL": self.owner_database_url,
            "PLATFORM_DATABASE_URL": self.platform_database_url,
            "WORKER_DATABASE_URL": self.worker_database_url,
        }
        faults = []
        if self.database_url:
            needed = ("PLATFORM_DATABASE_URL", "WORKER_DATABASE_URL")
            faults += [f"{name} is missing beside DATABASE_URL; `flask provision` prints all four" for name in needed if not sisters[name]]
            if not self.secret_key:
                faults.append("SECRET_KEY is missing; the portal makes one only for its own database")
        else:
            faults += [f"{name} is set, but DATABASE_URL is missing" for name, url in sisters.items() if url]
        if self.mail_url and not self.mail_from:
            faults.append("MAIL_FROM is missing beside MAIL_URL; it is the address that mail comes from")
        if self.insecure and not self.allow_http:
            faults.append(
                f"PUBLIC_URL {self.public_url} is plain http on another host; "
                "use https, or set ALLOW_HTTP=1 to accept that everybody on the way can read along"
            )
        if faults:
            raise ValueError("\n".join(faults))
        return self

    @property
    def embedded(self) -> bool:
        """True where the portal runs its own PostgreSQL."""
        return not self.database_url

    @property
    def mail_server(self) -> MailServer | None:
        """Where mail goes; None where no server is configured."""
        return MailServer.of(self.mail_url) if self.mail_url else None

    @property
    def hostname(self) -> str:
        return urlsplit(self.public_url).hostname or "localhost"

    @property
    def insecure(self) -> bool:
        """True where cookies cannot be Secure: plain http from another machine."""
        return urlsplit(self.public_url).scheme == "http" and self.hostname not in LOCAL_HOSTS

    @property
    def https(self) -> bool:
        return self.public_url.startswith("https:")


def load_settings(env_file: Path | None = ENV_FILE, **overrides: Any) -> Settings:
    """The settings of this process: `overrides`, else the environment, else the file where it can be read; an empty value is none.

    Raises SettingsRefused naming every fault.
    """
    found: dict[str, Any] = {}
    filed = dotenv_values(env_file) if env_file and os.access(env_file, os.R_OK) else {}
    for given in (filed, os.environ):
        folded = {name.lower(): value for name, value in sorted(given.items(), reverse=True) if value}  # capitals come last, and count
        found |= {name: folded[name] for name in Settings.model_fields if name in folded}
    try:
        return Settings(**{**found, **overrides})
    except ValidationError as error:
        faults = [": ".join(filter(None, (".".join(location).upper(), sentence))) for location, sentence in faults_of(error)]
        raise SettingsRefused("\n".join(faults)) from None


def new_secret() -> str:
    """A random text of 256 bits."""
    return secrets.token_urlsafe(32)
