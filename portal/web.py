"""`python -m portal.web DESCRIPTOR`, started by portal.serve: loads gunicorn and the portal, and serves what it is told to.

It is told through a socket: the environment, the command line of gunicorn and the socket that listens, and later that the gate is open.
So nothing that is imported here may read the environment or a setting: it is another's then.
"""

# ruff: noqa: E402, F401  (what wsgi.py and gunicorn will use is imported before it is asked for)

import gc

gc.disable()  # until everything is loaded, see wsgi.py

import json
import os
import socket
import sys
from typing import NoReturn

from gunicorn.app.wsgiapp import run

from portal import application, slow_clients
from portal.processes import LENGTH, bound_to
from portal.system import GATE


def main() -> NoReturn:
    """Wait to be told, then become gunicorn; ends with 1 where portal.serve ends before that, and at the gate where it ends later."""
    line = socket.socket(fileno=int(sys.argv[1]))
    length, listeners, *_ = socket.recv_fds(line, LENGTH, 1)
    if not length:
        sys.exit(1)
    told = json.loads(line.recv(int.from_bytes(length), socket.MSG_WAITALL))
    os.environ.clear()
    os.environ.update(told["env"] | {GATE: str(line.detach())})
    sys.argv = ["gunicorn", *told["options"], bound_to(*listeners), "wsgi:app"]
    run(prog="gunicorn")
    sys.exit()


if __name__ == "__main__":
    main()
