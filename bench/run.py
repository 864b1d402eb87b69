"""`make bench`: what Runbell costs, each figure beside its reference, all measured in one run on one machine, on loopback.

    python -m bench.run [--list] [PART …]

Prints the table of each part as soon as it is measured. When all parts ran, they are written to bench/results.
Leaves nothing running.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from traceback import print_exc

from bench import burst, growth, latency, load, mails, matrix, slack, weight, wrapper
from bench.plot import PLOT, RESULTS, rates, svg
from bench.processes import ROOT
from bench.table import Row, table

Part = Callable[[Path], Iterator[Row]]
PARTS: Mapping[str, Part] = {
    "wrapper": wrapper.wrapper,
    "memory": weight.memory,
    "reports": load.accepted,
    "delays": latency.delayed,
    "mails": mails.mails,
    "slack": slack.slack,
    "burst": burst.burst,
    "matrix": matrix.page,
    "growth": growth.growth,
}
"""Each gets an empty folder, starts what it needs and ends it. The first line of its docstring stands above its table."""
LIMIT = 300  # seconds until a part is given up; on an idle machine most need less than one minute
LONGER: Mapping[str, int] = {"mails": 900, "slack": 600, "growth": 7200 if os.environ.get("HISTORY") else 1200}  # of those that need more
TROUBLE = "Not measured:"


def main() -> int:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # set in many containers; each process below would compile everything anew
    parser = argparse.ArgumentParser(description="Measures what Runbell costs.")
    parser.add_argument("--list", action="store_true", help="say which parts there are")
    parser.add_argument("parts", metavar="PART", nargs="*", help="all when none is named")
    given = parser.parse_args()
    if unknown := [name for name in given.parts if name not in PARTS]:
        parser.error(f"no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if given.list:
        print("\n".join(f"{name:<10}{title(part)}" for name, part in PARTS.items()))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    signal.signal(signal.SIGALRM, give_up)
    machine = describe_machine()
    sections = [measure(name) for name in PARTS if name in given.parts or not given.parts]
    if len(sections) == len(PARTS):
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text("\n".join([f"# What Runbell costs\n\n{machine}\n", *sections]))
        PLOT.write_text(svg(rates(RESULTS.read_text())))
        print(f"written to {RESULTS.relative_to(ROOT)} and {PLOT.relative_to(ROOT)}")
    return any(TROUBLE in section for section in sections)


def measure(name: str) -> str:
    """The section of a part. What goes wrong in one is told in its place, and keeps none of the others."""
    print(f"{time.strftime('%T')} measuring {name} …", file=sys.stderr, flush=True)
    start = time.monotonic()
    signal.alarm(LONGER.get(name, LIMIT))
    try:
        with tempfile.TemporaryDirectory(prefix="runbell-bench-") as place:
            said = table(list(told(PARTS[name](Path(place)))))
    except Exception as trouble:
        print_exc()
        said = f"{TROUBLE} {type(trouble).__name__}: {trouble}"
    finally:
        signal.alarm(0)
    section = f"## {title(PARTS[name])}\n\n{said}\n"
    print(f"\n{section}\n{name}: {time.monotonic() - start:.0f} s\n", flush=True)
    return section


def told(rows: Iterable[Row]) -> Iterator[Row]:
    """Each as it comes, for who watches."""
    for row in rows:
        print("  ", "  ".join(filter(None, row.cells)), file=sys.stderr, flush=True)
        yield row


def give_up(*_: object) -> None:
    raise TimeoutError("no end in time; is the machine busy?")


def title(part: Part) -> str:
    return (part.__doc__ or "").partition("\n")[0].rstrip(".")


def describe_machine() -> str:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    python, cores, busy = platform.python_version(), os.cpu_count(), os.getloadavg()[0]
    return (
        f"Commit {commit or 'unknown'}, Python {python}, {cores} cores ({_model()}), load {busy:.1f} before, {time.strftime('%Y-%m-%d')}."
    )


def _model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
