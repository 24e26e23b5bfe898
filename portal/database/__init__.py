"""PostgreSQL: the embedded server, its roles, its health, and the session that is bound to a tenant."""

import re
from typing import Any

import psycopg2


def driver_url(url: str) -> str:
    """Any PostgreSQL address in the spelling that SQLAlchemy hands to psycopg2."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql+psycopg2://", url)


def libpq_url(url: str) -> str:
    """Any PostgreSQL address in the spelling that libpq (psycopg2.connect, psql) reads."""
    return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)


def connect(url: str, **options: Any) -> Any:
    """A plain connection, beside the application's pools, to any PostgreSQL address; raises `psycopg2.Error`."""
    return psycopg2.connect(libpq_url(url), **options)
