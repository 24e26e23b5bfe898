"""Counters for throttling kept in PostgreSQL, so that all workers share one count."""

import time
from typing import Any

from flask import current_app
from limits.storage import Storage
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

INCREMENT = text("""
    INSERT INTO rate_limits (key, hits, expires) VALUES (:key, :amount, :expires)
    ON CONFLICT (key) DO UPDATE SET
      hits = CASE WHEN rate_limits.expires <= :now THEN excluded.hits ELSE rate_limits.hits + excluded.hits END,
      expires = CASE WHEN rate_limits.expires <= :now THEN excluded.expires ELSE rate_limits.expires END
    RETURNING hits""")
READ = text("SELECT hits, expires FROM rate_limits WHERE key = :key AND expires > :now")
CLEAR = text("DELETE FROM rate_limits WHERE key = :key")
RESET = text("DELETE FROM rate_limits")


class PostgresStorage(Storage):
    """Storage for Flask-Limiter in the running application's database.

    Its engine commits each statement by itself, because a request that is rolled back counts too.
    """

    STORAGE_SCHEME = ["pgrate"]

    @property
    def engine(self) -> Engine:
        return current_app.extensions["sqlalchemy"].engines["rates"]

    @property
    def base_exceptions(self) -> type[Exception]:
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = time.time()
        return int(self._row(INCREMENT, key=key, amount=amount, expires=now + expiry, now=now)[0])

    def get(self, key: str) -> int:
        row = self._row(READ, key=key, now=time.time())
        return int(row[0]) if row else 0

    def get_expiry(self, key: str) -> float:
        row = self._row(READ, key=key, now=time.time())
        return float(row[1]) if row else time.time()

    def check(self) -> bool:
        try:
            return self._row(text("SELECT 1")) is not None
        except SQLAlchemyError:
            return False

    def reset(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(RESET).rowcount)

    def clear(self, key: str) -> None:
        with self.engine.connect() as connection:
            connection.execute(CLEAR, {"key": key})

    def _row(self, statement: Any, **parameters: Any) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(statement, parameters).first()
