"""Carries duties out when they are due, as long as nobody asks to stop, also across a database that goes and comes back."""

import select
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, set_wait_callback

from portal.database import connect
from portal.system import say

LOOK_UP = 0.25  # seconds after which a request to stop is noticed
LONGEST_PAUSE = 60.0  # seconds between tries while the database is away


class Stopping(BaseException):
    """The process was asked to end while a statement was under way; the server rolls it back."""


@dataclass
class Duty:
    """Something to do every so many seconds; `act` gets a DBAPI connection as portal_worker, in autocommit."""

    name: str
    every: float
    act: Callable[[Any], object]
    due: float = 0.0


class Loop:
    """The duties of one worker process."""

    def __init__(self, url: str, duties: list[Duty]) -> None:
        self.url, self.duties = url, duties
        self.stopping = False  # no Event: setting one in a signal's handler can wait for itself
        self.connection: Any = None

    def stop(self, *_signal: object) -> None:
        self.stopping = True

    def run(self) -> None:
        """Returns within a second of `stop()`."""
        set_wait_callback(self._wait)
        failures = 0
        with suppress(Stopping):
            while not self.stopping:
                try:
                    self._do_what_is_due()
                    failures = 0
                    pause = max(0.0, min(duty.due for duty in self.duties) - time.monotonic())
                except psycopg2.Error as error:
                    pause = min(LONGEST_PAUSE, 2.0**failures)
                    failures = min(failures + 1, 10)
                    self._let_go(error, pause)
                self._rest(pause)

    def _do_what_is_due(self) -> None:
        for duty in self.duties:
            if duty.due <= time.monotonic():
                duty.act(self._connected())
                duty.due = time.monotonic() + duty.every

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stopping and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_UP))

    def _connected(self) -> Any:
        if self.connection is None:
            self.connection = connect(self.url, connect_timeout=5, application_name="portal worker")
            self.connection.autocommit = True
        return self.connection

    def _let_go(self, error: psycopg2.Error, pause: float) -> None:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        say(f"The worker could not do its work ({told}); it tries again in {pause:.0f} s.")
        if self.connection is not None:
            with suppress(psycopg2.Error):
                self.connection.close()
        self.connection = None

    def _wait(self, connection: Any) -> None:
        """Waits for the server as psycopg2 would, but looks up when the process is asked to end."""
        while True:
            state = connection.poll()
            if state == POLL_OK:
                return
            if self.stopping:
                raise Stopping
            descriptor = [connection.fileno()]
            select.select(descriptor if state == POLL_READ else [], descriptor if state == POLL_WRITE else [], [], LOOK_UP)
