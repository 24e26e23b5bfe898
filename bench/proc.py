"""What the kernel knows of processes: the time they had on a processor, and the memory that is theirs."""

import os
from pathlib import Path

PROC = Path("/proc")
TICK = os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """The processes that this one started and that still run."""
    return sorted(int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit() and _parent(entry) == pid)


def web_workers(pid: int) -> list[int]:
    """The workers of the one web server at or below a process."""
    masters = [pid] if _is_web(pid) else [child for child in children(pid) if _is_web(child)]
    workers = [worker for master in masters for worker in children(master)]
    if len(masters) != 1 or not workers:
        raise RuntimeError(f"below process {pid} are {len(masters)} web servers with {len(workers)} workers")
    return workers


def child_of(pid: int, command: str) -> int:
    """The one process that this one started and whose command line names `command`."""
    (found,) = [child for child in children(pid) if command.encode() in (PROC / str(child) / "cmdline").read_bytes()]
    return found


def processor_seconds(pids: list[int]) -> float:
    """User and system time of these processes, all threads together. Raises OSError when one of them is gone."""
    return sum(sum(map(int, _fields(PROC / str(pid))[11:13])) for pid in pids) / TICK


def proportional_bytes(pid: int) -> int:
    """The process's memory (PSS): its own pages whole, those that it shares by its part of them."""
    return _kilobytes(PROC / str(pid) / "smaps_rollup", "Pss") * 1024


def processor_name() -> str:
    lines = (PROC / "cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "processor not named")


def memory_bytes() -> int:
    """How much memory the machine has."""
    return _kilobytes(PROC / "meminfo", "MemTotal") * 1024


def _kilobytes(file: Path, name: str) -> int:
    found = next(line for line in file.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(found.split()[1])


def _parent(entry: Path) -> int | None:
    try:
        return int(_fields(entry)[1])
    except OSError:  # it ended meanwhile
        return None


def _fields(entry: Path) -> list[str]:
    """What stands in /proc/<pid>/stat behind the name, which may hold anything: state, parent, …"""
    return (entry / "stat").read_text().rpartition(")")[2].split()


def _is_web(pid: int) -> bool:
    command = (PROC / str(pid) / "cmdline").read_bytes()
    return b"gunicorn" in command or b"portal.web" in command
