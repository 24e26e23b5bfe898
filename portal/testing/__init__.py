"""The kit for testers: a portal of one's own, a cast of people in it, and a browser that reads its pages. Nothing that serves uses it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from flask import Flask

from portal.testing.background import do_jobs
from portal.testing.browser import Browser, Page
from portal.testing.cast import PASSWORD, Organization, Person, the_cast, write_cast
from portal.testing.databases import Cluster

__all__ = ["PASSWORD", "Browser", "Cluster", "Organization", "Page", "Person", "do_jobs", "portal_for_tests", "the_cast", "write_cast"]


@contextmanager
def portal_for_tests(**settings: object) -> Iterator[tuple[Flask, SimpleNamespace]]:
    """The application on a fresh PostgreSQL, and the cast in it; both are gone after the block. Takes a few seconds.

    `settings` are those of docs/operations.md in lower case, such as `registration="closed"`. The cast has `acme`, `globex`, the
    suspended `hades` and `platform`; their people bear the names in portal/testing/cast.py: `cast.acme.admin`, `cast.platform.super`.
    Raises StartRefused where no PostgreSQL can be started, SettingsRefused for a setting that cannot be.
    """
    from portal import create_app
    from portal.database import reading

    with tempfile.TemporaryDirectory(prefix="portal-tests-") as place:
        folder = Path(place)
        folder.chmod(0o755)  # started by root, PostgreSQL runs as an account that has to find its own folder
        cluster, cast = Cluster(folder / "database"), the_cast()
        with cluster.instance.running():
            cluster.create_database("portal")
            cluster.migrate("portal")
            write_cast(cluster.urls("portal")["owner"], cast)
            (folder / "instance").mkdir(mode=0o700)
            app = create_app(cluster.settings("portal", folder / "instance", **settings))
            yield app, cast
            reading.close(app)
            with app.app_context():
                from portal.extensions import db

                for engine in db.engines.values():
                    engine.dispose()
