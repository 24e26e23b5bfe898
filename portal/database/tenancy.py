"""The session bound to a tenant: every transaction says whom it acts for, and row level security does the rest."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from flask import current_app, g
from flask_sqlalchemy.session import Session
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.orm import SessionTransaction

Pool = Literal["app", "platform", "worker", "owner"]
BIND_TENANT = "SET LOCAL app.tenant_id = :bound_tenant;"
BIND_ACTOR = "SET LOCAL app.user_id = :bound_user; SET LOCAL app.role = :bound_role;"
BIND = text(BIND_TENANT + BIND_ACTOR)


class TenantMissing(RuntimeError):
    """The database was asked for something before anybody said for which tenant."""


@dataclass(frozen=True)
class Bound:
    """Whom the transactions of this app context act for; `rides` where the first statement carries the binding itself."""

    tenant: UUID | None = None
    user: UUID | None = None
    role: str = ""
    pool: Pool = "app"
    rides: bool = False

    @property
    def parameters(self) -> dict[str, str]:
        return {"bound_tenant": str(self.tenant or ""), "bound_user": str(self.user or ""), "bound_role": self.role}


class PortalSession(Session):
    """A session that refuses to work until `bind` or `bound` has named the tenant (or said that there is none)."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        if "bound" not in g:  # before a connection leaves the pool: raising later would pin it
            raise TenantMissing("no tenant is bound: call tenancy.bind() or use tenancy.bound()")
        pool = g.bound.pool
        return self._db.engines[None if pool == "app" else pool]


@event.listens_for(PortalSession, "after_begin")
def bind_transaction(session: PortalSession, transaction: SessionTransaction, connection: Connection) -> None:
    if not transaction.nested and not g.bound.rides:  # savepoints inherit
        connection.execute(BIND, g.bound.parameters)


def bind(tenant: UUID | None, *, user: UUID | None = None, role: str = "", pool: Pool = "app", rides: bool = False) -> None:
    """Say whom the following transactions act for. Raises RuntimeError within one: it would stay bound to whom it began for."""
    session = current_app.extensions["sqlalchemy"].session
    if session().in_transaction():
        raise RuntimeError("bind() within a transaction: end it first")
    session.expunge_all()  # what was loaded for another tenant must not be found again by its id alone
    g.bound = Bound(tenant, user, role, pool, rides)


def bind_actor(session: Any, user: UUID, role: str, also: str = "", **parameters: Any) -> None:
    """Name the actor within the running transaction; one more statement may ride along."""
    g.bound = replace(g.bound, user=user, role=role, rides=False)
    session.execute(text(BIND_ACTOR + also), {**g.bound.parameters, **parameters})


@contextmanager
def bound(tenant: UUID | None, *, user: UUID | None = None, role: str = "", pool: Pool = "app") -> Iterator[None]:
    """Bind for the length of a block and put back what was bound before; what the block has not committed is rolled back."""
    before = g.get("bound")
    bind(tenant, user=user, role=role, pool=pool)
    try:
        yield
    finally:
        session = current_app.extensions["sqlalchemy"].session
        session.rollback()
        session.expunge_all()
        g.pop("bound", None)
        if before is not None:
            g.bound = before
