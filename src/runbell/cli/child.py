"""The child process and the signals between the terminal, us and it.

The child is started before anything heavy is imported: within 20 ms of a bare interpreter. posix_spawn is used because
importing `subprocess` alone takes 10 ms.

It stays in our process group, so Ctrl-Z, reading from the terminal and a kill of the whole group work as without us. Signals
meant for the child are blocked here and fetched one by one with sigwaitinfo, which also tells who sent them:

    from a key of the terminal     the kernel has told the whole group; the child has it already    not passed on
    from `kill`, timeout, a pod    told to us alone, or to the group: no way to see which           passed on, each time

A second SIGINT kills dbt 1.11 before it has cancelled its queries, therefore the distinction. We never kill the child: one
that ignores SIGTERM is waited for, and who wants more sends more.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence

STOPS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
PASSED_ON = STOPS | {signal.SIGUSR1, signal.SIGUSR2}
KEYS = frozenset({signal.SIGINT, signal.SIGQUIT})
SI_KERNEL = 0x80  # sigaction(2): sent by the kernel, as the terminal's keys are
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # what a shell returns


class Ended:
    """How a child ended. `exit_code` is negative for the signal that killed it; `stop` the first stop signal seen meanwhile."""

    __slots__ = ("exit_code", "seconds", "started", "stop", "trouble")

    def __init__(self, *, exit_code: int, started: float, seconds: float, stop: int | None, trouble: str = "") -> None:
        self.exit_code = exit_code
        self.started = started  # seconds since 1970
        self.seconds = seconds
        self.stop = stop
        self.trouble = trouble

    @property
    def shell_code(self) -> int:
        return self.exit_code if self.exit_code >= 0 else 128 - self.exit_code


class Signals:
    """Holds back what is meant for the child, from now until the process ends: what comes late must not change the exit code.

    Signals that were ignored when we started (nohup) stay ignored, by the child too.
    """

    def __init__(self) -> None:
        # Some starters leave SIGCHLD ignored; the kernel then drops exit codes.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self.passed_on = {number for number in PASSED_ON if signal.getsignal(number) is not signal.SIG_IGN}
        self.mask = signal.pthread_sigmask(signal.SIG_BLOCK, self.passed_on | {signal.SIGCHLD})

    def next(self) -> tuple[int, bool]:
        """Waits for a signal; says whether the child has it already."""
        numbers = self.passed_on | {signal.SIGCHLD}
        if sys.platform == "darwin":  # pragma: no cover; no sigwaitinfo: in the foreground of a terminal, a key is the likely sender
            number = signal.sigwait(numbers)
            return number, number in KEYS and _is_in_foreground()
        info = signal.sigwaitinfo(numbers)
        return info.si_signo, info.si_signo in KEYS and info.si_code == SI_KERNEL

    def has_stop(self) -> bool:
        """Whether a stop signal came that nobody has fetched yet."""
        return bool(signal.sigpending() & STOPS & self.passed_on)

    def take_stop(self) -> int | None:
        """Such a signal, fetched."""
        return signal.sigwait(STOPS & self.passed_on) if self.has_stop() else None


def _is_in_foreground() -> bool:  # pragma: no cover; macOS alone
    try:
        return os.tcgetpgrp(sys.__stderr__.fileno() if sys.__stderr__ else 2) == os.getpgrp()
    except OSError:
        return False


class Child:
    """A started command. With the terminal, the working directory and the environment it would have without us."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], signals: Signals) -> None:
        self.signals = signals
        self.stop: int | None = None
        self.trouble = ""
        self.failed_code = 0
        self.started, self._clock = time.time(), time.monotonic()
        try:
            self.pid = _spawn(command, environ, signals.mask)
        except OSError as error:
            self.failed_code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            why = "command not found" if self.failed_code == NOT_FOUND else f"cannot be run ({error.strerror})"
            self.trouble = f"{command[0]}: {why}"

    def wait(self) -> Ended:
        return self._ended(self.failed_code if self.trouble else self._wait())

    def _wait(self) -> int:
        while True:
            number, is_known = self.signals.next()
            if number == signal.SIGCHLD:  # also sent when it was stopped by Ctrl-Z and goes on
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    return os.waitstatus_to_exitcode(status)
                continue
            if number in STOPS and self.stop is None:
                self.stop = number
            if not is_known:
                os.kill(self.pid, number)  # not reaped yet, so the number is still the child's

    def _ended(self, exit_code: int) -> Ended:
        seconds = time.monotonic() - self._clock
        return Ended(exit_code=exit_code, started=self.started, seconds=seconds, stop=self.stop, trouble=self.trouble)


def _spawn(command: Sequence[str], environ: Mapping[str, str], mask: set[int | signal.Signals]) -> int:
    # Python ignores these two for itself; the child gets the defaults back, as from a shell.
    defaults = (signal.SIGPIPE, signal.SIGXFSZ)
    return os.posix_spawnp(command[0], list(command), dict(environ), setsigmask=mask, setsigdef=defaults)
