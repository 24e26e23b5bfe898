"""Looking at what is bound, and taking either of the two walls away: the code's own filter, or row level security."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from flask import Flask
from sqlalchemy import event, text

from portal.database import reading
from portal.extensions import db
from portal.testing.browser import Browser
from tests.statements import readings
from tests.test_doors import ENDING, doors, path_of

BOUND = text("SELECT current_setting('app.tenant_id', true), current_setting('app.user_id', true), current_setting('app.role', true)")
BINDING = re.compile(r"^(SET LOCAL app\.\w+ = '[^']*'; )+")
OWN_FILTER = re.compile(r"(\w+\.)?(?<!app\.)\b(tenant_id|(?<=\bt\.)id) = (CAST\(%\(\w+\)s AS uuid\)|%\(\w+\)s(::UUID)?)")


def close(app: Flask) -> None:
    reading.close(app)
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@contextmanager
def watched(app: Flask) -> Iterator[list[tuple[str, tuple[str, ...]]]]:
    """Every statement with what is bound once it ran, read on the same connection within the same transaction."""
    seen: list[tuple[str, tuple[str, ...]]] = []

    def note(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        with connection.connection.cursor() as cursor:
            cursor.execute(BOUND.text)
            seen.append((" ".join(statement.split()), tuple(value or "" for value in cursor.fetchone())))

    def read(cursor: Any, statement: str, parameters: Any) -> None:
        """A reading is a transaction by itself and over when its answer is there; here it is held open for the look."""
        with cursor.connection.cursor() as beside:
            beside.execute("BEGIN")
            cursor.execute(statement, parameters)
            beside.execute(BOUND.text)
            seen.append((" ".join(BINDING.sub("", statement).split()), tuple(value or "" for value in beside.fetchone())))
            beside.execute("COMMIT")

    with app.app_context():
        engines = [db.engines[None], db.engines["platform"]]  # not that of the limits: it counts hashes, for nobody
    for engine in engines:
        event.listen(engine, "after_cursor_execute", note)
    try:
        with readings(app, read):
            yield seen
    finally:
        for engine in engines:
            event.remove(engine, "after_cursor_execute", note)


@contextmanager
def a_role(cluster: Any, database: str, rights: str) -> Iterator[str]:
    """The address of a login of this run, past any pooler, which knows the portal's roles only; the rights of portal_app come with it."""
    name = f"{database}_mighty"
    cluster.administer(f"CREATE ROLE {name} LOGIN PASSWORD 'mighty' {rights}")
    try:
        yield re.sub("//portal_app:[^@]*@", f"//{name}:mighty@", cluster.instance.urls(database)["app"])
    finally:
        cluster.administer(f"DROP ROLE {name}")


def without_filter(app: Flask) -> Callable[[], int]:
    """Take the code's own tenant filter out of every statement of this app; returns how many were taken."""
    taken = []

    def strip(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        bare, count = OWN_FILTER.subn("true", statement)
        taken.append(count)
        return bare, parameters

    def read(cursor: Any, statement: str, parameters: Any) -> None:
        cursor.execute(*strip(None, cursor, statement, parameters))

    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", strip, retval=True)
    app.extensions["portal.reading"].execute = read
    return lambda: sum(taken)


def walk(app: Flask, cast: SimpleNamespace) -> None:
    """Every door, as a user, an org_admin and an admin: no canary of another organization on any answer."""
    for person in (cast.acme.user, cast.acme.admin, cast.platform.admin):
        browser = Browser(app).sign_in(person)
        token = browser.token()
        for rule, method in doors(app):
            path = path_of(app, rule, cast)
            if rule.endpoint in ENDING:
                continue
            response = browser.client.open(path, method=method, data={"csrf_token": token} if method == "POST" else None)
            seen = set(re.findall(r"CANARY-(\w+)", response.get_data(as_text=True)))
            assert response.status_code < 500, f"{method} {path}"
            assert seen <= {person.subdomain, "free"}, f"{method} {path} shows {seen} to {person.email}"
            assert seen or (method, path) != ("GET", "/"), "even the own canary is missing"
