"""Kinds of jobs, registered by the nouns that know them, and what a kind's function is handed while it runs.

    @jobs.kind("users.import", title="Import of users", question=policy.administers_organization)
    def import_users(work: Work) -> dict[str, Any]:
        for number, row in enumerate(rows_of(work.arguments["upload"])):
            ...                                    # the same services as in a request, with by=work.by
            work.progress(number, total)           # seen at once, although nothing is committed yet
        return {"added": number}

A kind that must begin anew (the default) runs within one transaction: all or nothing, and a worker that dies leaves nothing behind.
A kind that can be `resumable` commits in steps of its own, each with a checkpoint from which the next attempt goes on:

    after = (work.checkpoint or {}).get("after")
    for batch in batches(after):
        with work.step(done, {"after": batch[-1].id}):
            ...
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, update

from portal.actor import Actor
from portal.extensions import db, transaction
from portal.jobs.models import Job
from portal.policy import Answer

Report = dict[str, Any]


class Overtaken(BaseException):
    """Another worker has taken the job up meanwhile: nothing of this attempt may stay."""


@dataclass
class Pulse:
    """Where the work writes how far it is, and the worker reads it; `check` raises where the work must not go on."""

    done: int = 0
    total: int | None = None
    check: Callable[[], None] = field(default=lambda: None)


@dataclass
class Work:
    """One attempt at a job, bound to the tenant of `by`, who asked for it; `checkpoint` is what an earlier attempt has left."""

    job_id: UUID
    by: Actor
    attempt: int
    arguments: dict[str, Any]
    checkpoint: dict[str, Any] | None
    pulse: Pulse

    def progress(self, done: int, total: int | None = None) -> None:
        """Say how far it is, as often as you like: shown within a second, written by another connection than the work's own.

        Ends the work where the worker is to stop or has lost the job.
        """
        self.pulse.done = done
        self.pulse.total = self.pulse.total if total is None else total
        self.pulse.check()

    @contextmanager
    def step(self, done: int, checkpoint: dict[str, Any]) -> Iterator[None]:
        """One transaction of a resumable kind, kept together with the checkpoint, or not at all."""
        with transaction():
            yield
            self.store(done=done, total=self.pulse.total, checkpoint=checkpoint)
        self.checkpoint = checkpoint
        self.progress(done)

    def finish(self, report: Report) -> None:
        """Note within the running transaction that the work is done: both are committed, or neither."""
        now = func.clock_timestamp()  # the transaction began with the work
        self.store(state="done", done=self.pulse.done, total=self.pulse.total, report=report, finished_at=now)

    def store(self, **values: Any) -> None:
        """Raises Overtaken unless this attempt still holds the job."""
        mine = (Job.tenant_id == self.by.tenant_id, Job.id == self.job_id, Job.attempts == self.attempt, Job.state == "running")
        if db.session.execute(update(Job).where(*mine).values(**values).returning(Job.id)).first() is None:
            raise Overtaken


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    `name` stands in the table, `title` on the screen. `question` is the policy's about whoever asks, asked when it is asked for and
    once more before it begins. `act` returns the report, a dict that JSON can hold: shown as names with words and figures, in no
    order, or by the fragment named in `report`, whose context is `job` and `report`.

    What is `owed` follows from an act that was done already, so that nothing may keep it from being done: no limit counts it, nobody's
    fault ends it, and it is done whatever has become meanwhile of whoever acted. It is nobody's work to look at, and no page shows it.
    """

    name: str
    title: str
    question: Callable[[Actor], Answer]
    act: Callable[[Work], Report]
    resumable: bool
    report: str | None
    owed: bool


KINDS: dict[str, Kind] = {}


def kind(
    name: str,
    *,
    title: str,
    question: Callable[[Actor], Answer],
    resumable: bool = False,
    report: str | None = None,
    owed: bool = False,
) -> Callable[[Callable[[Work], Report]], Callable[[Work], Report]]:
    """Register a function as the work of a kind of job; in a module that the application imports, such as a noun's services."""

    def register(act: Callable[[Work], Report]) -> Callable[[Work], Report]:
        KINDS[name] = Kind(name, title, question, act, resumable, report, owed)
        return act

    return register
