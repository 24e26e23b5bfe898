"""What people do with files of people: have one looked through, and import it, all or nothing."""

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from uuid_utils.compat import uuid7

from portal import policy
from portal.actor import Actor
from portal.auth import passwords
from portal.auth import services as auth
from portal.bulk import services as bulk
from portal.errors import Invalid
from portal.extensions import db
from portal.imports import importing
from portal.imports.commands import LARGEST, BeginImport, MatchColumns, TakeFile
from portal.imports.importing import Line
from portal.imports.matching import WORDS, Column, Columns, beginning, candidates, demand_few, matched, suggested
from portal.imports.models import Upload, UploadPart
from portal.invitations import services as invitations
from portal.jobs import services as jobs
from portal.jobs.models import Job
from portal.jobs.services import Work
from portal.users import services as users

BYTES_WAITING = 10 * LARGEST  # bytes of all files that an organization may have waiting
LIFE = timedelta(days=1)  # of a file that nobody imports
PART = 512 * 1024  # bytes of a part of a file
TOLD = 100  # faults that a report names
NAMED = 20  # faults that a refusal names
CHECK, IMPORT = "users.import_check", "users.import"
GONE = "The file is no longer here: it was imported, or its day is over. Upload it again."


def upload(tenant_id: UUID, upload_id: UUID) -> Upload | None:
    """The file within the tenant; None for unknown, deleted and foreign ids alike."""
    return db.session.execute(select(Upload).where(Upload.tenant_id == tenant_id, Upload.id == upload_id)).scalar_one_or_none()


def take(command: TakeFile, *, by: Actor) -> Job | Upload:
    """Keep the file. Where its header tells what each column holds, have it looked through: a job whose report tells what would become of
    its lines; else the file, whose columns are to be matched by hand.

    Raises Invalid with the rule, for a beginning that cannot be read, and where too many files wait.
    """
    users.demand_allowed(policy.can_import(by))
    _demand_mailing(command.become, by)
    header, _ = beginning(command.file)
    try:
        places = matched(suggested(header, command.become), header, command.become).places
    except Invalid:
        demand_few(header)
        places = {}
    waiting = select(func.coalesce(func.sum(Upload.size), 0)).where(Upload.tenant_id == by.tenant_id, Upload.expires_at > func.now())
    if db.session.execute(waiting).scalar_one() + len(command.file) > BYTES_WAITING:
        many = f"Files that nobody in your organization has imported yet may have {BYTES_WAITING:,} bytes (200 MB) together."
        raise Invalid(file=f"{many} With this one they have more. Each is deleted once it is imported, or a day after it was uploaded.")
    kept = {"name": command.name, "size": len(command.file), "become": command.become, "uploaded_by": by.id}
    expires_at = datetime.now(UTC) + LIFE
    made = insert(Upload).values(tenant_id=by.tenant_id, id=uuid7(), expires_at=expires_at, **kept).returning(Upload)
    taken: Upload = db.session.execute(made).scalar_one()
    for number, place in enumerate(range(0, len(command.file), PART)):
        _keep(by, taken.id, "file", number, command.file[place : place + PART])
    return _look_through(taken, places, by) if places else taken


def _demand_mailing(become: str, by: Actor) -> None:
    if become == "invited":
        invitations.demand_mailing(by)


def columns(upload: Upload) -> list[Column]:
    """The file's columns; each is thought to hold what was chosen last, else what its name says. Raises Invalid for too many."""
    header, lines = beginning(_file(upload.tenant_id, upload.id))
    demand_few(header)
    looked = checked(upload)
    if looked:
        held = {place: name for name, place in looked.arguments["columns"].items()}
        holds = [held.get(place, "") for place in range(len(header))]
    else:
        holds = list(suggested(header, upload.become))
    return candidates(header, lines, holds)


def unclear(upload: Upload, found: list[Column]) -> str | None:
    """What keeps the file from being looked through as its columns are thought to be; None for nothing."""
    try:
        matched([column.holds for column in found], [column.name for column in found], upload.become)
    except Invalid as refusal:
        return refusal.fields["columns"]
    return None


def match(command: MatchColumns, upload: Upload, *, by: Actor) -> Job:
    """Have the file looked through with its columns as they were matched; what was told of it before is over then.

    Raises Invalid(columns=…) naming what has no column or two, Invalid with the rule, or while the file is looked through or imported.
    """
    users.demand_allowed(policy.can_import(by))
    header, _ = beginning(_file(upload.tenant_id, upload.id))
    places = matched(command.columns, header, upload.become).places
    _alone(upload, by)
    looked = checked(upload)
    if looked and not looked.over:
        raise Invalid("This file is being looked through. Match its columns when that is over.")
    return _look_through(upload, places, by)


def _look_through(upload: Upload, places: dict[str, int], by: Actor) -> Job:
    return jobs.ask(CHECK, by=by, arguments={"upload": str(upload.id), "columns": places})


def _alone(upload: Upload, by: Actor) -> None:
    """Whoever does something with a file at the same moment waits; raises Invalid where it is being imported."""
    users.lock_organization(by.tenant_id)  # nobody may change a row of the files, so the organization's is the one to lock
    under_way = _job_about(upload, IMPORT)
    if under_way and not under_way.over:
        raise Invalid("This file is being imported already.")


def _keep(by: Actor, upload_id: UUID, kind: str, number: int, part: bytes) -> None:
    db.session.execute(insert(UploadPart).values(tenant_id=by.tenant_id, upload_id=upload_id, kind=kind, number=number, bytes=part))


def _parts(tenant_id: UUID, upload_id: UUID, kind: str) -> Any:
    mine = (UploadPart.tenant_id == tenant_id, UploadPart.upload_id == upload_id, UploadPart.kind == kind)
    return select(UploadPart.bytes).where(*mine).order_by(UploadPart.number)


def _file(tenant_id: UUID, upload_id: UUID) -> bytes:
    return b"".join(bytes(part) for part in db.session.execute(_parts(tenant_id, upload_id, "file")).scalars())


@jobs.kind(CHECK, title="Check a file of people", question=policy.can_import, report="imports/_checked.html")
def check(work: Work) -> dict[str, Any]:
    """The dry run: what would become of each line, kept beside the file; nothing else is written."""
    found, by = _upload_of(work), work.by
    columns, batches, total = _read(found, work)
    told = (UploadPart.tenant_id == by.tenant_id, UploadPart.upload_id == found.id, UploadPart.kind == "fates")
    db.session.execute(delete(UploadPart).where(*told))  # with other columns, of which this is the end
    good: Counter[str] = Counter()
    faults: list[tuple[int, str, str]] = []
    refused = 0
    for number, batch in enumerate(batches):
        importing.judge(batch, by)
        fates = [(line.number, line.email, line.fault or f"would be {found.become}", "refused" if line.fault else "good") for line in batch]
        _keep(by, found.id, "fates", number, json.dumps(fates).encode())
        good.update(line.person.role for line in batch if line.person and not line.fault)
        bad = [(line.number, line.email, str(line.fault)) for line in batch if line.fault]
        refused, faults = refused + len(bad), [*faults, *bad][:TOLD]
        work.progress(work.pulse.done + len(batch), total)
    return {
        "upload": str(found.id),
        "file": found.name,
        "become": found.become,
        "lines": total,
        "good": sum(good.values()),
        "refused": refused,
        "roles": dict(good),
        "columns": [WORDS[name] for name in columns.places],
        "aside": [name[:100] for name in columns.aside[:50]],
        "faults": faults,
    }


def checked(upload: Upload) -> Job | None:
    """The job that has looked, looks or will look through the file: the latest, because its columns may be matched anew."""
    return _job_about(upload, CHECK)


def _job_about(upload: Upload, kind: str) -> Job | None:
    about = (Job.tenant_id == upload.tenant_id, Job.kind == kind, Job.arguments["upload"].astext == str(upload.id))
    return db.session.execute(select(Job).where(*about).order_by(Job.id.desc()).limit(1)).scalar_one_or_none()


def fates(upload: Upload, number: int) -> list[list[Any]]:
    """One part of the list of fates: line, address, what would become of it, good or refused; [] where there is no such part."""
    of_part = _parts(upload.tenant_id, upload.id, "fates").where(UploadPart.number == number)
    part = db.session.execute(of_part).scalar()
    return list(json.loads(bytes(part))) if part else []


def last_part(report: dict[str, Any]) -> int:
    """The number of the last part of the list, of a job that has looked through the file."""
    return int(report["lines"] - 1) // importing.BATCH


def begin(command: BeginImport, upload: Upload, *, by: Actor) -> Job:
    """Import the file in a job, its columns as they were when it was looked through.

    Raises Invalid with the rule, where it was not looked through with nothing refused, was looked through with other columns since the
    page that asks was shown, or is under way.
    """
    users.demand_allowed(policy.can_import(by))
    _demand_mailing(upload.become, by)
    if policy.some_ask_for_password(_importable(command, upload).report["roles"]):
        auth.confirm(command, by=by)
    _alone(upload, by)
    return jobs.ask(IMPORT, by=by, arguments=_importable(command, upload).arguments)


def _importable(command: BeginImport, upload: Upload) -> Any:
    """The job that has looked through the file."""
    looked = checked(upload)
    if looked and looked.id != command.preview:
        raise Invalid("The columns of this file were matched anew since this page was shown. Look at what becomes of its lines now.")
    if not looked or not looked.report or looked.report["refused"] or not looked.report["good"]:
        raise Invalid("This file cannot be imported: it has not been looked through to its end, or some of its lines are refused.")
    return looked


@jobs.kind(IMPORT, title="Import of people", question=policy.can_import, report="imports/_imported.html")
def import_people(work: Work) -> dict[str, Any]:
    """All or nothing: every line is judged anew, by the rules and the accounts of this moment."""
    found, by = _upload_of(work), work.by
    _demand_mailing(found.become, by)
    _, batches, total = _read(found, work)
    nobodys = passwords.hashed(secrets.token_urlsafe(32)) if found.become == "deactivated" else None
    tally, made, faults, refused = bulk.begin_import(by=by), 0, list[str](), 0
    for batch in batches:
        importing.judge(batch, by)
        bad = [f"Line {line.number:,}: {line.fault}" for line in batch if line.fault]
        refused, faults = refused + len(bad), [*faults, *bad][:NAMED]
        if not refused:
            people = [line.person for line in batch if line.person]
            importing.write(people, nobodys, tally, by)
            made += len(people)
        work.progress(work.pulse.done + len(batch), total)
    if refused:
        more = f" And {refused - NAMED:,} more." if refused > NAMED else ""
        raise Invalid(file=" ".join(faults) + more)
    changes = {"file": [None, found.name], "become": [None, found.become]}
    bulk.end_import(tally, changes, by=by)
    db.session.execute(delete(Upload).where(Upload.tenant_id == by.tenant_id, Upload.id == found.id))
    return {"act": str(tally.act_id), "imported": made, "become": found.become}


def _upload_of(work: Work) -> Upload:
    found = upload(work.by.tenant_id, UUID(work.arguments["upload"]))
    if found is None:
        raise Invalid(file=GONE)
    return found


def _read(found: Upload, work: Work) -> tuple[Columns, Iterator[list[Line]], int]:
    """The file's columns, its lines in batches, and how many they are, which the job's progress is told of."""
    read = importing.read(_file(work.by.tenant_id, found.id), work.arguments["columns"], work.by)
    work.progress(0, read[2])
    return read
