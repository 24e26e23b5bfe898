"""Settings from the environment and `.env`, typed, with all faults named at once."""

import os
import secrets
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parents[1]
NOT_FOR_CHILDREN = "not handed over"
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


class SettingsRefused(Exception):
    """The settings cannot be used; the message holds one sentence per fault."""


class Settings(BaseSettings):
    """Every setting of the portal. The names in the environment are the upper-case field names."""

    model_config = SettingsConfigDict(
        env_file=ROOT / ".env" if os.access(ROOT / ".env", os.R_OK) else None,
        env_file_encoding="utf-8",
        extra="ignore",
        env_ignore_empty=True,
    )

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
    web_threads: int = Field(4, ge=1, le=64)
    request_seconds: float = Field(10, ge=1, le=300, description="how long a client may take to send a request")
    mail_url: str = Field("", description="where mail will be sent; until the portal sends, mails wait in the outbox")

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
    def hostname(self) -> str:
        return urlsplit(self.public_url).hostname or "localhost"

    @property
    def insecure(self) -> bool:
        """True where cookies cannot be Secure: plain http from another machine."""
        return urlsplit(self.public_url).scheme == "http" and self.hostname not in LOCAL_HOSTS

    @property
    def https(self) -> bool:
        return self.public_url.startswith("https:")


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; raises `SettingsRefused` naming every fault."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        faults = []
        for fault in error.errors(include_url=False):
            name = ".".join(map(str, fault["loc"])).upper()
            message = fault["msg"].removeprefix("Value error, ")
            faults.append(f"{name}: {message}" if name else message)
        raise SettingsRefused("\n".join(faults)) from None


def new_secret() -> str:
    """A random text of 256 bits."""
    return secrets.token_urlsafe(32)
