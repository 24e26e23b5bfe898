"""Counting what a request asks of the database; BEGIN and COMMIT are not statements here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from sqlalchemy import event

from portal.extensions import db


@contextmanager
def readings(app: Flask, execute: Any) -> Iterator[None]:
    """What only reads is executed by this within the block."""
    lines = app.extensions["portal.reading"]
    lines.execute = execute
    try:
        yield
    finally:
        del lines.execute


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    with app.app_context():
        engines = list(db.engines.values())
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)

    def read(cursor: Any, statement: str, parameters: Any) -> None:
        seen.append(statement)
        cursor.execute(statement, parameters)

    try:
        with readings(app, read):
            yield seen
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)
