"""Acting as a role of the database: one connection, each statement a transaction of its own, bound to whom we like."""

from dataclasses import dataclass, field
from typing import Any

import psycopg2

from portal.database import connect
from portal.testing.cast import Person

DENIED = "42501"  # insufficient_privilege: no right, or a row that a policy does not let pass
NO_UUID = "22P02"
NO_SUCH_KEY = "23503"


@dataclass(frozen=True)
class Outcome:
    """What a statement gave: rows, how many it touched, or the SQLSTATE and words that refused it."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    touched: int = 0
    refused: str = ""
    words: str = ""

    @property
    def answer(self) -> int | str:
        return self.refused or self.touched


class Role:
    """A connection as one of the portal's roles; what it does, stays done."""

    def __init__(self, url: str) -> None:
        self.connection = connect(url)

    def do(self, statement: str, values: Any = None, *, tenant: Any = None, user: Any = None, role: str | None = None) -> Outcome:
        """Bound to these, where they are not None; what is None is not even set."""
        try:
            with self.connection, self.connection.cursor() as cursor:
                for name, value in {"tenant_id": tenant, "user_id": user, "role": role}.items():
                    if value is not None:
                        cursor.execute(f"SET LOCAL app.{name} = %s", [str(value)])
                cursor.execute(statement, values)
                return Outcome(cursor.fetchall() if cursor.description else [], cursor.rowcount)
        except psycopg2.Error as error:
            return Outcome(refused=error.pgcode or type(error).__name__, words=str(error))

    def do_as(self, person: Person, statement: str, values: Any = None, *, tenant: Any = None) -> Outcome:
        """As this person, bound to the own tenant or to another; "" for none."""
        bound = person.tenant_id if tenant is None else tenant
        return self.do(statement, values, tenant=bound, user=person.id, role=person.role)
