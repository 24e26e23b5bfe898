"""Refusals: what services, guards and forms raise; `responses.refuse` turns them into answers."""

from collections.abc import Callable, Iterator, Mapping

from pydantic import ValidationError

# What pydantic finds by itself, as people are told it; the rules of the portal bring their own sentences.
SENTENCES = {
    "missing": "This is missing.",
    "string_type": "Write this as text.",
    "list_type": "Write this as a list.",
    "model_type": "Write this as an object, in braces.",
    "int_parsing": "Write this as a whole number.",
    "int_parsing_size": "Write this as a smaller number.",
    "greater_than_equal": "The least that can be chosen is {ge:,}.",
    "less_than_equal": "The most that can be chosen is {le:,}.",
    "literal_error": "Choose one of those that are offered.",
    "uuid_parsing": "This is no id of the portal's. Go back, reload the page and choose again.",
    "string_too_long": "Shorten this to at most {max_length:,} characters.",
    "date_from_datetime_parsing": "Write the day as year, month and day, as in 2026-11-24.",
    "date_from_datetime_inexact": "Write the day as year, month and day, as in 2026-11-24.",
}


def faults_of(error: ValidationError) -> Iterator[tuple[list[str], str]]:
    """Where each fault is, from the outermost field inwards, and what is wrong there in a sentence; never what was typed."""
    for fault in error.errors(include_url=False, include_input=False):
        sentence = SENTENCES.get(fault["type"])
        words = sentence.format(**fault.get("ctx", {})) if sentence else fault["msg"].removeprefix("Value error, ")
        yield [str(part) for part in fault["loc"]], words


class Refusal(Exception):
    """Something was asked for and is not done, with the reason in words.

    `message` is a sentence for the person, `fields` maps a form field's name (dotted for nested ones) to what is wrong with it,
    `who_helps` names who could do it instead, `afterwards` runs in a transaction of its own once the request's was rolled back.
    """

    status = 400
    default_message = "This request cannot be understood."

    def __init__(
        self,
        message: str | None = None,
        *,
        fields: Mapping[str, str] | None = None,
        who_helps: str | None = None,
        retry_after: int | None = None,
        afterwards: Callable[[], None] | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.fields = dict(fields or {})
        self.who_helps = who_helps
        self.retry_after = retry_after
        self.afterwards = afterwards
        super().__init__(self.message)


class Unauthenticated(Refusal):
    status = 401
    default_message = "Sign in to go on."


class Forbidden(Refusal):
    status = 403
    default_message = "Your role does not allow this."


class NotFound(Refusal):
    status = 404
    default_message = "There is nothing at this address. It may have been removed, or the link may be incomplete."


class Conflict(Refusal):
    status = 409
    default_message = "Somebody else changed this in the meantime."


class Invalid(Refusal):
    """What was typed cannot be accepted; `Invalid(subdomain="…")` puts the sentence beside that field."""

    status = 422
    default_message = "Some answers need another look."

    def __init__(self, message: str | None = None, *, fields: Mapping[str, str] | None = None, **beside: str) -> None:
        super().__init__(message, fields={**(fields or {}), **beside})

    @classmethod
    def by(cls, error: ValidationError) -> "Invalid":
        """With the fault of each outermost field beside it."""
        return cls(fields={location[0]: sentence for location, sentence in faults_of(error)})


class TooMany(Refusal):
    status = 429
    default_message = "Too many attempts. Wait a little, then try again."


class Unavailable(Refusal):
    status = 503
    default_message = "The portal cannot reach its database right now. Nothing was changed; try again in a moment."
