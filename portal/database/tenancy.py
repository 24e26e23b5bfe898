"""The session bound to a tenant: every transaction says whom it acts for, and row level security does the rest."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

from flask import current_app, g
from flask_sqlalchemy.session import Session
from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import SessionTransaction

Pool = Literal["app", "platform", "worker", "owner"]
ROLE = re.compile("[a-z_]*")


class TenantMissing(RuntimeError):
    """The database was asked for something before anybody said for which tenant."""


@dataclass(frozen=True)
class Bound:
    """Whom the transactions of this app context act for."""

    tenant: UUID | None = None
    user: UUID | None = None
    role: str = ""
    pool: Pool = "app"

    @cached_property
    def settings(self) -> str:
        """What says so to PostgreSQL: always all of it, "" where there is nothing. Raises for what is neither id nor role."""
        if not ROLE.fullmatch(self.role):
            raise TypeError("no role")
        tenant, user = _text(self.tenant), _text(self.user)
        return f"SET LOCAL app.tenant_id = '{tenant}'; SET LOCAL app.user_id = '{user}'; SET LOCAL app.role = '{self.role}'; "


def _text(id_: UUID | None) -> str:
    return "" if id_ is None else str(id_ if type(id_) is UUID else UUID(str(id_)))


def whose() -> Bound:
    """Whom the next transaction acts for; raises TenantMissing where nobody has said so."""
    bound: Bound | None = g.get("bound")
    if bound is None:
        raise TenantMissing("no tenant is bound: call tenancy.bind() or use tenancy.bound()")
    return bound


class PortalSession(Session):
    """A session that refuses to work until `bind` or `bound` has named the tenant (or said that there is none)."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        pool = whose().pool  # before a connection leaves the pool: raising later would pin it
        return self._db.engines[None if pool == "app" else pool]


@event.listens_for(PortalSession, "after_begin")
def bind_transaction(session: PortalSession, transaction: SessionTransaction, connection: Connection) -> None:
    if not transaction.nested:  # savepoints inherit
        connection.exec_driver_sql(g.bound.settings)


def bind(tenant: UUID | None, *, user: UUID | None = None, role: str = "", pool: Pool = "app") -> None:
    """Say whom the following transactions act for. Raises RuntimeError within one: it would stay bound to whom it began for."""
    session = current_app.extensions["sqlalchemy"].session
    if session.registry.has():
        if session().in_transaction():
            raise RuntimeError("bind() within a transaction: end it first")
        session().expunge_all()  # what was loaded for another tenant must not be found again by its id alone
    g.bound = Bound(tenant, user, role, pool)


@contextmanager
def bound(tenant: UUID | None, *, user: UUID | None = None, role: str = "", pool: Pool = "app") -> Iterator[None]:
    """Bind for the length of a block and put back what was bound before; what the block has not committed is rolled back."""
    before = g.get("bound")
    bind(tenant, user=user, role=role, pool=pool)
    try:
        yield
    finally:
        session = current_app.extensions["sqlalchemy"].session
        if session.registry.has():
            session.rollback()
            session.expunge_all()
        g.pop("bound", None)
        if before is not None:
            g.bound = before
