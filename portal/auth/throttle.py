"""Slowing down guesses: counts shared by all workers, by account and network, by network, by account; never a lock for good."""

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from uuid import UUID

from limits import RateLimitItem, parse

from portal.errors import TooMany
from portal.extensions import limiter
from portal.values import fingerprint, network_of

FROM_ONE_NETWORK_ON_ONE_ACCOUNT = parse("10 per 5 minutes")
FROM_ONE_NETWORK = parse("300 per hour")
ON_ONE_ACCOUNT = parse("60 per hour")
MAILS_FROM_ONE_NETWORK_TO_ONE = parse("5 per hour")
MAILS_FROM_ONE_NETWORK = parse("60 per hour")
MAILS_TO_ONE = parse("20 per hour")
FROM_A_KNOWN_BROWSER = parse("10 per 5 minutes")
NOTED_OF_ONE = parse("100 per hour")  # refusals in the audit log


class Counted(ABC):
    """Something that is tried, under one or more counters."""

    @abstractmethod
    def counters(self) -> list[tuple[RateLimitItem, str]]:
        """Each limit and the key that it counts under."""

    def count(self) -> None:
        """Count the try before anything is verified; raises `TooMany` with the seconds to wait."""
        for limit, key in self.counters():
            if not limiter.limiter.hit(limit, key):
                reset = limiter.limiter.get_window_stats(limit, key).reset_time
                wait = max(1, int(reset - time.time()) + 1)
                raise TooMany(f"Too many attempts. Try again in {in_words(wait)}.", retry_after=wait)

    def succeeded(self) -> None:
        """Take the count back: whoever knows the password is no guesser."""
        for limit, key in self.counters():
            limiter.limiter.hit(limit, key, cost=-1)


@dataclass(frozen=True)
class Attempt(Counted):
    """One try to sign in: the account as it was typed, the network, and whether this browser has signed in to it before."""

    account: str
    network: str | None
    known_browser: str | None = None

    def counters(self) -> list[tuple[RateLimitItem, str]]:
        account, network = digest(self.account), digest(network_of(self.network or "unknown"))
        if self.known_browser:
            return [(FROM_A_KNOWN_BROWSER, f"browser:{digest(self.known_browser)}:{account}"), (FROM_ONE_NETWORK, f"network:{network}")]
        return [
            (FROM_ONE_NETWORK_ON_ONE_ACCOUNT, f"both:{account}:{network}"),
            (FROM_ONE_NETWORK, f"network:{network}"),
            (ON_ONE_ACCOUNT, f"account:{account}"),
        ]


def notes_refusal_of(user: UUID) -> bool:
    """Whether one more refusal of this person is worth an entry: a hundred in an hour tell all there is to tell."""
    return bool(limiter.limiter.hit(NOTED_OF_ONE, f"refused:{user}"))


@dataclass(frozen=True)
class Guesses(Counted):
    """Tries to name the password of an account by somebody who is signed in to it."""

    user: UUID

    def counters(self) -> list[tuple[RateLimitItem, str]]:
        return [(FROM_A_KNOWN_BROWSER, f"password:{self.user}")]


@dataclass(frozen=True)
class CodeTries(Counted):
    """Tries to guess an access code of an organization, as it was typed, from a network."""

    organization: str
    network: str | None

    def counters(self) -> list[tuple[RateLimitItem, str]]:
        organization, network = digest(self.organization), digest(network_of(self.network or "unknown"))
        return [(FROM_ONE_NETWORK_ON_ONE_ACCOUNT, f"code:{organization}:{network}"), (FROM_ONE_NETWORK, f"codes:{network}")]


@dataclass(frozen=True)
class AskedToMail(Counted):
    """Asking for a mail: to whom, as it was typed, and from which network."""

    whom: str
    network: str | None

    def counters(self) -> list[tuple[RateLimitItem, str]]:
        whom, network = digest(self.whom), digest(network_of(self.network or "unknown"))
        return [
            (MAILS_FROM_ONE_NETWORK_TO_ONE, f"mail:{whom}:{network}"),
            (MAILS_FROM_ONE_NETWORK, f"mails:{network}"),
            (MAILS_TO_ONE, f"mail:{whom}"),
        ]


@dataclass(frozen=True)
class Unasked(Counted):
    """A mail to somebody who may not have asked for it: an invitation, a link that confirms an address; `whom` names kind and address."""

    whom: str

    def counters(self) -> list[tuple[RateLimitItem, str]]:
        return [(MAILS_TO_ONE, f"unasked:{digest(self.whom)}")]


def digest(text: str) -> str:
    """A name that cannot be read back, for keys of counters and for cookies."""
    return fingerprint(text).hex()[:32]


def in_words(seconds: int) -> str:
    minutes = -(-seconds // 60)
    return "a minute" if minutes <= 1 else f"{minutes} minutes"
