"""Whether a password is hard enough to guess, and what would make it so."""

import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import SecretStr, ValidationInfo

MINIMUM = 12
LONGEST = 128
STRONG_ENOUGH = 3
LOOKED_AT = 72  # zxcvbn's work grows steeply with length
SHORTEST_LOOK = 16
MOST_WORK = 50_000  # readings × substrings: about 0.1 s
MOST_HINTS = 100
WORDS = ("Very easy to guess", "Easy to guess", "Not quite safe yet", "Strong", "Very strong")
KINDER = "Add a word or two that have nothing to do with you."
NOT_YOURS = "This password is made of names that belong to you or your organization."
_one_at_a_time = threading.Lock()  # zxcvbn keeps the hints of a call in a global


@dataclass(frozen=True, slots=True)
class Strength:
    """How well a password stands: `score` 0 (worst) to 4, the same in words, and what to do ("" when it is fine)."""

    score: int
    words: str
    advice: str


def password_fault(password: object, hints: Iterable[str], minimum: int = MINIMUM) -> str | None:
    """Why a password is refused, and what to do; None when it is fine. `hints`: names that others know of them."""
    fault = _form_fault(password, minimum)
    if fault or not isinstance(password, str):
        return fault
    score, advice = _guessed(password, hints)
    return None if score >= STRONG_ENOUGH else advice


def password_strength(password: str, hints: Iterable[str], minimum: int = MINIMUM) -> Strength:
    """The strength of what was typed so far; never "Strong" where `password_fault` refuses."""
    if not password:
        return Strength(0, "Nothing typed yet", f"Use at least {minimum} characters. A short sentence works well.")
    fault = _form_fault(password, minimum)
    if fault:
        words = "Too short" if len(password) < minimum else "Cannot be used"
        return Strength(0, words, fault)
    score, advice = _guessed(password, hints)
    return Strength(score, WORDS[score], "" if score >= STRONG_ENOUGH else advice)


def _form_fault(password: object, minimum: int) -> str | None:
    if not isinstance(password, str) or not password:
        return f"Choose a password of at least {minimum} characters. A short sentence works well."
    if len(password) > LONGEST:
        return f"Shorten the password to {LONGEST} characters; it has {len(password):,}."
    if "\0" in password or any("\ud800" <= char <= "\udfff" for char in password):
        return "This password holds a character that cannot be kept. Type it anew."
    if len(password) < minimum:
        return f"This password has {len(password)} characters. Use at least {minimum}; a short sentence works well."
    return None


def _guessed(password: str, hints: Iterable[str]) -> tuple[int, str]:
    """Score and advice. zxcvbn takes any three words for strong, so what is left without names must be strong too."""
    words = _hint_words(hints)
    score, warning = _scored(password, words)
    rest = re.sub("|".join(map(re.escape, sorted(words, key=len, reverse=True))), "", password, flags=re.IGNORECASE)
    if words and rest != password:
        rest_score = _scored(rest, words)[0] if rest else 0
        if rest_score < score:
            score, warning = rest_score, NOT_YOURS
    return score, f"{warning or 'This password is easy to guess.'} {KINDER}"


def _scored(password: str, words: set[str]) -> tuple[int, str]:
    """Score and warning of zxcvbn."""
    from zxcvbn import zxcvbn

    with _one_at_a_time:
        result = zxcvbn(_affordable(password[:LOOKED_AT]), user_inputs=sorted(words), max_length=LOOKED_AT)
    if any(part.get("dictionary_name") == "user_inputs" for part in result["sequence"]):
        return int(result["score"]), NOT_YOURS
    return int(result["score"]), str(result["feedback"]["warning"])


def _affordable(password: str) -> str:
    """The beginning that is scored in about 0.1 s: signs that may stand for letters (4, @, |) cost zxcvbn up to 8 s."""
    from zxcvbn.matching import L33T_TABLE, enumerate_l33t_subs, relevant_l33t_subtable

    while len(password) > SHORTEST_LOOK:
        readings = len(enumerate_l33t_subs(relevant_l33t_subtable(password, L33T_TABLE)))
        if readings * len(password) ** 2 <= MOST_WORK:
            break
        password = password[: len(password) * 3 // 4]
    return password


def _hint_words(hints: Iterable[str]) -> set[str]:
    """The hints whole, written together and word by word: "Quiet Harbour" warns of "harbour" too."""
    words: set[str] = set()
    for hint in list(hints)[:MOST_HINTS]:
        text = (hint or "")[:LONGEST].lower()
        inner = re.findall(r"\w+", text)
        words |= {text, "".join(inner), *inner}
    return {word for word in words if len(word) > 2}


def strong_password(password: SecretStr, info: ValidationInfo, *, hints: tuple[str, ...] = ()) -> SecretStr:
    """For a command's validator: raises ValueError with the fault.

    `hints` names the command's fields that must not make up the password; its context may hold `hints`, further such words.
    """
    context = info.context or {}
    words = [*context.get("hints", ()), *(str(info.data[name]) for name in hints if info.data.get(name))]
    fault = password_fault(password.get_secret_value(), words, context.get("password_minimum", MINIMUM))
    if fault:
        raise ValueError(fault)
    return password
