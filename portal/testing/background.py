"""What the worker does, done at once: in tests no worker stands beside the application."""

from contextlib import closing

from flask import Flask

from portal.database import connect
from portal.worker.asking import Asking
from portal.worker.jobs import Application, Jobs
from portal.worker.stopping import Stop


def do_jobs(app: Flask) -> None:
    """Do the jobs that wait and answer what visitors asked to be mailed, as the worker does; returns when nothing is left to do now."""
    settings = app.config["PORTAL"]
    with closing(connect(settings.worker_database_url)) as connection:
        connection.autocommit = True
        for duty in (Jobs, Asking):
            duty(Application(settings, app), Stop()).act(connection)
