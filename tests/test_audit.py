"""The audit log: an unbroken chain per organization, and what shows when somebody breaks it."""

import threading
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from portal.audit import services as audit
from portal.database import tenancy
from portal.extensions import transaction


def write(app: Flask, tenant: UUID, number: int, fail: bool = False) -> None:
    with app.app_context():
        tenancy.bind(tenant)
        try:
            with transaction():
                audit.record("tried", tenant_id=tenant, changes={"number": [None, number], "nested": {"of": [tenant]}})
                if fail:
                    raise RuntimeError
        except RuntimeError:
            pass


def said(app: Flask, command: str) -> Any:
    return app.test_cli_runner().invoke(args=[command])


def test_a_chain_that_nobody_touched_is_whole(app: Flask, cast: SimpleNamespace) -> None:
    for number in range(5):
        write(app, cast.acme.id, number)
    write(app, cast.globex.id, 1)
    answer = said(app, "verify-audit")
    assert answer.exit_code == 0, answer.output
    assert "acme: 5 entries, whole" in answer.output
    assert "globex: 1 entries, whole" in answer.output


BREACHES = {
    "an entry changed": ("UPDATE audit_entries SET changes = '{}' WHERE seq = 3 AND tenant_id = %s", 3),
    "somebody else put into it": ("UPDATE audit_entries SET actor_name = 'Nobody' WHERE seq = 2 AND tenant_id = %s", 2),
    "an entry taken out": ("DELETE FROM audit_entries WHERE seq = 3 AND tenant_id = %s", 4),
    "the first taken out": ("DELETE FROM audit_entries WHERE seq = 1 AND tenant_id = %s", 2),
    "its time moved": ("UPDATE audit_entries SET at = at - interval '1 microsecond' WHERE seq = 5 AND tenant_id = %s", 5),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_found_at_its_entry(app: Flask, cast: SimpleNamespace, owner: Any, breach: str) -> None:
    for number in range(5):
        write(app, cast.acme.id, number)
    statement, entry = BREACHES[breach]
    owner.execute(statement, (str(cast.acme.id),))
    answer = said(app, "verify-audit")
    assert answer.exit_code == 1
    assert f"acme: entry {entry} is broken" in answer.output


def test_entries_cut_off_at_the_end_show_against_a_kept_head(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    for number in range(3):
        write(app, cast.acme.id, number)
    kept = said(app, "audit-head").output
    assert kept.startswith("acme 3 ")
    owner.execute("DELETE FROM audit_entries WHERE seq = 3")
    assert said(app, "verify-audit").exit_code == 0
    assert said(app, "audit-head").output != kept


def test_a_chain_longer_than_a_batch_is_read_whole(app: Flask, cast: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "BATCH", 3)
    for number in range(10):
        write(app, cast.acme.id, number)
    assert "acme: 10 entries, whole" in said(app, "verify-audit").output


def test_writers_at_once_who_sometimes_fail_leave_no_gap(app: Flask, cast: SimpleNamespace, owner: Any) -> None:
    def work(writer: int) -> None:
        for number in range(20):
            write(app, cast.acme.id, writer * 100 + number, fail=number % 5 == 0)

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    owner.execute("SELECT count(*), max(seq) FROM audit_entries")
    assert owner.fetchone() == (64, 64)
    assert "acme: 64 entries, whole" in said(app, "verify-audit").output
