"""Bar charts, worked out before they are drawn: what each bar is called, how high it is, and what the whole says in a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
STEPS = [step * 10**power for power in range(12) for step in (1, 2, 4, 6)]


class Bar(NamedTuple):
    """One day. `shown` is its count in words; `height` in hundredths of the picture's, 0 for none, None for a gap."""

    day: str
    name: str
    shown: str
    left: int
    height: float | None


@dataclass(frozen=True)
class Chart:
    """The bars of a picture that is 100 high and 10 wide for each; `top` is the number on top of its scale."""

    bars: list[Bar]
    top: int
    gaps: int
    description: str
    below: list[str]

    @property
    def measured(self) -> list[Bar]:
        return [bar for bar in self.bars if bar.height is not None]

    @property
    def width(self) -> int:
        return 10 * len(self.bars)


def daily(days: Sequence[tuple[date, int | None]], of: str) -> Chart:
    """A bar for each (day, count); a count of None is a gap: not measured. `of` names what is counted, in the plural."""
    counts = [count for _, count in days if count is not None]
    top = scale_for(max(counts, default=0))
    bars = [Bar(day.isoformat(), long(day), words(count), 10 * at, height(count, top)) for at, (day, count) in enumerate(days)]
    marks = [days[0], *([days[len(days) // 2]] if len(days) > 2 else []), days[-1]]
    below = [f"{day.day} {MONTHS[day.month - 1][:3]}" for day, _ in marks]
    return Chart(bars, top, len(days) - len(counts), described(days, counts, of), below)


def scale_for(most: int) -> int:
    """The even number on top of the scale: 4, 6, 10, 20, 40, 60, 100 …"""
    return next(step for step in STEPS if step >= max(4, most))


def height(count: int | None, top: int) -> float | None:
    return None if count is None else round(100 * count / top, 2)


def words(count: int | None) -> str:
    return "not measured" if count is None else f"{count:,}"


def long(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def described(days: Sequence[tuple[date, int | None]], counts: list[int], of: str) -> str:
    """The chart for those who do not see it."""
    told = f"{len(days)} days, {long(days[0][0])} to {long(days[-1][0])}."
    best, most = max(days, key=lambda pair: pair[1] or 0)
    if counts:
        told += f" {of.capitalize()} in all: {sum(counts):,}" + (f", most on {long(best)} with {most:,}." if most else ".")
    gaps = len(days) - len(counts)
    return told + (f" {gaps} {'day was' if gaps == 1 else 'days were'} not measured." if gaps else "")
