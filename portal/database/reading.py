"""Statements as they are written: one that only reads takes a single round trip, its binding before it in the same transaction."""

import json
from collections import deque, namedtuple
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import psycopg2
from flask import Flask, current_app
from psycopg2.extras import register_uuid
from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError

from portal.database import connect, health, tenancy


class Reading:
    """A statement that only reads, written once, its parameters as `%(name)s`; called with them it answers named rows.

    Within a transaction that has begun it reads there, and sees what that has written. Else it needs neither BEGIN nor COMMIT:
    statements that are sent together are one transaction, and what is SET LOCAL in it ends with it.
    """

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.row: Any = None

    def __call__(self, **parameters: Any) -> list[Any]:
        bound, session = tenancy.whose(), current_app.extensions["sqlalchemy"].session
        if bound.pool != "app" or (session.registry.has() and session().in_transaction()):
            return self._within(session, parameters)
        pool: Pool = current_app.extensions["portal.reading"]
        return self._named(*pool.ask(bound.settings + self.statement, parameters))

    def one(self, **parameters: Any) -> Any:
        """The first row; None where there is none."""
        return next(iter(self(**parameters)), None)

    def _within(self, session: Any, parameters: dict[str, Any]) -> list[Any]:
        found = session.connection().exec_driver_sql(self.statement, parameters)
        return self._named(found.cursor.description, found.all()) if found.returns_rows else []

    def _named(self, columns: Any, rows: Any) -> list[Any]:
        if self.row is None:
            row: Any = namedtuple("Row", [column[0] for column in columns])  # type: ignore[misc]  # they are known by now
            self.row = row._make
        return list(map(self.row, rows))


class Writing(Reading):
    """As a Reading, of a statement that writes or locks: always within the transaction of the session, which begins with it at the latest.

    What the session has not flushed it does not see, nor does the session see what it has written to a row that was loaded before: flush
    before it, expire after it. Answers named rows, none where the statement gives none. Raises SQLAlchemy's exceptions.
    """

    def __call__(self, **parameters: Any) -> list[Any]:
        session = current_app.extensions["sqlalchemy"].session
        session().info["wrote"] = True
        return self._within(session, parameters)


def add_rows(table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert at least one row into a table (`Model.__table__`), as a Writing does: one statement, to which they go as one JSON document.

    All name the same columns; the others take the defaults of the database, not those of the model, which an `id` has. Values are texts
    without U+0000, numbers, booleans, None, UUIDs, moments and bytes. Raises SQLAlchemy's exceptions.
    """
    columns = ", ".join(rows[0])
    insert = f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table.name}, %(rows)s)"
    Writing(insert)(rows=json.dumps(rows, ensure_ascii=False, default=_as_json))


def _as_json(value: Any) -> str:
    """As PostgreSQL reads it where a text stands."""
    return rf"\x{value.hex()}" if isinstance(value, bytes) else str(value)


class Pool:
    """Connections in autocommit, on which every statement stands for itself: no more of them than threads have ever read at once."""

    def __init__(self, url: str, seconds: int) -> None:
        self.url, self.seconds = url, seconds
        self.free: deque[Any] = deque()

    def ask(self, statement: str, parameters: dict[str, Any]) -> tuple[Any, list[Any]]:
        """The columns (DBAPI) and the rows; raises SQLAlchemy's exceptions, as the session does."""
        connection = None
        try:
            connection = self._taken()
            with connection.cursor() as cursor:
                self.execute(cursor, statement, parameters)
                columns, rows = cursor.description, cursor.fetchall()
        except psycopg2.Error as error:
            if connection is not None and connection.closed:
                self.close()  # whatever ended it has ended those that waited beside it
            elif connection is not None:
                self.free.append(connection)
            raise DBAPIError.instance(statement, parameters, error, psycopg2.Error, hide_parameters=True) from error
        self.free.append(connection)
        return columns, rows

    def execute(self, cursor: Any, statement: str, parameters: dict[str, Any]) -> None:
        """Where tests look on."""
        cursor.execute(statement, parameters)

    def close(self) -> None:
        with suppress(IndexError):
            while True:
                self.free.pop().close()

    def _taken(self) -> Any:
        with suppress(IndexError):
            return self.free.pop()
        connection = connect(self.url, connect_timeout=self.seconds)
        health.demand_role(connection, "portal_app")
        connection.autocommit = True
        register_uuid(conn_or_curs=connection)
        return connection


def init_app(app: Flask, url: str) -> None:
    app.extensions["portal.reading"] = Pool(url, seconds=3)


def close(app: Flask) -> None:
    """Leave the database; the next statement comes back to it."""
    app.extensions["portal.reading"].close()
