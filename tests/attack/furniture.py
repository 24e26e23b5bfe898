"""A row in every table for each organization of the cast, its canary in every text, so that a look over the fence shows."""

import hashlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

from psycopg2.extras import Json

from portal.database import connect
from portal.testing.cast import NAMESPACE, Organization

FREE_AGENT = str(uuid5(NAMESPACE, "free agent"))
NOBODYS = str(uuid5(NAMESPACE, "no organization"))
# Which column tells whose row it is; the legacy tokens, which nobody may read, know no organization.
TENANT_COLUMN = {
    "tenants": "id",
    "users": "tenant_id",
    "user_counts": "tenant_id",
    "agents": "owner_tenant_id",
    "conversations": "tenant_id",
    "conversation_users": "tenant_id",
    "tenant_agents": "tenant_id",
    "agent_versions": "owner_tenant_id",
    "agent_drafts": "tenant_id",
    "agent_shares": "tenant_id",
    "conversation_agents": "tenant_id",
    "sessions": "tenant_id",
    "invitations": "tenant_id",
    "access_codes": "tenant_id",
    "mail_links": "tenant_id",
    "bulk_acts": "tenant_id",
    "bulk_changes": "tenant_id",
    "uploads": "tenant_id",
    "upload_parts": "tenant_id",
    "audit_entries": "tenant_id",
    "outbox": "tenant_id",
    "jobs": "tenant_id",
    "idempotency_keys": "tenant_id",
    "legacy_notes": "tenant_id",
    "refresh_tokens": "id",
}


def id_of(tenant: Organization, thing: str) -> str:
    return str(uuid5(tenant.id, thing))


def furnish(owner_url: str, cast: SimpleNamespace) -> None:
    """From the owner's side, beside the people that the cast already is."""
    with connect(owner_url) as connection, connection.cursor() as cursor:
        for tenant in vars(cast).values():
            for table, row in rows_of(tenant).items():
                put(cursor, table, row)
        put(cursor, "agents", agent(FREE_AGENT, "free", None))
    connection.close()


def put(cursor: Any, table: str, row: dict[str, Any]) -> None:
    cursor.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values()))


def rows_of(tenant: Organization) -> dict[str, dict[str, Any]]:
    word, own = f"CANARY-{tenant.subdomain}", str(tenant.id)
    person, talk, helper = str(next(iter(tenant.people.values())).id), id_of(tenant, "conversation"), id_of(tenant, "agent")
    later, now = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC)
    part = {"id": id_of(tenant, "part"), "conversation_id": talk, "tenant_id": own}
    return {
        "conversations": {
            "id": talk, "tenant_id": own, "title": word, "description": word, "status": "active", "created_by_user_id": person,
        },
        "conversation_users": {**part, "user_id": person, "is_active": True},
        "agents": agent(helper, tenant.subdomain, tenant.id),
        "tenant_agents": {"tenant_id": own, "agent_id": helper, "is_on": True, "changed_by": person},
        "agent_versions": {
            "agent_id": helper, "number": 1, "owner_tenant_id": own, "name": word, "agent_type": word, "description": word, "capabilities": [word],
            "configuration": Json({"prompt": word}), "saved_by": person, "comment": word,
        },
        "agent_drafts": {
            "tenant_id": own, "id": id_of(tenant, "draft"), "user_id": person, "agent_id": helper, "typed": Json({"name": word}), "expires_at": later,
        },
        "agent_shares": {
            "tenant_id": own, "id": id_of(tenant, "share"), "agent_id": helper, "agent_name": word, "owner_name": word, "owner_subdomain": word,
            "partner_subdomain": f"partner-of-{tenant.subdomain}", "partner_name": word, "offered_by": person, "expires_at": later,
        },
        "conversation_agents": {**part, "agent_type": word, "configuration": word, "agent_id": helper, "is_active": True},
        "sessions": session(tenant, "session", expires_at=later),
        "invitations": {
            "tenant_id": own, "id": id_of(tenant, "invitation"), "user_id": person, "secret_hash": digest(f"secret-of-{tenant.subdomain}"), "line": word,
            "invited_by": person, "expires_at": later,
        },
        "access_codes": {
            "tenant_id": own, "id": id_of(tenant, "code"), "label": word, "secret_hash": digest(word), "needs_approval": False,
            "made_by": person,
        },
        "mail_links": {
            "tenant_id": own, "id": id_of(tenant, "link"), "kind": "password", "user_id": person, "secret_hash": digest(f"secret-of-{tenant.subdomain}"),
            "email": word, "auth_epoch": 0, "expires_at": later,
        },
        "bulk_acts": {"tenant_id": own, "id": id_of(tenant, "bulk"), "act": "role", "role": "org_admin", "made_by": person},
        "bulk_changes": {
            "tenant_id": own, "act_id": id_of(tenant, "bulk"), "user_id": person, "old_role": "user", "old_state": word,
            "new_role": "org_admin", "new_state": word,
        },
        "uploads": {
            "tenant_id": own, "id": id_of(tenant, "upload"), "name": word, "size": 1, "become": "invited", "uploaded_by": person,
            "expires_at": later,
        },
        "user_counts": {"tenant_id": own, "id": id_of(tenant, "count"), "role": word, "state": word, "is_verified": True, "number": 1},
        "upload_parts": {
            "tenant_id": own, "upload_id": id_of(tenant, "upload"), "kind": "file", "number": 0, "bytes": word.encode(),
        },
        "audit_entries": {
            "tenant_id": own, "seq": 1, "at": now, "actor_id": person, "actor_name": word, "action": "signed_in", "object_type": "user",
            "object_id": person, "changes": Json({"name": [None, word]}), "network": word, "hash": digest(word),
        },
        "outbox": {
            "tenant_id": own, "id": id_of(tenant, "mail"), "message_id": word, "recipient": word, "subject": word, "body_text": word,
            "body_html": word, "expires_at": later,
        },
        "jobs": {
            "tenant_id": own, "id": id_of(tenant, "job"), "kind": word, "asked_by": person, "network": word, "state": "running",
            "arguments": Json({"word": word}), "checkpoint": Json({"word": word}), "report": Json({"word": word}), "error": word,
            "expires_at": later,
        },
        "idempotency_keys": {"tenant_id": own, "key": digest(word), "action": word, "result_id": person, "expires_at": later},
        "legacy_notes": {
            "tenant_id": own, "id": id_of(tenant, "note"), "table_name": "users", "row_id": person, "column_name": "role",
            "old_value": Json(word), "reason": word,
        },
        "refresh_tokens": {"id": id_of(tenant, "token"), "token": word, "user_id": person, "expires_at": later},
    }  # fmt: skip


def agent(id_: str, whose: str, owner: UUID | None) -> dict[str, Any]:
    word = f"CANARY-{whose}"
    texts = {"agent_type": f"CANARY_{whose.upper()}", "name": word, "description": word, "configuration_template": Json({"prompt": word})}
    return {"id": id_, **texts, "is_free_agent": owner is None, "owner_tenant_id": str(owner) if owner else None, "published_version": 1}


def session(tenant: Organization, name: str, expires_at: datetime) -> dict[str, Any]:
    word, person = f"CANARY-{tenant.subdomain}", str(next(iter(tenant.people.values())).id)
    keys = {"tenant_id": str(tenant.id), "id": id_of(tenant, name), "user_id": person, "secret_hash": digest(word + name), "auth_epoch": 0}
    return {**keys, "expires_at": expires_at, "user_agent": word, "network": word}


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
