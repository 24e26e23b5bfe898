"""The doors of jobs: how far one is, and its report at the end."""

from flask import Blueprint, Response

from portal import policy
from portal.access import requires, signed_in, unattended
from portal.actor import Actor
from portal.jobs import services
from portal.jobs.models import Job
from portal.responses import page, page_or_fragment

blueprint = Blueprint("jobs", __name__, url_prefix="/jobs")


@blueprint.get("")
@signed_in
def index(actor: Actor) -> Response:
    return page("jobs/index.html", latest=services.latest(by=actor))


@blueprint.get("/<uuid:job_id>")
@requires(policy.may_see_job)
def show(job: Job) -> Response:
    return page("jobs/show.html", progress=services.progress_of(job))


@blueprint.get("/<uuid:job_id>/progress")
@requires(policy.may_see_job)
@unattended
def progress(job: Job) -> Response:
    """What the page asks for every two seconds, until the job is over."""
    return page_or_fragment("jobs/show.html", "jobs/_progress.html", progress=services.progress_of(job))
