"""The doors of acts on many accounts: whom it would change, the act, and undoing it."""

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response

from portal import policy
from portal.access import requires
from portal.actor import Actor
from portal.bulk import services, undoing
from portal.bulk.acting import Result
from portal.bulk.forms import BulkForm, UndoForm
from portal.bulk.models import BulkAct
from portal.jobs.models import Job
from portal.responses import go_to, page

blueprint = Blueprint("bulk", __name__, url_prefix="/users/bulk")
SHOWN = 100  # of the accounts that an act has changed


@blueprint.post("")
@requires(policy.administers_organization)
def preview(actor: Actor) -> Response:
    """Whom the act would change and whom not, and why; nothing is done yet."""
    form = BulkForm()
    return _preview(form, actor, 200 if form.validate() else 422)


@blueprint.post("/act")
@requires(policy.administers_organization)
def act(actor: Actor) -> Response:
    form = BulkForm()
    if not form.carry_out(services.run, by=actor):
        return _preview(form, actor, 422)
    return _done(form.result)


@blueprint.get("/<uuid:act_id>")
@requires(policy.administers_organization)
def show(act: BulkAct) -> Response:
    return _act_page(act, UndoForm(formdata=None), 200)


@blueprint.post("/<uuid:act_id>/undo")
@requires(policy.administers_organization)
def undo(act: BulkAct, actor: Actor) -> Response:
    form = UndoForm()
    if not form.carry_out(services.undo, act, by=actor):
        return _act_page(act, form, 422)
    return _done(form.result)


def _done(result: Result | Job) -> Response:
    if isinstance(result, Job):
        return go_to("jobs.show", job_id=result.id)
    left = f" Not changed: {' '.join(result.reasons)}" if result.reasons else ""
    return go_to("bulk.show", act_id=result.act_id, notice=f"Done: {_accounts(result.changed)} changed.{left}")


def _preview(form: BulkForm, actor: Actor, status: int) -> Response:
    command = getattr(form, "command", None)  # None where what was sent makes none
    seen = services.preview(command, by=actor) if command else None
    return page("bulk/preview.html", status=status, form=form, command=command, preview=seen, search=_search(command))


def _search(command: Any) -> str:
    """What the act's form says of whom it is for, where these are too many to be named."""
    return urlencode(command.search.query()) if command and command.search else ""


def _act_page(act: BulkAct, form: UndoForm, status: int) -> Response:
    told, changes = undoing.told(act), undoing.changed_users(act, SHOWN)
    return page("bulk/show.html", status=status, told=told, changes=changes, shown=SHOWN, form=form)


def _accounts(number: int) -> str:
    return "1 account" if number == 1 else f"{number:,} accounts"
