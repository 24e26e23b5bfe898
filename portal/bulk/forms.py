"""The commands about many accounts as HTML fields."""

from typing import Any
from urllib.parse import parse_qsl

from wtforms import HiddenField, SelectField, SelectMultipleField

from portal.bulk.commands import ActOnMany, Undo
from portal.forms import ConfirmingForm


class BulkForm(ConfirmingForm):
    """`users` are the rows that were selected, `on_page` those that were shown, with spaces between, for whoever pressed `page`.

    Where `all` was pressed, it is everybody who fits `search`, a query as in the table's address, of whom a preview has shown `number` as
    of `as_of`.
    """

    command_type = ActOnMany

    act = SelectField("What is to be done", choices=[], validate_choice=False)
    users = SelectMultipleField("Accounts", choices=[], validate_choice=False)
    on_page = HiddenField()
    search = HiddenField()
    page = HiddenField()
    all = HiddenField()
    number = HiddenField()
    as_of = HiddenField()

    def typed(self) -> dict[str, Any]:
        everybody = dict(parse_qsl(self.search.data or "")) if self.all.data else None
        chosen = [] if self.all.data else " ".join(self.on_page.raw_data or []).split() if self.page.data else self.users.data or []
        shown = {"number": self.number.data, "as_of": self.as_of.data} if self.as_of.data else None
        return {"act": self.act.data or "", "search": everybody, "users": chosen, "shown": shown, "password": self.password.data or ""}


class UndoForm(ConfirmingForm):
    command_type = Undo
