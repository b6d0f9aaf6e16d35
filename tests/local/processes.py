"""What can be known of processes that are not ours."""

import os
import select
import signal
from pathlib import Path

import msgspec

from dragoman.local.child import Announcement


def announced(state: Path) -> Announcement:
    """What the child of this state directory says of itself."""
    (text,) = [path.read_bytes() for path in (state / "local").glob("*.json")]
    return msgspec.json.decode(text, type=Announcement)


def ends(pid: int, seconds: float = 60) -> bool:
    """Whether the process ends within that time."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], seconds)[0])
    finally:
        os.close(process)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert ends(pid)


def memory_mb(pid: int) -> float:
    """Resident memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
