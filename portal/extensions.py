"""The Flask extensions, and the only place that ends a transaction."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from flask import Response, current_app, request
from flask_compress import Compress
from flask_compress.flask_compress import _choose_algorithm, _compress_data
from flask_limiter import Limiter
from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.orm import ORMExecuteState, SessionTransaction

from portal.config import Settings
from portal.database.tenancy import PortalSession
from portal.values import fingerprint, network_of

SMALLEST = 500  # bytes that are compressed


class Compression(Compress):
    """Flask-Compress's choice and means, without the looks at what no page of ours has: a validator, a Vary of its own, an old encoding."""

    def after_request(self, response: Any) -> Response:
        body = response.response
        if not isinstance(body, list) or not 200 <= response.status_code < 300 or sum(map(len, body)) < SMALLEST:
            return response
        kind = (response.content_type or "").partition(";")[0]
        algorithm = _chosen(self.enabled_algorithms, request.headers.get("Accept-Encoding", ""))
        if algorithm and kind in self.compress_mimetypes_set and "Content-Encoding" not in response.headers:
            response.set_data(_compress_data(current_app._get_current_object(), response.get_data(), algorithm))  # type: ignore[attr-defined]
            response.headers.add("Content-Encoding", algorithm)
        return response


_chosen = lru_cache(maxsize=256)(_choose_algorithm)


class Login(LoginManager):
    """Of a session nothing counts but its credential, and there is no cookie that remembers more; so neither is looked for."""

    def _session_protection_failed(self) -> bool:
        return False

    def _update_remember_cookie(self, response: Response) -> Response:
        return response


db = SQLAlchemy(session_options={"class_": PortalSession, "expire_on_commit": False})
login = Login()
csrf = CSRFProtect()
compress = Compression()
limiter = Limiter(key_func=lambda: fingerprint(network_of(request.remote_addr or "")).hex())


def in_transaction() -> bool:
    """Whether one was begun; most pages only read, and have none."""
    return bool(db.session.registry.has() and db.session().in_transaction())


def commit() -> None:
    if in_transaction():
        db.session.commit()


def rollback() -> None:
    if in_transaction():
        db.session.rollback()


def release() -> None:
    """Give the connection back before slow work (hashing); refuses to throw away what was written."""
    if not in_transaction():
        return
    if db.session.info.get("wrote") or db.session.new or db.session.dirty or db.session.deleted:
        raise RuntimeError("release() would throw away what this transaction wrote")
    db.session.rollback()


@event.listens_for(PortalSession, "after_flush")
def _note_flush(session: PortalSession, _context: object) -> None:
    session.info["wrote"] = True


@event.listens_for(PortalSession, "do_orm_execute")
def _note_write(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        state.session.info["wrote"] = True


@event.listens_for(PortalSession, "after_transaction_end")
def _forget_writes(session: PortalSession, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop("wrote", None)


def constraint_of(error: IntegrityError) -> str | None:
    """The name of the constraint that a statement broke."""
    return getattr(getattr(error.orig, "diag", None), "constraint_name", None)


def was_refused(error: ProgrammingError) -> bool:
    """Whether row level security refused a row, or a right was missing."""
    return getattr(error.orig, "pgcode", None) == "42501"


def afterwards(act: Callable[[], None]) -> None:
    """Commit what was done so far; `act` is then the request's next transaction, which fails or succeeds without it."""
    db.session.commit()
    act()


def on_its_own(act: Callable[[], object]) -> None:
    """Run `act` in a transaction of its own, after the request's was rolled back."""
    db.session.rollback()
    act()
    db.session.commit()


@contextmanager
def transaction() -> Iterator[None]:
    """For commands and the tests: done entirely or not at all."""
    try:
        yield
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise


def settings() -> Settings:
    """The settings of the running application."""
    return current_app.config["PORTAL"]
