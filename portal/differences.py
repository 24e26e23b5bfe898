"""What differs between two texts, line by line and word by word, worked out before it is drawn; bounded, whatever they hold."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Literal, NamedTuple

CONTEXT = 3  # lines alike that are shown around what differs
ROWS = 400  # that one field may show
STEPS = 100_000  # that one comparison may take, whatever the texts are
ALIKE = 0.5  # from here on two lines are one line that was changed
# An escape of JSON; words; white space; any other character by itself. Chinese and Japanese go sign by sign, marks stay with their letters.
PART = re.compile(r"\\.|[^\s\x00-/:-@\[-^`{-\xbf\u2010-\u205e\u2e80-\u9fff]+|\s+|.", re.DOTALL)

Kind = Literal["same", "changed", "removed", "added", "skipped"]
Change = tuple[int, int, int, int]  # from and to in the old, from and to in the new


class Segment(NamedTuple):
    text: str
    is_changed: bool


@dataclass(frozen=True)
class Row:
    """A line of either side, or of both; numbers count from 1, None where a side has none. Or else that `skipped` lines are alike."""

    kind: Kind
    old_number: int | None = None
    new_number: int | None = None
    old: tuple[Segment, ...] = ()
    new: tuple[Segment, ...] = ()
    skipped: int = 0


@dataclass(frozen=True)
class Difference:
    """A field that differs. `left_out` lines, removed or added, are not among the rows; without rows only the spelling of JSON differs."""

    label: str
    rows: tuple[Row, ...]
    left_out: int = 0
    is_json: bool = False


class Lines(NamedTuple):
    """Both sides of something, before they are compared."""

    label: str
    old: list[str]
    new: list[str]
    is_json: bool = False


@dataclass
class Effort:
    """The steps that a comparison may still take."""

    left: int = STEPS

    def spend(self, steps: int, keep: int = 0) -> bool:
        """Whether so many steps may be taken, keeping some for others; they are then counted as taken."""
        if steps > self.left - keep:
            return False
        self.left -= steps
        return True


def difference(lines: Lines, effort: Effort, most: int = ROWS) -> Difference:
    """What differs between both sides, in at most so many rows."""
    changes = _changes(lines.old, lines.new, effort)
    rows = tuple(islice(_rows(lines, changes, effort), most))
    differing = sum(old_to - old_from + new_to - new_from for old_from, old_to, new_from, new_to in changes)
    shown = sum((row.old_number is not None) + (row.new_number is not None) for row in rows if row.kind != "same")
    return Difference(lines.label, rows, differing - shown, lines.is_json)


def _rows(lines: Lines, changes: list[Change], effort: Effort) -> Iterator[Row]:
    old_at, new_at = 0, 0
    for old_from, old_to, new_from, new_to in changes:
        yield from _alike(lines.old, old_at, new_at, old_from - old_at, before=CONTEXT if old_at or new_at else 0, after=CONTEXT)
        yield from _block(lines, (old_from, old_to, new_from, new_to), effort)
        old_at, new_at = old_to, new_to
    if changes:
        yield from _alike(lines.old, old_at, new_at, len(lines.old) - old_at, before=CONTEXT, after=0)


def _alike(lines: list[str], old_at: int, new_at: int, count: int, *, before: int, after: int) -> Iterator[Row]:
    """Lines that both sides have, without their middle; a single line is shown, for it takes no more room than saying that it is not."""
    skipped = count - before - after
    for at in range(count):
        if skipped < 2 or at < before or at >= count - after:
            text = (Segment(lines[old_at + at], False),)
            yield Row("same", old_at + at + 1, new_at + at + 1, text, text)
        elif at == before:
            yield Row("skipped", skipped=skipped)


def _block(lines: Lines, change: Change, effort: Effort) -> Iterator[Row]:
    """Lines that were replaced: those that resemble each other as pairs. Of each side of a long block only the beginning is told."""
    old_from, old_to, new_from, new_to = change
    old, new = lines.old[old_from:old_to], lines.new[new_from:new_to]
    if len(old) + len(new) > ROWS:
        old, new = old[: ROWS // 2], new[: ROWS // 2]
    before, after = [PART.findall(line) for line in old], [PART.findall(line) for line in new]
    for i, j in _paired(before, after, effort):
        if i is None and j is not None:
            yield Row("added", None, new_from + j + 1, new=(Segment(new[j], False),))
        elif j is None and i is not None:
            yield Row("removed", old_from + i + 1, None, old=(Segment(old[i], False),))
        elif i is not None and j is not None:
            yield Row("changed", old_from + i + 1, new_from + j + 1, *_words(before[i], after[j], effort))


def _paired(old: list[list[str]], new: list[list[str]], effort: Effort) -> list[tuple[int | None, int | None]]:
    """Which line became which, in their order, so that as much as possible is alike; None stands for none."""
    if len(old) == len(new) == 1:
        return [(0, 0)]
    before, after = [_spoken(parts) for parts in old], [_spoken(parts) for parts in new]
    if not effort.spend(5 * len(old) * len(new) + sum(map(len, before)) * len(new), effort.left // 2):
        return [*((i, None) for i in range(len(old))), *((None, j) for j in range(len(new)))]
    alike = [[_likeness(one, other) for other in after] for one in before]
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in reversed(range(len(old))):
        for j in reversed(range(len(new))):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + alike[i][j])
    return list(_followed(best, alike))


def _followed(best: list[list[float]], alike: list[list[float]]) -> Iterator[tuple[int | None, int | None]]:
    i, j, olds, news = 0, 0, len(best) - 1, len(best[0]) - 1
    while i < olds or j < news:
        if i < olds and j < news and alike[i][j] and best[i][j] == best[i + 1][j + 1] + alike[i][j]:
            yield i, j
            i, j = i + 1, j + 1
        elif i < olds and (j == news or best[i][j] == best[i + 1][j]):
            yield i, None
            i += 1
        else:
            yield None, j
            j += 1


def _spoken(parts: list[str]) -> Counter[str]:
    return Counter(part for part in parts if part[0].isalnum())


def _likeness(one: Counter[str], other: Counter[str]) -> float:
    """How much of two lines is alike, from `ALIKE` to 1; 0 for less."""
    likeness = 2 * (one & other).total() / ((one.total() + other.total()) or 1)
    return likeness if likeness >= ALIKE else 0


def _words(old: list[str], new: list[str], effort: Effort) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Both lines in segments; wholly changed where little is alike. Where nobody could see what differs, it is named."""
    seen = _seen(old) != _seen(new)
    is_other = seen and not _likeness(_spoken(old), _spoken(new))
    changes = [(0, len(old), 0, len(new))] if is_other else _joined(old, _changes(old, new, effort))
    show: Callable[[str], str] = str if seen else _named
    return _segments(old, [change[:2] for change in changes], show), _segments(new, [change[2:] for change in changes], show)


def _joined(before: list[str], changes: list[Change]) -> list[Change]:
    """Changes with nothing but white space between them are one."""
    joined = changes[:1]
    for change in changes[1:]:
        if "".join(before[joined[-1][1] : change[0]]).isspace():
            joined[-1] = (joined[-1][0], change[1], joined[-1][2], change[3])
        else:
            joined.append(change)
    return joined


def _segments(parts: list[str], changed: Sequence[tuple[int, ...]], show: Callable[[str], str]) -> tuple[Segment, ...]:
    bounds = [0, *(at for span in changed for at in span), len(parts)]
    texts = ["".join(parts[start:end]) for start, end in pairwise(bounds)]
    segments = [Segment(show(text) if at % 2 else text, bool(at % 2)) for at, text in enumerate(texts)]
    return tuple(segment for segment in segments if segment.text)


def _seen(parts: list[str]) -> str:
    return "".join(filter(str.isprintable, "".join(parts))).replace(" ", "")


def _named(text: str) -> str:
    return "".join(char if char.isprintable() else f"⟨U+{ord(char):04X}⟩" for char in text)


def _changes(old: Sequence[str], new: Sequence[str], effort: Effort) -> list[Change]:
    """Where two sequences differ, as few as possible; all from the first to the last where that takes too long."""
    if old == new:
        return []
    start = next((at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new)))
    ends = zip(reversed(old[start:]), reversed(new[start:]), strict=False)
    end = next((at for at, (one, other) in enumerate(ends) if one != other), min(len(old), len(new)) - start)
    before, after = old[start : len(old) - end], new[start : len(new) - end]
    found = _fewest(before, after, effort) if before and after else None
    whole = [(0, len(before), 0, len(after))]
    return [(a + start, b + start, c + start, d + start) for a, b, c, d in found or whole]


def _fewest(old: Sequence[str], new: Sequence[str], effort: Effort) -> list[Change] | None:
    """The fewest removals and additions that make the new of the old (Myers, 1986); None where half of the effort left does not suffice.

    difflib is no help here: for texts made to be slow, its time grows with the cube of their length.
    """
    keep, last, olds, news = effort.left // 2, [0], len(old), len(new)
    furthest: list[list[int]] = []  # for each count of edits: how far into the old they lead, diagonal by diagonal
    for edits in range(olds + news + 1):
        reached: list[int] = []
        for at in range(edits + 1):
            x = last[at] if at == 0 or (at != edits and last[at - 1] < last[at]) else last[at - 1] + 1  # as _adds, in place
            y = x + edits - 2 * at
            if x < olds and y < news and old[x] == new[y]:
                begun = x
                while x < olds and y < news and old[x] == new[y]:
                    x, y = x + 1, y + 1
                if not effort.spend(x - begun, keep):
                    return None
            if x >= olds and y >= news:
                return _walked_back(furthest, x, y)
            reached.append(x)
        if not effort.spend(edits + 1, keep):
            return None
        furthest.append(last := reached)
    return None


def _adds(last: list[int], at: int, edits: int) -> bool:
    """Whether the edit that leads onto a diagonal adds a line of the new, or else removes one of the old."""
    return at == 0 or (at != edits and last[at - 1] < last[at])


def _walked_back(furthest: list[list[int]], x: int, y: int) -> list[Change]:
    """The edits of the shortest way, from its first to its last, neighbours as one."""
    changes: list[Change] = []
    for edits in range(len(furthest), 0, -1):
        last, at = furthest[edits - 1], (x - y + edits) // 2
        adds = _adds(last, at, edits)
        to = last[at] if adds else last[at - 1] + 1
        edit = (to - (not adds), to, to - x + y - adds, to - x + y)
        if changes and edit[1] == changes[-1][0] and edit[3] == changes[-1][2]:
            edit = (edit[0], changes[-1][1], edit[2], changes.pop()[3])
        changes.append(edit)
        x, y = edit[0], edit[2]
    return changes[::-1]
