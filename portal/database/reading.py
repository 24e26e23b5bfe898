"""Reading in one round trip: a statement with its binding before it, which PostgreSQL takes for one transaction."""

from collections import namedtuple
from typing import Any

import psycopg2
from flask import current_app
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from portal.database import tenancy


class Reading:
    """A statement that only reads, written once, its parameters as `%(name)s`; called with them it answers named rows.

    Within a transaction that has begun it reads there, and sees what that has written. Else it needs neither BEGIN nor COMMIT:
    statements that are sent together are one transaction, and what is SET LOCAL in it ends with it.
    """

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.make: Any = None

    def __call__(self, **parameters: Any) -> list[Any]:
        names, rows = _asked(self.statement, parameters)
        if self.make is None:
            row: Any = namedtuple("Row", names)  # type: ignore[misc]  # known by now
            self.make = row._make
        return list(map(self.make, rows))

    def one(self, **parameters: Any) -> Any:
        """The first row; None where there is none."""
        return next(iter(self(**parameters)), None)


def _asked(statement: str, parameters: dict[str, Any]) -> tuple[list[str], list[Any]]:
    bound, extension = tenancy.whose(), current_app.extensions["sqlalchemy"]
    session = extension.session
    if bound.pool != "app" or (session.registry.has() and session().in_transaction()):
        found = session.connection().exec_driver_sql(statement, parameters)
        return list(found.keys()), list(found.all())
    return _asked_alone(extension.engines["alone"], bound.settings + statement, parameters)


def _asked_alone(engine: Engine, statement: str, parameters: dict[str, Any]) -> tuple[list[str], list[Any]]:
    connection: Any = engine.raw_connection()
    try:
        with connection.cursor() as cursor:
            execute(cursor, statement, parameters)
            return [column.name for column in cursor.description], cursor.fetchall()
    except psycopg2.Error as error:
        if connection.dbapi_connection is not None and connection.dbapi_connection.closed:  # so are those that wait beside it
            connection.invalidate(error)
            engine.dispose()
        raise DBAPIError.instance(statement, parameters, error, psycopg2.Error, hide_parameters=True) from error
    finally:
        connection.close()


def execute(cursor: Any, statement: str, parameters: dict[str, Any]) -> None:
    """Where the tests look on."""
    cursor.execute(statement, parameters)
