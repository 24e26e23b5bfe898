"""`python -m bench PART`, called by `make bench PART=…`: measures a part, prints its tables and writes them into docs/performance.md."""

import argparse
import os
import sys
from importlib import import_module
from types import ModuleType

from bench.report import DOCUMENT, described, put, written
from portal.system import StartRefused, say

PARTS = ("foundation", "users", "users-in-bulk", "agents")


def part_of(name: str) -> ModuleType:
    return import_module(f"bench.{name.replace('-', '_')}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure a part of the portal beside the smallest honest Flask page.")
    parser.add_argument("part", nargs="?", choices=PARTS)
    parser.add_argument("--repeats", type=int, default=7, help="how often everything is measured, in turn (7)")
    parser.add_argument("--print", action="store_true", help="leave docs/performance.md as it is")
    asked = parser.parse_args()
    if asked.part is None:
        print(described({name: part_of(name).__doc__ or "" for name in PARTS}))
        return 0
    busy = os.getloadavg()[0]
    try:
        tables = part_of(asked.part).measure(asked.repeats)
    except StartRefused as refused:
        say(str(refused))
        return 1
    text = written(asked.part, asked.repeats, tables, busy)
    print(text)
    if not asked.print:
        put(DOCUMENT, asked.part, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
