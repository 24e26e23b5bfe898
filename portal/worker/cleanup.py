"""Deletes what has expired, in small steps that hold no lock for long."""

from typing import Any

STEP = 1000  # rows per statement
EXPIRED = {  # table: (primary key, condition)
    "sessions": ("tenant_id, id", "expires_at < now()"),
    "idempotency_keys": ("tenant_id, key", "expires_at < now()"),
    "rate_limits": ("key", "expires < extract(epoch FROM now())"),
}


def clean_up(connection: Any) -> int:
    """Delete every expired row (DBAPI connection as portal_worker, autocommit); the number of them."""
    return sum(_clean(connection, table, *found) for table, found in EXPIRED.items())


def _clean(connection: Any, table: str, key: str, condition: str) -> int:
    statement = f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {condition} LIMIT {STEP}) AND {condition}"
    deleted = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(statement)
            deleted += cursor.rowcount
            if cursor.rowcount < STEP:
                return deleted
