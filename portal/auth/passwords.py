"""Hashing passwords: argon2id, few at a time over all processes of the machine, legacy bcrypt still verified."""

import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from portal.errors import Unavailable

# Verified when there is no account to verify against, so that known and unknown take the same time.
# Nobody's password: whatever it answers, nobody is signed in.
DECOY = "$argon2id$v=19$m=19456,t=2,p=1$gNACLMVmT7zv0rUt1uVgKg$O5wU2sBIEhb9uBlGzWYbQp9yJpCLa61IXgVN5kVzvwY"
BCRYPT_BYTES = 72  # the legacy system cut passwords here; bcrypt raises above it

Answer = TypeVar("Answer")
PATIENCE = 15  # seconds that a request waits for a slot
slots_folder: Path | None = None  # create_app names the instance's folder of locks
slots = max(1, (os.cpu_count() or 1) - 1)
NICENESS = 5  # of the threads that hash: a page that somebody else waits for goes before


@cache
def hashers() -> PasswordHash:
    return PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19456, parallelism=1), BcryptHasher()))


def hashed(password: str) -> str:
    with _slot():
        return _stepping_back(lambda: hashers().hash(password))


def verified(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Whether the password is right, and a fresh hash to store where the stored one is out of date."""
    with _slot():
        return _stepping_back(lambda: _verified(password, stored))


def _verified(password: str, stored: str | None) -> tuple[bool, str | None]:
    kinds = hashers()
    if stored is None:
        kinds.verify(password, DECOY)
        return False, None
    if stored.startswith("$2"):
        legacy = password.encode()[:BCRYPT_BYTES]
        right = BcryptHasher().verify(legacy, stored)
        return right, kinds.hash(password) if right else None
    return kinds.verify_and_update(password, stored)


def _stepping_back(work: Callable[[], Answer]) -> Answer:
    """Do it in a thread that lets others of this machine go before."""
    return _threads().submit(work).result()


@cache
def _threads() -> ThreadPoolExecutor:
    def step_back() -> None:
        with suppress(OSError):  # Linux gives each thread a niceness of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)

    return ThreadPoolExecutor(slots, "hashing", initializer=step_back)


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@cache
def _private_folder() -> Path:
    """For processes without an instance: a folder of their own."""
    return Path(tempfile.mkdtemp(prefix="thanotopolis-portal-"))


def _opened(folder: Path, number: int) -> int:
    path = folder / f"slot-{number}"
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    if os.geteuid() == 0:  # a command run by root must not leave a file that the serving account cannot open
        owner = folder.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)
    return file


@contextmanager
def _slot() -> Iterator[None]:
    """Wait for one of the machine's slots: a file lock, so that a killed process gives it back."""
    folder = slots_folder or _private_folder()
    files = [_opened(folder, number) for number in range(slots)]
    try:
        deadline = time.monotonic() + PATIENCE
        while not any(_taken(file) for file in files):
            if time.monotonic() > deadline:
                raise Unavailable("Too many people sign in at this moment. Try again in a few seconds.", retry_after=5)
            time.sleep(0.003)
        yield
    finally:
        for file in files:
            os.close(file)
