"""What the worker does, done at once: in tests no worker stands beside the application."""

from contextlib import closing

from flask import Flask

from portal.database import connect
from portal.worker.jobs import Application, Jobs
from portal.worker.stopping import Stop


def do_jobs(app: Flask) -> None:
    """Do the jobs that wait, as the worker does; returns when none is left that can be done now."""
    settings = app.config["PORTAL"]
    with closing(connect(settings.worker_database_url)) as connection:
        connection.autocommit = True
        Jobs(Application(settings, app), Stop()).act(connection)
