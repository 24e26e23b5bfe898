"""What the portal asks of the operating system: accounts, folders, and processes that do not outlive their parent."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]  # of the project
NOT_FOR_CHILDREN = "not handed over"  # OWNER_DATABASE_URL of the processes that serve, also where a .env that they can read has it
PR_SET_PDEATHSIG = 1
GATE = "PORTAL_GATE"  # in the environment of the web server: the descriptor that it waits at
libc = ctypes.CDLL(None, use_errno=True)


class Stopped(BaseException):
    """Somebody asked this process to end."""


class Ending:
    """Whether somebody asked this process to end; `ask` is the handler of the signals that do."""

    asked = False

    def ask(self, _number: int, _frame: object) -> None:
        """Ends at once what is under way; asking again does not disturb the ending."""
        if not self.asked:
            self.asked = True
            raise Stopped

    def check(self) -> None:
        """Called between steps: Python drops what a handler raises while it runs callbacks of its own, as around a fork."""
        if self.asked:
            raise Stopped


class StartRefused(Exception):
    """The portal cannot start or go on; the message is one sentence for the person who started it."""


@dataclass(frozen=True)
class Account:
    """An account of this machine."""

    name: str
    uid: int
    gid: int
    home: str


def account_of(uid: int) -> Account:
    """The account with this number; numbers without a name, as in containers, are named by the number."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Account(str(uid), uid, uid if uid != os.getuid() else os.getgid(), "/nonexistent")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def serving_account(run_as: str = "") -> Account:
    """The account that serves: the own one, or for root the named one, `thanotopolis`, or `nobody`."""
    if os.geteuid() != 0:
        return account_of(os.geteuid())
    for name in [run_as] if run_as else ["thanotopolis", "nobody"]:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid == 0:
            raise StartRefused(f"RUN_AS names {name}, which is root; name an account without privileges.")
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
    if run_as:
        raise StartRefused(f"RUN_AS names {run_as}, which is no account of this machine; make it with useradd, or leave RUN_AS away.")
    raise StartRefused("This machine has no account nobody to serve under; make an account and name it by RUN_AS.")


@contextmanager
def acting_as(account: Account) -> Iterator[None]:
    """Files are read and made as `account` within the block. Holds for the whole process, so use it before threads exist."""
    if os.geteuid() != 0 or account.uid == 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    try:
        os.setgroups([account.gid])
        os.setegid(account.gid)
        os.seteuid(account.uid)
    except OSError as error:
        raise StartRefused(
            f"Root may not become {account.name} here ({error.strerror}); start the portal as an ordinary account."
        ) from None
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def within_reach(path: Path, account: Account) -> bool:
    """Whether `account` can read this file or folder, all folders above it allowing."""
    with acting_as(account):
        try:
            if path.is_dir():
                os.scandir(path).close()
                os.stat(path / ".")
            else:
                path.open("rb").close()
        except OSError:
            return False
        return True


def enterable(folder: Path, account: Account) -> bool:
    """Whether `account` can pass through this folder, or through the nearest one above it that exists."""
    while not os.path.lexists(folder):
        folder = folder.parent
    with acting_as(account):
        return os.access(folder / ".", os.X_OK, effective_ids=os.access in os.supports_effective_ids)


def die_with_parent(last_signal: int) -> None:
    """Have the kernel send this process a signal when the thread that started it ends (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, last_signal, 0, 0, 0)


def spawn(
    argv: Sequence[str | Path],
    *,
    last_signal: int = signal.SIGTERM,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path = Path("/"),
    output: IO[bytes] | int | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process outside the terminal's group that receives `last_signal` when this process is gone, however it went."""
    parent = os.getpid()

    def prepare() -> None:
        die_with_parent(last_signal)
        if os.getppid() != parent:  # it went before the kernel was asked
            os._exit(1)

    other = account if account and account.uid != os.geteuid() else None
    return subprocess.Popen(
        [str(part) for part in argv], env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=pass_fds,
        start_new_session=True, preexec_fn=prepare, umask=0o077,
        user=other.uid if other else None, group=other.gid if other else None, extra_groups=[] if other else None,
    )  # fmt: skip


def end(process: subprocess.Popen[bytes], *steps: tuple[int, float]) -> None:
    """Stop a process by signals of growing force: (signal, seconds to wait); killed where none of them helps."""
    for number, seconds in steps:
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    if process.poll() is None:
        process.kill()
        process.wait()


def pass_gate() -> None:
    """Where portal.serve starts this process: wait until it says that the database may be served on, and end with it when it never does."""
    gate = os.environ.pop(GATE, "")
    if gate and not os.read(int(gate), 1):
        sys.exit(1)
    if gate:
        os.close(int(gate))


def say(sentence: str) -> None:
    """Tell whoever watches the terminal or the log of the service."""
    with suppress(OSError):  # nobody may be listening any more
        print(sentence, file=sys.stderr, flush=True)
