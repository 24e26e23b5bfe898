"""`python -m portal.serve`, the one process of `make run`: starts database, web server and worker, watches and stops them."""

import errno
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, NoReturn

from portal.processes import Kept, Processes, Web
from portal.system import Ending, StartRefused, Stopped, die_with_parent, say

if TYPE_CHECKING:  # the web server begins before these are loaded, and root, who hands over, needs nothing of the database
    from portal.config import Settings
    from portal.database.cluster import Instance

READY = "Thanotopolis Portal is ready: {url} (first super_admin: .venv/bin/flask create-super-admin)"


def main() -> int:
    """Serve until a signal asks to stop (0), or say in a sentence why not (1)."""
    ending = Ending()
    try:
        _obey_signals(ending)
        _end_with_make()
        listener = _hand_over() if os.geteuid() == 0 else None
        with Web() as web:
            serve(web, listener, ending)
    except StartRefused as refused:
        say(str(refused))
        return 1
    except (Stopped, KeyboardInterrupt):
        return 0


def serve(web: Web, listener: socket.socket | None, ending: Ending) -> NoReturn:
    """Start everything, announce it, and keep it alive; ends only by an exception.

    The web server loads the portal while the settings are read and the database starts; it serves when all is done. `listener` is the
    socket that root has bound; where it is None, one is bound here.
    """
    from portal.config import load_settings
    from portal.database.cluster import with_database

    with ExitStack() as stack:
        settings = load_settings()
        listener = listener or _listener(settings)
        instance, embedded = _instance(settings), settings.embedded
        settings = with_database(settings)
        processes = Processes(web, settings, listener, instance.path, ending, embedded=embedded)
        ending.check()
        if embedded:
            stack.enter_context(instance.running(own=True, patience=10))
        stack.callback(processes.stop)  # before the database
        if embedded:
            _provision(instance)
        ending.check()
        check_database(settings)
        ending.check()
        processes.start()
        _load_catalogue(settings)  # what it imports takes longer than what it does: nobody waits for that
        with suppress(OSError):
            print(READY.format(url=settings.public_url), flush=True)
        processes.watch(*[Kept("database", lambda: instance.server.alive, instance.revive)] if embedded else [])


def check_database(settings: "Settings") -> None:
    """Raises StartRefused unless the database may be served on; migrates it where the owner's address is known."""
    from portal.database import health

    urls = [settings.database_url, settings.platform_database_url, settings.worker_database_url]
    for url in filter(None, [*urls, settings.owner_database_url]):
        if refusal := health.reachable(url):
            raise StartRefused(refusal)
    _migrate(settings)
    found = [fault for url in urls for fault in _faults(url)]
    if found:
        raise StartRefused("\n".join(dict.fromkeys(found)))


def _load_catalogue(settings: "Settings") -> None:
    import psycopg2

    from portal.agents.shipped import load
    from portal.database import connect

    try:
        with closing(connect(settings.platform_database_url)) as connection:
            load(connection)
    except psycopg2.OperationalError as error:  # somebody holds the table longer than the role waits, or the server went away
        raise StartRefused(f"The free agents could not be loaded: {str(error).strip()}.") from None


def _instance(settings: "Settings") -> "Instance":
    """The folder of local state, and the database in it when none is given: with connections for all web workers."""
    from portal.database.cluster import Instance
    from portal.database.folder import instance_path

    connections = settings.web_workers * (settings.pool_size + settings.web_threads + 6) + 20
    instance = Instance(instance_path(settings), run_as=settings.run_as, connections=max(100, connections))
    instance.prepare()
    return instance


def _provision(instance: "Instance") -> None:
    from portal.database.cluster import DATABASE
    from portal.database.provision import provision

    provision(instance.urls()["superuser"], instance.secrets(), DATABASE)


def _migrate(settings: "Settings") -> None:
    from portal.database import connect, health

    owner = settings.owner_database_url
    with closing(connect(owner or settings.database_url)) as connection:
        pending = health.migrations_pending(connection)
    if not pending:
        return
    if not owner:
        raise StartRefused(pending)
    from alembic.util import CommandError

    from portal.database.migrate import upgrade

    try:
        upgrade(owner)
    except CommandError as error:
        raise StartRefused(f"{pending} ({error})") from None


def _faults(url: str) -> list[str]:
    from portal.database import connect, health

    with closing(connect(url)) as connection:
        return health.faults(connection)


def _listener(settings: "Settings") -> socket.socket:
    """The socket that will listen, bound before the database is started; by root, so that PORT may be below 1024."""
    deadline = time.monotonic() + 3  # a killed predecessor may still be leaving
    while True:
        try:
            return _bound(settings)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            if not taken:
                raise StartRefused(f"Port {settings.port} on {settings.bind} cannot be used: {error.strerror}.") from None
            if time.monotonic() > deadline:
                raise StartRefused(f"Port {settings.port} is already taken; end what listens there, or choose another by PORT.") from None
            time.sleep(0.1)


def _bound(settings: "Settings") -> socket.socket:
    family, kind, protocol, _name, address = socket.getaddrinfo(
        settings.bind, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _hand_over() -> socket.socket:
    """Make this process one of an unprivileged account; the socket that root has bound before."""
    from portal.config import load_settings
    from portal.handover import hand_over

    settings = load_settings()
    listener = _listener(settings)
    hand_over(settings)
    _end_with_make()  # the kernel forgets it when the account changes
    return listener


def _end_with_make() -> None:
    """A killed make must not leave a portal that no Ctrl-C reaches."""
    if "MAKELEVEL" in os.environ:
        die_with_parent(signal.SIGTERM)


def _obey_signals(ending: Ending) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup stays in force
            signal.signal(number, ending.ask)


if __name__ == "__main__":
    sys.exit(main())
