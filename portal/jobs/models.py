"""The table of jobs."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from portal.extensions import db
from portal.organizations.models import Moment, Words
from portal.users.models import User


class Job(db.Model):  # type: ignore[name-defined]
    """Work that somebody asked for, from `network`; `state` is queued, running, done or failed.

    Nobody takes it up before `take_after`: the end of a pause, or of the lease of the worker that does it now, which goes on living
    as long as the worker does. `attempts` counts how often it was taken up and names the attempt that holds the lease. `done` of
    `total` (None while unknown) was reached at `beat_at` by the attempt that began at `started_at` with `done_before`. `checkpoint` is
    what a resumable kind left behind for its next attempt; `report` is what the work says at its end, `error` why it failed or waits.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "asked_by"], [User.tenant_id, User.id], name="jobs_tenant_id_asked_by_fkey"),
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name="jobs_state_known"),
        CheckConstraint("(finished_at IS NOT NULL) = (state IN ('done', 'failed'))", name="jobs_finished_at_the_end"),
        Index("jobs_waiting_idx", "created_at", postgresql_where=text("state IN ('queued', 'running')")),
        Index("jobs_expires_at_idx", "expires_at"),
    )

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    kind: Mapped[Words]
    asked_by: Mapped[UUID]
    network: Mapped[Words | None]
    arguments: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    state: Mapped[Words] = mapped_column(server_default=text("'queued'"))
    done: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    total: Mapped[int | None] = mapped_column(BigInteger)
    done_before: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    checkpoint: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
    take_after: Mapped[Moment] = mapped_column(server_default=func.now())
    started_at: Mapped[Moment | None]
    beat_at: Mapped[Moment | None]
    finished_at: Mapped[Moment | None]
    expires_at: Mapped[Moment]
    report: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    error: Mapped[Words | None]

    @property
    def over(self) -> bool:
        """Whether it is done or has failed; nothing more happens to it then."""
        return self.finished_at is not None
