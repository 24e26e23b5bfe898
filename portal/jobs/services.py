"""Asking for a job, telling how far it is, and doing its work."""

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError

from portal import policy
from portal.actor import Actor, Origin
from portal.auth import services as auth
from portal.database import tenancy
from portal.errors import Conflict, Forbidden, Invalid, Refusal
from portal.extensions import db, transaction
from portal.jobs.models import Job
from portal.jobs.work import KINDS, Kind, Pulse, Work, kind

__all__ = ["Progress", "Pulse", "Work", "ask", "carry_out", "job", "kind", "latest", "owed_kinds", "progress_of", "resumable_kinds"]

log = logging.getLogger(__name__)

LIFE = timedelta(days=30)  # of a job and its report
MOST_WAITING = 20  # jobs of one organization: each may take minutes, and the worker does two at a time
LARGEST_ARGUMENTS = 64 * 1024  # characters of JSON; what is larger belongs into a table of its noun
FAULT = "A fault on our side ended this. Nothing more is done; the fault has been written to the portal's log."
AWAY = "The database was away, or had too much to do."
GONE = "Whoever asked for this can no longer sign in."


class NotReachable(Exception):
    """The database did not let an attempt come to its end; another one may."""


@dataclass(frozen=True)
class Progress:
    """How far a job is, for screens; what is not known is None.

    `per_second` and `seconds_left` are measured over the attempt that runs, from its beginning to `as_of`, the worker's last word.
    """

    job: Job
    title: str
    resumable: bool | None
    report_template: str | None
    as_of: datetime | None
    per_second: float | None
    seconds_left: float | None


def ask(kind_name: str, *, by: Actor, arguments: dict[str, Any] | None = None) -> Job:
    """Put a job into the running transaction; the worker takes it up once that is done. Show it at `jobs.show` by its id.

    Raises Forbidden where the kind's question is answered with no, Invalid where too many of the organization wait already (for what is
    owed none are too many), ValueError where the arguments are too large.
    """
    allowed = KINDS[kind_name].question(by)
    if isinstance(allowed, policy.Denied):
        raise Forbidden(allowed.reason, who_helps=allowed.who_helps)
    if not KINDS[kind_name].owed:
        _demand_room(by)
    if len(json.dumps(arguments or {})) > LARGEST_ARGUMENTS:
        raise ValueError("the arguments of a job are small; put what is large into a table, and its id here")
    asked = insert(Job).values(  # only what the app may say of a new job
        tenant_id=by.tenant_id,
        kind=kind_name,
        asked_by=by.id,
        network=by.origin.network,
        arguments=arguments or {},
        expires_at=datetime.now(UTC) + LIFE,
    )
    return db.session.execute(asked.returning(Job)).scalar_one()


def job(tenant_id: UUID, job_id: UUID) -> Job | None:
    """The job within the tenant; None for unknown and foreign ids, and for what is owed, alike."""
    return db.session.execute(select(Job).where(*_of_people(tenant_id), Job.id == job_id)).scalar_one_or_none()


def latest(*, by: Actor) -> list[Progress]:
    """The organization's jobs that the actor may see, the newest first, at most 50: for finding one's way back to them."""
    mine = _of_people(by.tenant_id)
    if not policy.administers_organization(by):
        mine.append(Job.asked_by == by.id)
    found = db.session.execute(select(Job).where(*mine).order_by(Job.id.desc()).limit(50)).scalars()
    return [progress_of(job) for job in found if policy.may_see_job(by, job)]


def progress_of(job: Job) -> Progress:
    """What the screen shows of a job, also of a kind that this version of the portal does not know."""
    known = KINDS.get(job.kind)
    rate = left = None
    if job.state == "running" and job.beat_at and job.started_at:
        seconds = (job.beat_at - job.started_at).total_seconds()
        rate = (job.done - job.done_before) / seconds if seconds > 0 and job.done > job.done_before else None
        left = (job.total - job.done) / rate if rate and job.total is not None and job.total >= job.done else None
    title = known.title if known else job.kind
    resumable, report = (known.resumable, known.report) if known else (None, None)
    return Progress(job, title, resumable, report, job.finished_at or job.beat_at, rate, left)


def resumable_kinds() -> dict[str, bool]:
    """The kinds that this version knows, and whether each can go on where an earlier attempt has ended."""
    return {name: kind.resumable for name, kind in KINDS.items()}


def owed_kinds() -> list[str]:
    """The kinds that this version knows and that must be done at last."""
    return [name for name, kind in KINDS.items() if kind.owed]


def carry_out(tenant_id: UUID, job_id: UUID, *, attempt: int, pulse: Pulse) -> str | None:
    """Do the work of a job that the worker has taken up, as whoever asked for it, under the row level security of the web.

    Returns None when it is done, which is then committed together with the work; else the sentence that says why it failed.
    Raises NotReachable where the database was the reason, Overtaken where another worker has the job.
    """
    try:
        with tenancy.bound(tenant_id):
            kind, work = _begun(tenant_id, job_id, attempt, pulse)
        allowed = kind.question(work.by)
        if isinstance(allowed, policy.Denied):
            raise Forbidden(allowed.reason)
        with tenancy.bound(tenant_id, user=work.by.id, role=work.by.role):
            _do(kind, work)
        return None
    except Refusal as refusal:
        return " ".join(refusal.fields.values()) or refusal.message
    except (IntegrityError, StaleDataError):
        log.exception("a job met somebody else's change")
        return Conflict.default_message
    except Exception as error:
        lost = isinstance(error, DBAPIError) and error.connection_invalidated
        if lost or isinstance(error, OperationalError | InterfaceError | PoolTimeout):
            log.warning("the job %s could not go on: %s", job_id, str(error).splitlines()[0])
            raise NotReachable(AWAY) from error
        log.exception("the job %s failed", job_id)
        return FAULT


def _of_people(tenant_id: UUID) -> list[Any]:
    """Which jobs of a tenant somebody has asked for, to look at."""
    return [Job.tenant_id == tenant_id, Job.kind.not_in(owed_kinds())]


def _demand_room(by: Actor) -> None:
    waiting = select(func.count()).select_from(Job).where(*_of_people(by.tenant_id), Job.state.in_(("queued", "running")))
    if db.session.execute(waiting).scalar_one() >= MOST_WAITING:
        raise Invalid(f"{MOST_WAITING} jobs of your organization wait already. Ask for this one when some of them are done.")


def _begun(tenant_id: UUID, job_id: UUID, attempt: int, pulse: Pulse) -> tuple[Kind, Work]:
    """The job's kind, and this attempt at it as whoever asked for it; raises Forbidden where they are gone and nothing is owed."""
    asked = db.session.execute(select(Job).where(Job.tenant_id == tenant_id, Job.id == job_id)).scalar_one()
    kind = KINDS[asked.kind]
    by = auth.actor_again(tenant_id, asked.asked_by, Origin(asked.network), even_gone=kind.owed)
    if by is None:
        raise Forbidden(GONE)
    pulse.done, pulse.total = asked.done, asked.total
    return kind, Work(job_id, by, attempt, asked.arguments, asked.checkpoint, pulse)


def _do(kind: Kind, work: Work) -> None:
    if kind.resumable:
        report = kind.act(work)
        with transaction():
            work.finish(report)
    else:
        with transaction():
            work.finish(kind.act(work))
