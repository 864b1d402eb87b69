"""What is measured beside Runbell, in processes of its own, and by the clock of the sink."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.postfix import MailSink
from bench.processes import ROOT, running
from bench.rates import Rate

PYTHON = ROOT / ".venv-bench/bin/python"
MISSING = "no .venv-bench; make bench makes it"


def peer(
    way: str, kept: Path, count: int, sink: MailSink, *, processes: int = 1, every: int = 1, env: Mapping[str, str] | None = None
) -> Rate:
    """Sends the `count` things that were kept, or every so-many-th of them; counted by the sink from the first fifteenth on."""
    python = PYTHON if PYTHON.exists() else Path(sys.executable)
    step = processes * every
    total = sum(len(range(first * every, count, step)) for first in range(processes))
    warm = total // 15
    with ExitStack() as stack:
        words = (python, "-m", "bench.peers", way, str(sink.port), kept)
        shares = [(*words, str(first * every), str(step)) for first in range(processes)]
        log = kept.with_name("peers.log")
        started = [stack.enter_context(running(share, {**os.environ, **(env or {})}, log, is_talking=True)) for share in shares]
        _told(started)  # ready
        sink.reset()
        for each in started:
            assert each.stdin
            each.stdin.write("go\n")
            each.stdin.flush()
        start = sink.when(warm)
        seconds = sink.when(total) - start
        used = sum(map(float, _told(started)))
    return Rate.of(total - warm, seconds, used * (total - warm) / total)


def _told(started: Sequence["subprocess.Popen[str]"]) -> list[str]:
    return [each.stdout.readline() for each in started if each.stdout]
