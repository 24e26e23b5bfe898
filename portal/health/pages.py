"""The doors that machines knock on."""

from flask import Blueprint, Response, jsonify
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from portal.access import public
from portal.database import health, tenancy
from portal.extensions import db, release

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@public
def healthz() -> Response:
    """The process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
@public
def readyz() -> tuple[Response, int]:
    """The database answers and its schema is the one that this code was written for."""
    tenancy.bind(None)
    try:
        version = set(db.session.execute(text("SELECT version_num FROM portal_alembic_version")).scalars())
        release()
    except (DBAPIError, PoolTimeout):
        return jsonify(status="unavailable", database="not reachable", migrations="not measured"), 503
    if version != health.heads():
        return jsonify(status="unavailable", database="ok", migrations="pending"), 503
    return jsonify(status="ok", database="ok", migrations="ok"), 200
