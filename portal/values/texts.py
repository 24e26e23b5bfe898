"""Text that people type: what is tidied quietly, what is refused, and the key it sorts by."""

import hashlib
import unicodedata
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# No control characters, but nothing is seen of them.
BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
LINE_BREAKS = ("\r\n", "\r", "\u2028", "\u2029")
UNDECOMPOSED = str.maketrans("øłđðıħŧŋ", "olddihtn") | {ord("þ"): "th", ord("æ"): "ae", ord("œ"): "oe", ord("ß"): "ss"}
APOSTROPHES = str.maketrans("‘’ʼ", "'''")  # telephones write them round
INDIC_AND_KANA_MARKS = {0, 7, 8, 9}  # combining classes that change the letter itself; the others are accents
SORT_KEY_LENGTH, SEARCHED_LENGTH = 200, 400


def text_of(value: object, limit: int) -> str:
    """The typed text, unchanged. ValueError for what is no text, and at once for what is far beyond `limit`."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("Write this as text.")
    if len(value) > 4 * limit:
        raise ValueError(_too_long(value, limit))
    return value


def clean_line(value: object, limit: int) -> str:
    """One line: NFC, trimmed, runs of white space made one space; may be empty.

    ValueError with a sentence for people: no text, more than `limit` characters, or a character that nobody sees.
    """
    text = text_of(value, limit)
    for place, char in enumerate(text) if not (text.isascii() and text.isprintable()) else ():
        if _unseen(char) and char not in "\t\n\r" and not _joins_letters(text, place):
            raise ValueError(unseen_sentence(text, place))
    return _within(limit, " ".join(unicodedata.normalize("NFC", text).split()))


def clean_lines(value: object, limit: int) -> str:
    """Several lines: NFC, trimmed, breaks as "\\n", tabs as spaces; may be empty. ValueError as in `clean_line`."""
    text = text_of(value, limit)
    for line_break in LINE_BREAKS:
        text = text.replace(line_break, "\n")
    text = text.expandtabs(4)
    for place, char in enumerate(text) if not _is_printed(text.replace("\n", "")) else ():
        if char != "\n" and _harmful(char):
            raise ValueError(unseen_sentence(text, place))
    return _within(limit, unicodedata.normalize("NFC", text).strip())


def harmful_sentence(text: str) -> str | None:
    """What is wrong with a text that is kept as it came: controls, bidi marks, broken characters; None if nothing."""
    places = (place for place, char in enumerate(text) if char not in "\t\n\r" and _harmful(char))
    place = next(places, None)
    return None if place is None else unseen_sentence(text, place)


def _within(limit: int, text: str) -> str:
    if len(text) > limit:
        raise ValueError(_too_long(text, limit))
    return text


def _too_long(text: str, limit: int) -> str:
    return f"Shorten this to {limit:,} characters; it has {len(text):,}."


def _is_printed(text: str) -> bool:
    """Whether nothing in it is harmful, known many times quicker than sign by sign; false also where only something looks as if it was."""
    return text.isprintable() and "\ufffd" not in text


def _harmful(char: str) -> bool:
    """True for controls, halves of surrogate pairs, bidi marks, what is no character, and tags (invisible text)."""
    tag = "\U000e0000" <= char <= "\U000e007f"
    return unicodedata.category(char) == "Cc" or char in BIDI or tag or _broken(char)


@lru_cache(maxsize=4096)  # asked of every letter of an import
def _unseen(char: str) -> bool:
    return unicodedata.category(char) == "Cf" or char in BLANK_LETTERS or _harmful(char)


def _broken(char: str) -> bool:
    return char == "\ufffd" or "\ufdd0" <= char <= "\ufdef" or ord(char) & 0xFFFE == 0xFFFE or "\ud800" <= char <= "\udfff"


def _joins_letters(text: str, place: int) -> bool:
    """True for a joiner that Sinhala, Hindi, Persian and others cannot be spelled without (RFC 5892, CONTEXTJ)."""
    if text[place] not in "\u200c\u200d" or not 0 < place < len(text) - 1:
        return False
    before, after = text[place - 1], text[place + 1]
    if unicodedata.combining(before) == 9:  # a virama
        return True
    return text[place] == "\u200c" and unicodedata.bidirectional(before) == unicodedata.bidirectional(after) == "AL"


def unseen_sentence(text: str, place: int) -> str:
    """Which character that nobody sees stands at a place of a text, and after what."""
    kind = "broken" if _broken(text[place]) else "hidden"
    before = " ".join(text[:place].split())[-20:]
    where = f"after “{before}”" if before else "at the start"
    return f"There is a {kind} character (U+{ord(text[place]):04X}) {where}. Delete it, or type the text again."


def clean_name(value: object, limit: int = 200) -> str:
    """A name of 1 to `limit` characters that holds a letter or a digit; ValueError with a sentence for people."""
    name = clean_line(value, limit)
    if not name:
        raise ValueError("Enter a name.")
    if not any(char.isalnum() for char in name):
        raise ValueError("A name needs at least one letter or digit.")
    return name


def clean_person_name(value: object) -> str:
    """As `clean_name`, of at most 100 characters."""
    return clean_name(value, 100)


def clean_long_text(value: object) -> str | None:
    """Up to 10,000 characters in lines; None when empty."""
    return clean_lines(value, 10_000) or None


def cleared(typed: Any) -> Any:
    """None for what was left empty, a text or all parts of a mapping: a field may be cleared."""
    parts = typed.values() if isinstance(typed, dict) else [typed]
    return None if all(isinstance(part, str) and not part.strip() for part in parts) else typed


MayBeCleared = BeforeValidator(cleared)
Name = Annotated[str, BeforeValidator(clean_name), Field(json_schema_extra={"minLength": 1, "maxLength": 200})]
PersonName = Annotated[str, BeforeValidator(clean_person_name), Field(json_schema_extra={"minLength": 1, "maxLength": 100})]
LongText = Annotated[str | None, BeforeValidator(clean_long_text), Field(json_schema_extra={"maxLength": 10_000})]
OptionalText = LongText


def is_latin(text: str) -> bool:
    """True where every letter is a Latin one."""
    return all(unicodedata.name(char, "").startswith("LATIN") for char in text if char.isalpha())


def unaccented(text: str) -> str:
    """The text casefolded, without the accents of Latin, Greek, Cyrillic, Hebrew and Arabic. Of any text, no errors."""
    decomposed = unicodedata.normalize("NFKD", text.casefold()).casefold()
    plain = "".join(char for char in decomposed if unicodedata.combining(char) in INDIC_AND_KANA_MARKS)
    return unicodedata.normalize("NFC", plain.translate(UNDECOMPOSED))


def sort_key(text: str) -> str:
    """What a text sorts by in byte order: casefolded, unaccented, at most 200 characters. Of any text, no errors."""
    return _folded(text, SORT_KEY_LENGTH)


def _folded(text: str, length: int) -> str:
    text = text[:length]
    if text.isascii() and text.isprintable():  # as most texts are; the long way gives the same
        return " ".join(text.lower().split())
    seen = "".join(" " if char.isspace() else char for char in text if char.isspace() or not _unseen(char))
    return " ".join(unaccented(seen).split())[:length]


def folded(text: str) -> str:
    """What is searched in a text, or for: casefolded, unaccented, apostrophes alike, one space between words, 400 characters.

    Of any text, no errors.
    """
    return _folded(text, SEARCHED_LENGTH).translate(APOSTROPHES)


def full_name(first_name: str | None, last_name: str | None, username: str) -> str:
    """How a person is called: first and last name, the username where neither is known."""
    return " ".join(filter(None, (first_name, last_name))).strip() or username


def fingerprint(text: str) -> bytes:
    """SHA-256 of a text: how secrets, nonces and counted names are kept."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
