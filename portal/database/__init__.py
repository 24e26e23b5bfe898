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


def first_row(connection: Any, statement: str, **values: Any) -> Any:
    """The first row that a statement gives on a plain connection, or None."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchone()


def rows_changed(connection: Any, statement: str, **values: Any) -> int:
    """How many rows a statement has changed on a plain connection."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return int(cursor.rowcount)
