"""A web worker of gunicorn whose threads do not wait for ever for a client that sends slowly."""

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import ThreadWorker


class Worker(ThreadWorker):
    """Stops reading from a connection REQUEST_SECONDS after a thread took it up; an answer that is being sent goes on."""

    def init_process(self) -> None:
        self.patience = float(os.environ["REQUEST_SECONDS"])
        self.reading: dict[socket.socket, float] = {}
        threading.Thread(target=self.stop_waiting, daemon=True).start()
        super().init_process()

    def handle(self, conn: Any) -> Any:
        self.reading[conn.sock] = time.monotonic() + self.patience
        try:
            return super().handle(conn)
        finally:
            self.reading.pop(conn.sock, None)

    def stop_waiting(self) -> None:
        while True:
            time.sleep(min(1.0, self.patience / 2))
            now = time.monotonic()
            for sock, deadline in list(self.reading.items()):
                if now > deadline:
                    with suppress(OSError):
                        sock.shutdown(socket.SHUT_RD)
