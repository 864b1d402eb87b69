"""Postfix's smtp-sink and smtp-source, where Debian's postfix is installed: a sink that costs next to nothing, and the fastest of senders.

Both are said to be for tests only: https://www.postfix.org/smtp-sink.1.html, https://www.postfix.org/smtp-source.1.html
"""

import os
import re
import shutil
import subprocess
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from bench.bell import PATIENCE, free_port, is_open, mail_sink
from bench.processes import running
from bench.rates import Rate

MISSING = "not installed: apt-get install --no-install-recommends postfix"
LOOK_EVERY = 0.005  # seconds; so exact is the moment of a mail
_COUNT = re.compile(rb"mesg=(\d+)\r")


def program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class MailSink(Protocol):
    """`when` waits for so many mails since the reset, and says when the last of them was taken, by the monotonic clock."""

    name: str
    pid: int
    port: int

    def reset(self) -> None: ...

    def when(self, count: int) -> float: ...


class PostfixSink:
    """It keeps no mail, and writes its counter after each."""

    name = "smtp-sink"

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.pid, self.port = process.pid, port
        assert process.stdout
        self._pipe = process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        self._before = 0
        self._counts: list[int] = []
        self._moments: list[float] = []

    def reset(self) -> None:
        self._look()
        self._before = self._counts[-1] if self._counts else self._before
        self._counts.clear()
        self._moments.clear()

    def when(self, count: int) -> float:
        wanted, end = self._before + count, time.monotonic() + PATIENCE
        while not (self._counts and self._counts[-1] >= wanted):
            if time.monotonic() > end:
                raise TimeoutError(f"{(self._counts or [self._before])[-1] - self._before} of {count} mails came")
            time.sleep(LOOK_EVERY)
            self._look()
        return self._moments[bisect_left(self._counts, wanted)]

    def _look(self) -> None:
        try:
            said = os.read(self._pipe, 1 << 20)
        except BlockingIOError:
            return
        if found := _COUNT.findall(said):
            self._counts.append(int(found[-1]))
            self._moments.append(time.monotonic())


@contextmanager
def fastest_sink(place: Path) -> Iterator[MailSink]:
    """Postfix's, or the bench's own."""
    if not (smtp_sink := program("smtp-sink")):
        with mail_sink(place) as sink:
            yield sink
        return
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with running([smtp_sink, "-c", *user, f"127.0.0.1:{port}", "512"], os.environ, place / "smtp-sink.log", is_talking=True) as process:
        while not is_open(port):
            time.sleep(0.01)
        yield PostfixSink(process, port)


def smtp_source(sink: MailSink, mail: Path, warm: int, count: int, sessions: int) -> Rate:
    """Copies of one mail, over so many kept connections; counted from the `warm`-th on. Needs smtp-source."""
    many = ["-d", "-s", str(sessions), "-m", str(warm + count)]
    whom = ["-f", "runbell@localhost", "-t", "grace@example.com", "-F", str(mail)]
    sink.reset()
    with subprocess.Popen([program("smtp-source") or "", *many, *whom, f"127.0.0.1:{sink.port}"]) as process:
        seconds = -sink.when(warm) + sink.when(warm + count)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"smtp-source ended with {process.returncode}")
    return Rate.of(count, seconds, (used.ru_utime + used.ru_stime) * count / (warm + count))
