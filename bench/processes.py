"""Starting, stopping and weighing processes, by /proc: proc(5)."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
TICK = os.sysconf("SC_CLK_TCK")


@contextmanager
def running(
    words: Sequence[str | Path], env: Mapping[str, str], log: Path, *, is_talking: bool = False
) -> Iterator["subprocess.Popen[str]"]:
    """A process with its children in a group of its own; nothing of it is left afterwards."""
    pipe = subprocess.PIPE if is_talking else None
    with log.open("a") as file:
        process = subprocess.Popen(
            words, env=env, cwd=ROOT, stdin=pipe or subprocess.DEVNULL, stdout=pipe or file, stderr=file, text=True, start_new_session=True
        )
    try:
        with process:
            try:
                yield process
            finally:
                process.terminate()
                _wait(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _wait(process: "subprocess.Popen[str]") -> None:
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def tree(pid: int) -> list[int]:
    """The process and everything below it."""
    parents = {int(path.name): _stat(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = [pid]
    for parent in found:
        found += [child for child, stat in parents.items() if stat and int(stat[1]) == parent]
    return found


def processor_seconds(pids: Sequence[int]) -> float:
    """User and system time of all their threads."""
    return sum(int(stat[11]) + int(stat[12]) for pid in pids if (stat := _stat(pid))) / TICK


def spent_seconds(pid: int) -> float:
    """User and system time of a process, of all below it, and of those below it that have ended, such as PostgreSQL's backends."""
    stats = [stat for each in tree(pid) if (stat := _stat(each))]
    return sum(int(field) for stat in stats for field in stat[11:15]) / TICK


def _stat(pid: int) -> list[str]:
    """The fields from `state` on; empty when the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def memory_mb(pid: int, name: str = "Rss") -> float:
    """`Rss`, or `Pss`: with shared pages divided among those who share them."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(name)


def peak_memory_mb(pid: int) -> float:
    """The most that was ever resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ValueError(pid)


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
