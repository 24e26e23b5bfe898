"""The Flask extensions, and the only place that ends a transaction."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import current_app, request
from flask_compress import Compress
from flask_limiter import Limiter
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect

from portal.config import Settings
from portal.database.tenancy import PortalSession
from portal.values import network_of

db = SQLAlchemy(session_options={"class_": PortalSession, "expire_on_commit": False})
migrate = Migrate(db=db)
login = LoginManager()
csrf = CSRFProtect()
compress = Compress()
limiter = Limiter(key_func=lambda: network_of(request.remote_addr or ""))


def commit() -> None:
    db.session.commit()


def rollback() -> None:
    db.session.rollback()


def release() -> None:
    """Give the connection back before slow work (hashing); refuses to throw away changes."""
    if db.session.new or db.session.dirty or db.session.deleted:
        raise RuntimeError("release() would throw away changes that were not committed")
    db.session.rollback()


def on_its_own(act: Callable[[], None]) -> None:
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
