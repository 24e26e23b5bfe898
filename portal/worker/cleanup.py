"""Deletes what has expired, and folds what was counted, in small steps that hold no lock for long."""

from typing import Any

from portal.mail import outbox

STEP = 1000  # rows per statement
ADDED = 20  # rows of an organization's numbers, from which on they are folded
AT_ONCE = 100  # organizations, each with hundreds of sums, in one statement
ROUNDS = 1000  # of folding before what expires has its turn again
EXPIRED = {  # table: (primary key, condition)
    "sessions": ("tenant_id, id", "expires_at < now()"),
    "idempotency_keys": ("tenant_id, key", "expires_at < now()"),
    "rate_limits": ("key", "expires < extract(epoch FROM now())"),
    "uploads": ("tenant_id, id", "expires_at < now()"),
    "jobs": ("tenant_id, id", "expires_at < now()"),
    "mail_links": ("tenant_id, id", "expires_at < now()"),
    "asked_mails": ("id", "expires_at < now()"),
    "agent_drafts": ("tenant_id, id", "expires_at < now()"),
    "outbox": ("tenant_id, id", "coalesce(sent_at, failed_at) < now() - interval '30 days'"),
}


def clean_up(connection: Any) -> int:
    """Delete every expired row (DBAPI connection as portal_worker, autocommit); the number of them.

    Mails that are of no more use are not sent any more, and lose their text. What was counted of users is folded.
    """
    outbox.give_up_what_is_out_of_date(connection)
    deleted = sum(_clean(connection, table, *found) for table, found in EXPIRED.items())
    fold(connection)  # last, so that its failing holds nothing back
    return deleted


def fold(connection: Any) -> None:
    """Fold what was added to the numbers of users."""
    with connection.cursor() as cursor:
        for _ in range(ROUNDS):
            cursor.execute("SELECT fold_user_counts(%s, %s)", [ADDED, AT_ONCE])
            if not cursor.fetchone()[0]:
                return


def _clean(connection: Any, table: str, key: str, condition: str) -> int:
    statement = f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {condition} LIMIT {STEP}) AND {condition}"
    deleted = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(statement)
            deleted += cursor.rowcount
            if cursor.rowcount < STEP:
                return deleted
