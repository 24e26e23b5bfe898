"""What an account is known by: username and e-mail address, and the keys under which twins are found."""

import re
import unicodedata
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from portal.values.texts import clean_line

if TYPE_CHECKING:
    from email_validator import ValidatedEmail

SHORTEST_USERNAME, LONGEST_USERNAME = 3, 64
LONGEST_EMAIL = 254
# An address that has no other spelling than in capitals: its length is what is seen, and only its domain is still to be asked about.
PLAIN = re.compile(r"(?=.{1,64}@)[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?!.*xn--)([a-z0-9.-]+)", re.IGNORECASE | re.ASCII)
LONGEST_LEGACY_USERNAME = 1_000
LOOK_ALIKE_SCRIPTS = {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"}


def clean_username(value: object) -> str:
    """A username of 3 to 64 letters, digits and ._- in NFKC, case kept; ValueError with a sentence for people."""
    text = clean_line(value, 4 * LONGEST_USERNAME)
    name = unicodedata.normalize("NFKC", text)
    if not name:
        raise ValueError("Choose a username of 3 to 64 letters, digits, dots, hyphens and underscores.")
    fault = _username_fault(name)
    if fault:
        raise ValueError(fault)
    return name


def _username_fault(name: str) -> str | None:
    wrong = next((char for char in name if not (_is_letter_or_digit(char) or char in "._-")), None)
    if wrong == " ":
        return "A username cannot have spaces. Put a dot, a hyphen or an underscore in their place."
    if wrong:
        return f"A username cannot have “{wrong}”. Use letters, digits, dots, hyphens and underscores."
    if not name[0].isalnum():
        return "A username begins with a letter or a digit."
    if len(name) < SHORTEST_USERNAME:
        return f"A username has at least {SHORTEST_USERNAME} characters. Make it longer."
    if len(name) > LONGEST_USERNAME:
        return f"A username has at most {LONGEST_USERNAME} characters; this one has {len(name)}. Shorten it."
    if len(_scripts(name) & LOOK_ALIKE_SCRIPTS) > 1:
        return "This username mixes letters of alphabets that look alike, such as Latin and Cyrillic. Use one of them."
    return None


def _is_letter_or_digit(char: str) -> bool:
    return unicodedata.category(char) in {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"}


def _scripts(text: str) -> set[str]:
    return {unicodedata.name(char, "").partition(" ")[0] for char in text if char.isalpha()}


def username_key(text: str) -> str:
    """The key that twins of a username share: NFKC, casefolded, trimmed. Legacy usernames have one too.

    ValueError where there cannot be an account of that name: empty, or over 1,000 characters.
    """
    if not text or len(text) > LONGEST_LEGACY_USERNAME:
        raise ValueError("There is no such username.")
    key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()
    if not key:
        raise ValueError("There is no such username.")
    return key


def clean_email(value: object) -> str:
    """An e-mail address as typed, trimmed and NFC, of at most 254 characters; never looked up. ValueError in words."""
    return clean_email_and_key(value)[0]


def clean_email_and_key(value: object) -> tuple[str, str]:
    """As `clean_email`, with the key that twins of the address share."""
    text = clean_line(value, LONGEST_EMAIL)
    if not text:
        raise ValueError("Enter an e-mail address, for example mara@example.org.")
    return text, _key_of(text)


def email_key(text: str) -> str:
    """The key that twins of an address share: lower-case local part @ ASCII domain. ValueError if it is no address."""
    return _key_of(clean_line(text, LONGEST_EMAIL))


def _key_of(text: str) -> str:
    """The key of an address of at most LONGEST_EMAIL characters.

    Of a plain one only the domain is validated, once for all who share it. Any doubt goes to the library, whose sentence people see.
    """
    plain = PLAIN.fullmatch(text)
    if plain:
        with suppress(ValueError):
            _demand_domain(plain[1].lower())
            return text.lower()
    address = _validated(text)
    local = unicodedata.normalize("NFC", address.local_part.lower())
    return f"{local}@{address.ascii_domain.lower()}"


@lru_cache(maxsize=4_096)
def _demand_domain(domain: str) -> None:
    """Raises ValueError where no address can have it."""
    _validated(f"a@{domain}")


def _validated(text: str) -> "ValidatedEmail":
    """The parts of an address."""
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(text, check_deliverability=False)
    except EmailNotValidError as error:
        raise ValueError(_email_sentence(text, error)) from None


def _email_sentence(text: str, error: Exception) -> str:
    if "@" not in text:
        return "An e-mail address has an @ in it, for example mara@example.org."
    if text.count("@") > 1:
        return "An e-mail address has one @ only. Enter a single address, for example mara@example.org."
    reason = str(error).replace("email", "e-mail").replace("@-sign", "@").rstrip(".")
    return f"{reason}. Check it, for example mara@example.org."


Username = Annotated[
    str,
    BeforeValidator(clean_username),
    Field(json_schema_extra={"minLength": SHORTEST_USERNAME, "maxLength": LONGEST_USERNAME, "examples": ["mara.ortiz"]}),
]
EmailAddress = Annotated[
    str,
    BeforeValidator(clean_email),
    Field(json_schema_extra={"format": "email", "maxLength": LONGEST_EMAIL, "examples": ["mara@example.org"]}),
]
