"""The duty that does jobs: takes one up, keeps saying that it lives, and has its work done as whoever asked for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg2

from portal.config import Settings
from portal.database import first_row, rows_changed
from portal.worker.stopping import Stop, Stopping

if TYPE_CHECKING:
    from flask import Flask

    from portal.jobs.services import Pulse

BEAT = 1.0  # seconds between two words about how far it is
LEASE = 30  # seconds after the last word until another worker takes the job up
ATTEMPTS = 5  # at what is not owed
LONGEST_PAUSE = 300  # seconds between two attempts
WORN_OUT = f"It was begun {ATTEMPTS} times, and each time the worker or the database went away before it was done."

WAITS = "state IN ('queued', 'running') AND take_after <= now()"
WAITING = f"SELECT EXISTS (SELECT FROM jobs WHERE {WAITS})"
# One after the other within an organization, so that none holds up the others, and what was asked first is done first.
TAKE = f"""
    WITH taken AS (
        SELECT tenant_id, id, kind = ANY (%(resumable)s) AS goes_on FROM jobs AS waiting
        WHERE {WAITS} AND (attempts < {ATTEMPTS} OR kind = ANY (%(owed)s)) AND kind = ANY (%(kinds)s) AND NOT EXISTS (
            SELECT FROM jobs AS other WHERE other.tenant_id = waiting.tenant_id AND other.state = 'running' AND other.take_after > now())
        ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE jobs SET state = 'running', attempts = attempts + 1, started_at = now(), beat_at = now(), error = NULL,
        done = CASE WHEN goes_on THEN done ELSE 0 END, done_before = CASE WHEN goes_on THEN done ELSE 0 END,
        take_after = now() + make_interval(secs => {LEASE})
    FROM taken WHERE jobs.tenant_id = taken.tenant_id AND jobs.id = taken.id
    RETURNING jobs.tenant_id::text, jobs.id::text, attempts"""
MINE = "WHERE tenant_id = %(tenant)s AND id = %(id)s AND attempts = %(attempt)s AND state = 'running'"
BEATS = f"""
    UPDATE jobs SET done = %(done)s, total = %(total)s, beat_at = now(), take_after = now() + make_interval(secs => {LEASE}) {MINE}"""
FAILED = f"UPDATE jobs SET state = 'failed', error = %(why)s, finished_at = now() {MINE} AND NOT kind = ANY (%(owed)s)"
AGAIN = f"UPDATE jobs SET state = 'queued', error = %(why)s, take_after = now() + make_interval(secs => %(pause)s) {MINE}"
GIVEN_UP = f"""
    UPDATE jobs SET state = 'failed', error = %(why)s, finished_at = now()
    WHERE {WAITS} AND attempts >= {ATTEMPTS} AND NOT kind = ANY (%(owed)s)"""


class Application:
    """The portal's application, for work that goes through its services: loaded when the first job comes, one for all threads."""

    def __init__(self, settings: Settings, loaded: "Flask | None" = None) -> None:
        self.settings, self.loaded = settings, loaded
        self.loading, self.taking = threading.Lock(), threading.Lock()

    def __call__(self) -> "Flask":
        from portal import create_app

        with self.loading:
            self.loaded = self.loaded or create_app(self.settings)
        return self.loaded


@dataclass(frozen=True)
class Taken:
    """A job that this worker has taken up; the number of the attempt proves it."""

    tenant_id: str
    id: str
    attempt: int

    @property
    def key(self) -> dict[str, Any]:
        """The parameters of MINE."""
        return {"tenant": self.tenant_id, "id": self.id, "attempt": self.attempt}


class Jobs:
    """Does what waits, one job at a time."""

    def __init__(self, application: Application, stop: Stop) -> None:
        self.application, self.stop = application, stop

    def act(self, connection: Any) -> None:
        """Do jobs until none waits that this worker may take. `connection` is a DBAPI one as portal_worker, in autocommit."""
        while not self.stop.asked and first_row(connection, WAITING)[0]:
            app = self.application()
            give_up(connection)
            with self.application.taking:
                taken = take(connection)
            if taken is None:
                return
            with app.app_context():
                self._carry_out(connection, taken)

    def _carry_out(self, connection: Any, taken: Taken) -> None:
        from portal.jobs import services as jobs
        from portal.jobs.work import Overtaken

        pulse = jobs.Pulse()
        try:
            with self._beating(connection, taken, pulse):
                failed = jobs.carry_out(UUID(taken.tenant_id), UUID(taken.id), attempt=taken.attempt, pulse=pulse)
        except Overtaken:
            return
        except jobs.NotReachable as error:
            try_again(connection, taken, str(error))
        except Stopping:
            with self.stop.finishing():  # rolled back by now: the next worker need not wait for the lease to end
                rows_changed(connection, AGAIN, **taken.key, why=None, pause=0)
            raise
        else:
            if failed and not rows_changed(connection, FAILED, **taken.key, why=failed, owed=jobs.owed_kinds()):
                try_again(connection, taken, failed)

    @contextmanager
    def _beating(self, connection: Any, taken: Taken, pulse: "Pulse") -> Iterator[None]:
        """Within the block another thread uses the connection, once a second, to say that the work goes on and how far it is."""
        from portal.jobs.work import Overtaken

        over, lost = threading.Event(), threading.Event()

        def check() -> None:
            self.stop.check()
            if lost.is_set():
                raise Overtaken

        def beat() -> None:
            while not over.wait(BEAT):
                try:
                    with self.stop.finishing():  # cut off, it would take the connection along
                        held = rows_changed(connection, BEATS, **taken.key, done=pulse.done, total=pulse.total)
                except psycopg2.Error:
                    held = 0
                if not held:
                    lost.set()
                    return

        pulse.check = check
        heart = threading.Thread(target=beat, name="heart", daemon=True)
        heart.start()
        try:
            yield
        finally:
            over.set()
            heart.join()


def take(connection: Any) -> Taken | None:
    """The job that is to be done next, of a kind that this version knows; None when there is none that no other worker has."""
    from portal.jobs.services import owed_kinds, resumable_kinds

    kinds = resumable_kinds()
    given = {"kinds": list(kinds), "resumable": [name for name, resumable in kinds.items() if resumable], "owed": owed_kinds()}
    row = first_row(connection, TAKE, **given)
    return Taken(*row) if row else None


def try_again(connection: Any, taken: Taken, why: str) -> None:
    """Let another attempt come after a pause, the longer the more there were."""
    rows_changed(connection, AGAIN, **taken.key, why=why, pause=min(2 ** min(taken.attempt, 9), LONGEST_PAUSE))


def give_up(connection: Any) -> None:
    """End what was begun often enough; what is owed is tried on."""
    from portal.jobs.services import owed_kinds

    rows_changed(connection, GIVEN_UP, why=WORN_OUT, owed=owed_kinds())
