"""`python -m portal.worker`, started beside the web server by portal.serve."""

import signal
import sys

from portal.config import SettingsRefused, load_settings
from portal.system import say
from portal.worker.cleanup import clean_up
from portal.worker.loop import Duty, Loop


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
    loop = Loop(settings.worker_database_url, [Duty("clean up", 60, clean_up)])
    signal.signal(signal.SIGTERM, loop.stop)
    signal.signal(signal.SIGINT, loop.stop)
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
