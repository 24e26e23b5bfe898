"""The smallest honest Flask page: who is signed in, and 25 rows of a million, by two statements and one template.

Nothing of the portal is in it; gunicorn serves it with the same workers. What the portal's pages cost is told as a multiple of this one.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask, render_template, request
from flask_login import LoginManager, UserMixin, login_required
from psycopg2.pool import ThreadedConnectionPool

SCHEMA = """
    CREATE TABLE people (id integer PRIMARY KEY, name text NOT NULL, email text NOT NULL);
    CREATE TABLE sessions (secret_hash bytea PRIMARY KEY, person_id integer NOT NULL REFERENCES people, expires_at timestamptz NOT NULL);
    CREATE TABLE things (
        id integer PRIMARY KEY, name text NOT NULL, kind text NOT NULL, amount integer NOT NULL,
        active boolean NOT NULL, made_at timestamptz NOT NULL);
    INSERT INTO people SELECT n, 'Person ' || n, 'person-' || n || '@smallest.example' FROM generate_series(1, 1000) AS n;
    INSERT INTO things
    SELECT n, 'Thing ' || n, 'kind ' || mod(n, 7), mod(n, 1009), mod(n, 11) > 0, timestamptz '2026-01-01Z' + n * interval '1 second'
    FROM generate_series(1, %s) AS n"""
WHO = """
    SELECT p.id, p.name, p.email FROM sessions s JOIN people p ON p.id = s.person_id
    WHERE s.secret_hash = %s AND s.expires_at > now()"""
SIGN_IN = "INSERT INTO sessions VALUES (%s, 1, now() + interval '1 day')"
ROWS = "SELECT id, name, kind, amount, active, made_at FROM things WHERE id > %s ORDER BY id LIMIT 25"

app = Flask(__name__)
app.secret_key = os.environ.get("SMALLEST_SECRET")
login = LoginManager(app)
login.session_protection = None


@dataclass(frozen=True)
class Person(UserMixin):
    id: int
    name: str
    email: str


def connected() -> ThreadedConnectionPool:
    """As many connections as the worker has threads, all kept: what is returned above `minconn` would be closed."""
    threads = int(os.environ["SMALLEST_THREADS"])
    return ThreadedConnectionPool(threads, threads, os.environ["SMALLEST_DATABASE"])


pool = connected() if "SMALLEST_DATABASE" in os.environ else None


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


@contextmanager
def cursor() -> Iterator[Any]:
    assert pool is not None
    connection = pool.getconn()
    connection.autocommit = True
    try:
        with connection.cursor() as found:
            yield found
    finally:
        pool.putconn(connection)


@login.user_loader
def person_of(secret: str) -> Person | None:
    with cursor() as found:
        found.execute(WHO, [digest(secret)])
        row = found.fetchone()
    return Person(*row) if row else None


@app.get("/")
@login_required
def index() -> str:
    with cursor() as found:
        found.execute(ROWS, [request.args.get("after", 0, int)])
        return render_template("smallest.html", rows=found.fetchall())
