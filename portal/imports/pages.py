"""The doors of imports: uploading a file, what would become of each of its lines, and importing it."""

from typing import Any

from flask import Blueprint, Response, request

from portal import policy
from portal.access import requires, takes_files
from portal.actor import Actor
from portal.errors import NotFound
from portal.imports import services
from portal.imports.commands import LARGEST
from portal.imports.forms import BeginForm, ColumnsForm, FileForm
from portal.imports.matching import READ, WORDS
from portal.imports.models import Upload
from portal.jobs.models import Job
from portal.mail import services as mail
from portal.responses import go_to, page

blueprint = Blueprint("imports", __name__, url_prefix="/users/import")
FORM_AROUND = 1024 * 1024  # bytes that a form needs around its file, and those by which a file may be too large and still be told so


@blueprint.route("", methods=["GET", "POST"])
@requires(policy.can_import)
@takes_files(LARGEST + FORM_AROUND, policy.can_import)
def new(actor: Actor) -> Response:
    form = FileForm()
    if form.carry_out(services.take, by=actor):
        taken = form.result
        return go_to("jobs.show", job_id=taken.id) if isinstance(taken, Job) else go_to("imports.columns", upload_id=taken.id)
    return page("imports/new.html", status=form.status, form=form, mail_is_sent=mail.is_configured())


@blueprint.get("/<uuid:upload_id>")
@requires(policy.can_import)
def show(upload: Upload) -> Response:
    return _page(upload, BeginForm(formdata=None))


@blueprint.route("/<uuid:upload_id>/columns", methods=["GET", "POST"])
@requires(policy.can_import)
def columns(upload: Upload, actor: Actor) -> Response:
    """What each column holds, chosen by hand."""
    form = ColumnsForm()
    if form.carry_out(services.match, upload, by=actor):
        return go_to("jobs.show", job_id=form.result.id)
    found = services.columns(upload)
    sent = form.columns.data or []
    held = sent if len(sent) == len(found) else [column.holds for column in found]
    holds = [("", "Not used"), *((name, WORDS[name].capitalize()) for name in READ[upload.become])]
    shown = {"columns": list(zip(found, held, strict=True)), "holds": holds, "unclear": services.unclear(upload, found)}
    return page("imports/columns.html", status=form.status, upload=upload, form=form, **shown)


@blueprint.post("/<uuid:upload_id>/begin")
@requires(policy.can_import)
def begin(upload: Upload, actor: Actor) -> Response:
    form = BeginForm()
    if form.carry_out(services.begin, upload, by=actor):
        return go_to("jobs.show", job_id=form.result.id)
    return _page(upload, form, 422)


def _page(upload: Upload, form: BeginForm, status: int = 200) -> Response:
    """What would become of each line, a thousand at a time."""
    job = services.checked(upload)
    report = job.report if job else None
    number = _part_asked_for()
    fates = services.fates(upload, number) if report else []
    last = services.last_part(report) if report else 0
    asks = bool(report and policy.some_ask_for_password(report["roles"]))
    shown: dict[str, Any] = {"job": job, "report": report, "fates": fates, "number": number, "last": last, "asks_for_password": asks}
    return page("imports/show.html", status=status, upload=upload, form=form, mail_is_sent=mail.is_configured(), **shown)


def _part_asked_for() -> int:
    asked = request.args.get("part", "0")
    if not (asked.isascii() and asked.isdigit() and len(asked) < 7):
        raise NotFound
    return int(asked)
