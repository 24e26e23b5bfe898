"""The subdomain an organization is reached by: its form, the words kept back, and a suggestion made from a name."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from portal.values.texts import text_of, unaccented

SHORTEST, LONGEST = 3, 63
SUGGESTED_LENGTH, SUGGESTED_FROM = 40, 200
NOT_ALLOWED = re.compile(r"[^a-z0-9-]")

_PATHS = """
    access-codes account accounts admin admins agent agents api apis app apps appearance assets audit auth authorize
    callback conversation conversations csp docs download downloads errors events exports favicon files forgotten graphql
    health healthz help home hooks htmx images import imports index invitation invitations invite invites jobs join
    live login log-in logout log-out mail messages metrics mfa monitoring new notifications oauth oauth2 oidc
    openapi organization organizations outbox overview passkeys password passwords platform preferences profile
    public ready readyz redoc register registration reports reset robots root saml scim search security sessions
    settings setup sign-in sign-out sign-up signin signout signup sitemap sso static stats stream support swagger
    tenant tenants terms tokens upload uploads user users verify webauthn webhook webhooks websocket well-known
"""
_HOSTS = """
    autoconfig autodiscover backup backups beta blog broadcasthost cdn cloud cluster console database dev
    development demo dns email example ftp gateway git gitlab host imap internal intranet invalid isatap ldap local
    localdomain localhost mail1 mail2 mobile mta mta-sts mx1 mx2 ns1 ns2 ns3 ns4 pop pop3 portal postgres postgresql
    preview prod production proxy relay router sandbox server sftp shop smtp ssh ssl staging status store subdomain
    svn test testing tls vpn web webmail webserver wpad www www1 www2 www3
"""
_PEOPLE = """
    abuse administrator all anonymous anyone billing bot bots contact default everybody everyone guest hostmaster
    info legal list moderator noc nobody none noreply no-reply nothing null official operator owner policy
    postmaster press privacy sales staff sudo super-admin superadmin superuser sysadmin system team thanotopolis
    trust undefined unknown usenet uucp webmaster worker www-data
"""
reserved_subdomains = frozenset(f"{_PATHS} {_HOSTS} {_PEOPLE}".split())


def clean_subdomain(value: object) -> str:
    """A free-to-use form of 3 to 63 small letters, digits and single inner hyphens, as the database checks it.

    ValueError with a sentence for people. Whether somebody has it already is for the database to say.
    """
    text = text_of(value, LONGEST).strip()
    if not text:
        raise ValueError("Choose a short name of 3 to 63 small letters, digits and hyphens.")
    # Only ASCII is lower-cased: the Kelvin sign and its like would turn into ordinary letters.
    subdomain = "".join(char.lower() if char.isascii() else char for char in text)
    fault = _characters_fault(subdomain) or _shape_fault(subdomain)
    if fault:
        raise ValueError(fault)
    return subdomain


def _characters_fault(text: str) -> str | None:
    found = NOT_ALLOWED.search(text)
    if not found:
        return None
    char = found.group()
    if char.isspace():
        return "A short name cannot have spaces. Put hyphens in their place." + _for_example(text)
    if char == ".":
        return "A short name cannot have dots. Leave them out, or put hyphens in their place." + _for_example(text)
    if char == "_":
        return "A short name cannot have underscores. Put hyphens in their place." + _for_example(text)
    if not char.isprintable():
        return f"There is a hidden character (U+{ord(char):04X}) in this short name. Delete it, or type the name again."
    if char.isalnum():
        code = f"U+{ord(char):04X}"
        return f"“{char}” ({code}) is not one of the letters a to z, though it may look like one. Use a to z." + _for_example(text)
    return f"A short name cannot have “{char}”. Use small letters, digits and hyphens." + _for_example(text)


def _shape_fault(text: str) -> str | None:
    if len(text) > LONGEST:
        return f"A short name has at most {LONGEST} characters; this one has {len(text)}. Shorten it."
    if len(text) < SHORTEST:
        return f"A short name has at least {SHORTEST} characters. Make it longer."
    if text.startswith("-") or text.endswith("-"):
        return "A short name begins and ends with a letter or a digit. Take the hyphen away." + _for_example(text)
    if text.startswith("xn--"):
        return "“xn--” at the start is kept for encoded letters. Begin with something else."
    if text[2:4] == "--":
        return "Two hyphens cannot stand in third and fourth place. Use one." + _for_example(text)
    if text in reserved_subdomains:
        return f"“{text}” is kept for the portal itself. Choose another short name."
    return None


def _for_example(text: str) -> str:
    suggestion = suggest_subdomain(text)
    nothing_lost = all(char.isascii() for char in unaccented(text[:SUGGESTED_FROM]) if char.isalnum())
    return f" For example {suggestion}." if suggestion and nothing_lost else ""


def suggest_subdomain(name: str) -> str:
    """A subdomain made from a name ("Ärzte Köln" → "arzte-koln"); "" when nothing sensible comes of it. No errors."""
    plain = unaccented(name[:SUGGESTED_FROM]).translate({ord(char): None for char in "'’‘ʼ`´"})
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))
    if len(re.sub(r"[^a-z0-9]", "", slug)) < sum(char.isalnum() for char in plain) / 2:
        return ""  # most of the name is in another script: the rest of it would not be its name
    if len(slug) > SUGGESTED_LENGTH:
        whole_words = slug[: SUGGESTED_LENGTH + 1].rpartition("-")[0]
        slug = whole_words or slug[:SUGGESTED_LENGTH]
    return "" if NOT_ALLOWED.search(slug) or _shape_fault(slug) else slug


Subdomain = Annotated[
    str,
    BeforeValidator(clean_subdomain),
    Field(json_schema_extra={"minLength": SHORTEST, "maxLength": LONGEST, "examples": ["quiet-harbour"]}),
]
