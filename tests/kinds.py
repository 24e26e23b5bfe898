"""Kinds of jobs that only the tests know, and the worker's process with them: `python -m tests.kinds`."""

import sys
import threading
import time
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from uuid_utils.compat import uuid7

from portal import policy
from portal.audit import services as audit
from portal.errors import Invalid
from portal.extensions import db
from portal.jobs import services as jobs
from portal.jobs.services import Work
from portal.policy import Allowed, Answer
from portal.users import services as users
from portal.users.models import Role

gate = threading.Event()  # kinds that stop at it go on when a test of the same process opens it
reached = threading.Event()


def anybody(_actor: Any) -> Answer:
    return Allowed()


def add_user(work: Work, number: int) -> None:
    """Real work through the services of the web; twice the same would break the unique keys."""
    users.new_account(
        user_id=uuid7(), tenant_id=work.by.tenant_id, role=Role.USER, username=f"made{number}", email=f"made{number}@example.org",
        first_name="Made", last_name=str(number), hashed_password="!",
    )  # fmt: skip


@jobs.kind("tests.add", title="Adding users", question=policy.administers_organization)
def add(work: Work) -> dict[str, Any]:
    """All or nothing: `number` users, `pause` seconds apart."""
    number = work.arguments["number"]
    for one in range(1, number + 1):
        add_user(work, one)
        work.progress(one, number)
        time.sleep(work.arguments.get("pause", 0))
    audit.record("tried", tenant_id=work.by.tenant_id, by=work.by, changes={"users": [None, number]})
    return {"users_added": number, "in_the_attempt": work.attempt, "names": ["made1", f"made{number}"]}


@jobs.kind("tests.add_in_steps", title="Adding users in steps", question=policy.administers_organization, resumable=True)
def add_in_steps(work: Work) -> dict[str, Any]:
    """One user in each step."""
    number, begun = work.arguments["number"], (work.checkpoint or {}).get("users", 0)
    work.progress(begun, number)
    for one in range(begun + 1, number + 1):
        with work.step(one, {"users": one}):
            add_user(work, one)
        time.sleep(work.arguments.get("pause", 0))
    return {"users_added": number, "begun_at": begun}


@jobs.kind("tests.wait", title="Waiting at a gate", question=anybody)
def wait(work: Work) -> dict[str, Any]:
    """Adds a user, says so, and stops at the gate within its open transaction."""
    add_user(work, 1)
    work.progress(3, 10)
    reached.set()
    while not gate.wait(0.05):
        work.progress(3)
    return {}


@jobs.kind("tests.sleep", title="Sleeping in the database", question=anybody)
def sleep(work: Work) -> dict[str, Any]:
    add_user(work, 1)
    db.session.execute(text("SELECT pg_sleep(4)"))
    return {}


@jobs.kind("tests.look", title="Looking around", question=anybody)
def look(work: Work) -> dict[str, Any]:
    names = ("tenant_id", "user_id", "role")
    return {
        "acts_as": db.session.scalar(text("SELECT current_user")),
        "tenants": sorted(db.session.scalars(text("SELECT subdomain FROM tenants"))),
        **{name: db.session.scalar(text(f"SELECT current_setting('app.{name}')")) for name in names},
        "by": work.by.full_name,
        "network": work.by.origin.network,
    }


@jobs.kind("tests.trespass", title="Trespassing", question=anybody)
def trespass(work: Work) -> dict[str, Any]:
    add_user(work, 1)
    db.session.execute(
        text("UPDATE jobs SET done = 7 WHERE tenant_id = :other"), {"other": work.arguments["other"]}
    )  # sees no row of theirs
    users.new_account(
        user_id=uuid7(), tenant_id=UUID(work.arguments["other"]), role=Role.USER, username="thief", email="thief@example.org",
        first_name="", last_name="", hashed_password="!",
    )  # fmt: skip
    return {}


@jobs.kind("tests.refuse", title="Being refused", question=anybody)
def refuse(work: Work) -> dict[str, Any]:
    add_user(work, 1)
    raise Invalid(file="Line 7 has no e-mail address.")


@jobs.kind("tests.owe", title="Paying what is owed", question=anybody, owed=True)
def owe(work: Work) -> dict[str, Any]:
    """Adds a user, unless the database is said to be away, or a fault to be made."""
    if work.arguments.get("away"):
        raise OperationalError("the database is away", None, Exception("away"))
    if work.arguments.get("fault"):
        raise RuntimeError("a fault")
    add_user(work, 1)
    return {}


@jobs.kind("tests.fault", title="Making a fault", question=anybody)
def fault(work: Work) -> dict[str, Any]:
    add_user(work, 1)
    return {"figure": 1 // 0}


@jobs.kind("tests.unwritable", title="Reporting what is no JSON", question=anybody)
def unwritable(work: Work) -> dict[str, Any]:
    add_user(work, 1)
    return {"work": work}


if __name__ == "__main__":
    from portal.worker.__main__ import main

    sys.exit(main())
