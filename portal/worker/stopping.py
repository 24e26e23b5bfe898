"""Ending the worker: what is under way in any of its threads is cut off, but for what must not be left half said."""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE

LOOK_UP = 0.25  # seconds after which a request to stop is noticed


class Stopping(BaseException):
    """The process was asked to end while something was under way; what the database was doing for it is rolled back there."""


class Stop:
    """Whether this process was asked to end, for all its threads."""

    def __init__(self) -> None:
        self.asked = False  # no Event: setting one in a signal's handler can wait for itself
        self._finishing = threading.local()

    def ask(self, *_signal: object) -> None:
        """Also a signal's handler."""
        self.asked = True

    def check(self) -> None:
        """Raises Stopping when the process was asked to end."""
        if self.asked and not getattr(self._finishing, "on", False):
            raise Stopping

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """What is done within the block is finished even now: it says what was done already."""
        self._finishing.on = True
        try:
            yield
        finally:
            self._finishing.on = False

    def rest(self, seconds: float) -> None:
        """Sleep, but not beyond the request to end."""
        until = time.monotonic() + seconds
        while not self.asked and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_UP))

    def wait_for_server(self, connection: Any) -> None:
        """psycopg2's way to wait for the database, for every connection of the process; looks up when the process is asked to end.

        What it raises makes psycopg2 close the connection.
        """
        while True:
            state = connection.poll()
            if state == POLL_OK:
                return
            self.check()
            descriptor = [connection.fileno()]
            select.select(descriptor if state == POLL_READ else [], descriptor if state == POLL_WRITE else [], [], LOOK_UP)
