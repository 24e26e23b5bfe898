"""Carries duties out when they are due, as long as nobody asks to stop, also across a database that goes and comes back."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg2

from portal.database import connect, health
from portal.system import StartRefused, say
from portal.worker.stopping import Stop, Stopping

LONGEST_PAUSE = 60.0  # seconds between tries while the database is away


@dataclass
class Duty:
    """Something to do every so many seconds; `act` gets a DBAPI connection as portal_worker, in autocommit."""

    name: str
    every: float
    act: Callable[[Any], object]
    due: float = 0.0


class Loop(threading.Thread):
    """A thread with duties of its own and a connection for them, so that what takes long does not keep others waiting."""

    def __init__(self, url: str, duties: list[Duty], stop: Stop) -> None:
        super().__init__(name=" and ".join(duty.name for duty in duties), daemon=True)
        self.url, self.duties, self.stop = url, duties, stop
        self.connection: Any = None

    def run(self) -> None:
        """Returns within a second of `stop.ask()`, but for what is being finished."""
        failures = 0
        with suppress(Stopping):
            while not self.stop.asked:
                try:
                    self._do_what_is_due()
                    failures = 0
                    pause = max(0.0, min(duty.due for duty in self.duties) - time.monotonic())
                except (psycopg2.Error, StartRefused) as error:
                    pause = min(LONGEST_PAUSE, 2.0**failures)
                    failures = min(failures + 1, 10)
                    self._let_go(error, pause)
                self.stop.rest(pause)

    def _do_what_is_due(self) -> None:
        for duty in self.duties:
            if duty.due <= time.monotonic():
                duty.act(self._connected())
                duty.due = time.monotonic() + duty.every

    def _connected(self) -> Any:
        if self.connection is None:
            self.connection = connect(self.url, connect_timeout=5, application_name=f"portal worker: {self.name}")
            health.demand_role(self.connection, "portal_worker")
            self.connection.autocommit = True
        return self.connection

    def _let_go(self, error: Exception, pause: float) -> None:
        if self.stop.asked:
            return
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        say(f"The worker could not do its work ({told}); it tries again in {pause:.0f} s.")
        if self.connection is not None:
            with suppress(psycopg2.Error):
                self.connection.close()
        self.connection = None
