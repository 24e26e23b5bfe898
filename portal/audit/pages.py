"""The doors of the audit log."""

from collections.abc import Iterator
from datetime import UTC, datetime

from flask import Blueprint, Response, request

from portal import policy
from portal.access import go_on, requires
from portal.actor import Actor
from portal.audit import services
from portal.audit.commands import LookThrough
from portal.audit.sentences import SENTENCES, in_words, sentence
from portal.errors import Invalid
from portal.extensions import release
from portal.forms import asked_for
from portal.responses import download, page_or_fragment
from portal.values import csv_line
from portal.words import times

blueprint = Blueprint("audit", __name__, url_prefix="/audit")
HEADERS = ("number", "at", "who", "what", "whom", "field", "old", "new", "network")


@blueprint.get("")
@requires(policy.administers_organization)
def index(actor: Actor) -> Response:
    asked = asked_for(LookThrough)
    found = services.look_through(actor.tenant_id, asked, days_in=_zone_of(actor))
    entries, further = found[: services.PAGE], len(found) > services.PAGE
    query = {name: value for name, value in asked.model_dump(mode="json", exclude={"before"}).items() if value} if asked.narrowed else {}
    told = times()
    return page_or_fragment(
        "audit/index.html",
        "audit/_entries.html",
        asked=asked,
        actions=[("", "Anything"), *SENTENCES.items()],
        days_in=_zone_of(actor),
        kinds=[("", "Anything"), ("organization", "Organization"), ("user", "User"), ("agent", "Agent"), ("share", "Shared agent")],
        entries=[(e.seq, told(e.at), e.actor_name, sentence(e), in_words(e.changes), e.network, e.whom, e.object_id) for e in entries],
        older={**query, "before": entries[-1].seq} if further else None,
        query=query,
    )


@blueprint.post("/verify")
@requires(policy.administers_organization)
def verify(actor: Actor) -> Response:
    """One slice of the chain; the answer asks for the next one until all is seen."""
    try:
        after = max(0, int(request.form.get("after", "0")[:18]))
    except ValueError:
        raise Invalid("The number of the entry is no number.") from None
    part = services.verify_slice(actor.tenant_id, after)
    return page_or_fragment("audit/chain.html", "audit/_chain.html", part=part, as_of=datetime.now(UTC))


@blueprint.get("/export.csv")
@requires(policy.administers_organization)
def export(actor: Actor) -> Response:
    asked, as_of = asked_for(LookThrough), datetime.now(UTC)
    return download(f"audit-{actor.subdomain}-as-of-{as_of:%Y-%m-%dT%H%MZ}.csv", _lines(actor, asked))


def _zone_of(actor: Actor) -> str:
    """Where the reader's days begin; nobody has told the server of the device's own zone."""
    return actor.time_zone or "UTC"


def _lines(actor: Actor, asked: LookThrough) -> Iterator[str]:
    """The log as CSV, newest first, read in batches that are a bound transaction each, while the reader may see it."""
    yield csv_line(HEADERS)
    while True:
        go_on(actor, policy.administers_organization)
        batch = services.look_through(actor.tenant_id, asked, limit=services.BATCH, days_in=_zone_of(actor))
        release()
        for entry in batch[: services.BATCH]:
            who, what, whom, network = entry.actor_name or "", sentence(entry), entry.whom or "", entry.network or ""
            for field, old, new in in_words(entry.changes) or [("", "", "")]:
                yield csv_line((entry.seq, entry.at.isoformat(), who, what, whom, field, old, new, network))
        if len(batch) <= services.BATCH:
            return
        asked = asked.model_copy(update={"before": batch[services.BATCH - 1].seq})
