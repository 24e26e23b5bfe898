"""`python -m portal.worker`, started beside the web server by portal.serve."""

import os
import signal
import sys
import time

from psycopg2.extensions import set_wait_callback

from portal.config import Settings, SettingsRefused, load_settings
from portal.system import say
from portal.worker.cleanup import clean_up
from portal.worker.jobs import Application, Jobs
from portal.worker.loop import Duty, Loop
from portal.worker.stopping import LOOK_UP, Stop

JOBS_AT_ONCE = 2  # so that a long one of one organization does not keep all others waiting
GRACE = 1.5  # seconds for what is being finished when the worker ends, such as a mail that a server is just taking


def main() -> int:
    """Work until a signal asks to stop (0), or say in a sentence why not (1)."""
    try:
        settings = load_settings()
    except SettingsRefused as refused:
        say(str(refused))
        return 1
    if not settings.worker_database_url:
        say("WORKER_DATABASE_URL is missing; `make run` starts the worker together with everything it needs.")
        return 1
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.ask)
    signal.signal(signal.SIGINT, stop.ask)
    set_wait_callback(stop.wait_for_server)
    return work(loops(settings, stop), stop)


def loops(settings: Settings, stop: Stop) -> list[Loop]:
    """What the worker does, each beside the others: what is slow, a mail server or a job, keeps nothing else waiting."""
    url, application = settings.worker_database_url, Application(settings)
    found = [Loop(url, [Duty("clean up", 60, clean_up)], stop)]
    found += [Loop(url, [Duty("jobs", 1, Jobs(application, stop).act)], stop) for _ in range(JOBS_AT_ONCE)]
    if settings.mail_server:
        from portal.worker.sending import Sending

        found.append(Loop(url, [Duty("mail", 1, Sending(settings.mail_server, settings.mail_from, stop).act)], stop))
    return found


def work(found: list[Loop], stop: Stop) -> int:
    """0 when it was asked to stop; 1 when one of the loops ended by a fault of its own, which stands above in the log."""
    for loop in found:
        loop.start()
    while not stop.asked and all(loop.is_alive() for loop in found):
        time.sleep(LOOK_UP)
    fault = not stop.asked
    stop.ask()
    until = time.monotonic() + GRACE
    for loop in found:
        loop.join(max(0.0, until - time.monotonic()))
    if any(loop.is_alive() for loop in found):  # what it holds in the database is rolled back there
        sys.stderr.flush()
        os._exit(int(fault))
    return int(fault)


if __name__ == "__main__":
    sys.exit(main())
