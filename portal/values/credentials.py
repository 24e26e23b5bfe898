"""Credentials: whoever holds one proves a secret, and names the tenant that it is looked up in; only the secret's hash is kept."""

import re
import secrets
from uuid import UUID

from portal.values.texts import fingerprint

LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # of codes: none that looks like another
CODE_LENGTH = 12


def new_credential(tenant: UUID) -> tuple[str, bytes]:
    """`<tenant>.<secret>` with a secret of 256 bits, and the hash to keep of it."""
    secret = secrets.token_urlsafe(32)
    return f"{tenant.hex}.{secret}", fingerprint(secret)


def credential_parts(credential: str) -> tuple[UUID | None, bytes]:
    """The tenant that a credential names, None where it is none, and its secret's hash."""
    tenant, _, secret = str(credential).partition(".")
    try:
        return UUID(hex=tenant), fingerprint(secret)
    except ValueError:
        return None, b""


def new_code() -> str:
    """A code of 58 bits that people can read to each other, such as K7QM-2XNA-9RTB."""
    code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
    return "-".join(code[place : place + 4] for place in range(0, CODE_LENGTH, 4))


def code_hash(typed: str) -> bytes:
    """The hash to keep of a code, the same however it is typed: letters and digits count, not case, spaces or hyphens."""
    return fingerprint(re.sub(r"[^0-9A-Z]", "", typed.upper()))
