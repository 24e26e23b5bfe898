"""`python -m portal.web DESCRIPTOR`, started by portal.serve: loads gunicorn and the portal, and serves what it is told to.

It is told through a socket: the environment, the command line of gunicorn and the socket that listens, and later that the gate is open.
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
from portal.processes import TOLD, bound_to
from portal.system import GATE


def main() -> NoReturn:
    """Ends at once where portal.serve ends before it has said what is to be served, and at the gate where it does so later."""
    line = socket.socket(fileno=int(sys.argv[1]))
    size, listeners, *_ = socket.recv_fds(line, TOLD, 1)
    if not size:
        sys.exit(1)
    told = json.loads(line.recv(int.from_bytes(size), socket.MSG_WAITALL))
    os.environ.clear()
    os.environ.update(told["env"] | {GATE: str(line.detach())})
    sys.argv = ["gunicorn", *told["options"], bound_to(*listeners), "wsgi:app"]
    run(prog="gunicorn")
    sys.exit()


if __name__ == "__main__":
    main()
