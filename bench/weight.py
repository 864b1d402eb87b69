"""The memory of `serve`, process by process, at rest and after some work."""

from collections.abc import Container, Iterator
from pathlib import Path

from bench import load
from bench.bell import standing
from bench.processes import command_of, memory_mb, tree
from bench.table import Row

PROCESSES = (
    ("runbell serve", "supervisor"),
    ("import worker", "worker"),
    ("import web", "web: granian's master"),
    ("import web", "web: its worker"),
)


def memory(place: Path) -> Iterator[Row]:
    """Memory of `runbell serve`."""
    with standing(place) as bell, bell.serve() as serve:
        bell.wait_for_web()
        bell.fill()
        at_rest = weigh(serve.pid)
        load.told(bell, serve.pid, load.MAILED)
        yield from rows(at_rest, weigh(serve.pid))


def weigh(pid: int) -> dict[str, tuple[float, float]]:
    """RSS and PSS in MB by part of serve."""
    found: dict[str, tuple[float, float]] = {}
    for each in tree(pid):
        found[_name(each, found)] = (memory_mb(each, "Rss"), memory_mb(each, "Pss"))
    return found


def _name(pid: int, known: Container[str]) -> str:
    """Granian's worker is forked from its master and looks alike."""
    command = command_of(pid)
    return next((name for mark, name in PROCESSES if mark in command and name not in known), command)


def rows(at_rest: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]) -> Iterator[Row]:
    for name, (rss, _) in at_rest.items():
        yield Row(f"memory at rest: {name}", f"{rss:.0f} MB", f"after the load: {after[name][0]:.0f} MB")
    rest, later = (sum(pss for _, pss in found.values()) for found in (at_rest, after))
    yield Row("memory at rest: all, shared pages once", f"{rest:.0f} MB", f"after the load: {later:.0f} MB")
