"""What `runbell run` costs around a command, beside the bare interpreter. All kinds take turns, so that noise hits them alike."""

import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import trustme
from tests.fakes.runbell_server import TOKEN, FakeRunbell

from bench.bell import standing
from bench.processes import BIN
from bench.table import Row

ROUNDS = 20
PYTHON, RUNBELL = str(BIN / "python"), str(BIN / "runbell")
STAMP = ("/bin/date", "+%s%N")
BARE_STAMP = f"import os; os.execv({STAMP[0]!r}, {list(STAMP)!r})"


def wrapper(place: Path) -> Iterator[Row]:
    """The wrapper `runbell run`, around a command."""
    with standing(place) as bell, bell.serve():
        bell.wait_for_web()
        bell.fill()
        yield from rows(measure(bell.url, bell.token, bell.base))


def rows(ms: Mapping[str, float]) -> Iterator[Row]:
    bare, delay = f"python -c pass: {ms['bare']:.1f} ms", ms["up"] - ms["bare_up"]
    yield Row("runbell run -- /bin/true, http", f"{ms['http']:.1f} ms", bare, "< 80 ms", ms["http"] < 80)
    yield Row("runbell run -- /bin/true, https", f"{ms['https']:.1f} ms", bare)
    yield Row("child up later than by bare Python", f"{delay:.1f} ms", f"{ms['up']:.1f} − {ms['bare_up']:.1f} ms", "≤ 20 ms", delay <= 20)


def measure(url: str, token: str, base: Mapping[str, str]) -> dict[str, float]:
    """Median milliseconds: `bare`, `http`, `https`, and until the child reads the clock `up`, beside `bare_up`.

    `http` goes to a real server; `https` to a small one that speaks TLS, with the system's certificates loaded and one more.
    """
    with tempfile.TemporaryDirectory() as place:
        authority = trustme.CA()
        with FakeRunbell(tls=_tls(authority)) as secure:
            plain = {**base, "RUNBELL_URL": url, "RUNBELL_TOKEN": token, "RUNBELL_SPOOL_DIR": f"{place}/spool"}
            tls = {**plain, "RUNBELL_URL": secure.url, "RUNBELL_TOKEN": TOKEN, "SSL_CERT_FILE": str(_trusted(authority, Path(place)))}
            kinds: dict[str, Callable[[], float]] = {
                "bare": lambda: whole([PYTHON, "-c", "pass"], plain),
                "http": lambda: whole(_wrapped("/bin/true"), plain),
                "https": lambda: whole(_wrapped("/bin/true"), tls),
                "bare_up": lambda: until_up([PYTHON, "-c", BARE_STAMP], plain),
                "up": lambda: until_up(_wrapped(*STAMP), plain),
            }
            rounds = [{name: call() for name, call in kinds.items()} for _ in range(ROUNDS + 2)][2:]  # the first two warm up
            _check(secure, Path(place))
    return {name: median(found[name] for found in rounds) * 1000 for name in kinds}


def _wrapped(*command: str) -> list[str]:
    return [RUNBELL, "run", "--job", "bench", "--project", "shop", "--environment", "Quiet", "--", *command]


def whole(words: Sequence[str], env: Mapping[str, str]) -> float:
    start = time.monotonic()
    subprocess.run(words, env=env, check=True, capture_output=True)
    return time.monotonic() - start


def until_up(words: Sequence[str], env: Mapping[str, str]) -> float:
    """Until the child `date` has read the clock."""
    start = time.time_ns()
    done = subprocess.run(words, env=env, check=True, capture_output=True)
    return (int(done.stdout) - start) / 1e9


def _check(secure: FakeRunbell, place: Path) -> None:
    """A report that went to the spool was not sent, and is no measurement."""
    spooled = [path for path in place.glob("spool/**/*") if path.is_file() and path.suffix == ".json"]
    if spooled or len(secure.finished) != ROUNDS + 2:
        raise RuntimeError(f"{len(secure.finished)} reports arrived by https, {len(spooled)} were kept in the spool")


def _tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def _trusted(authority: trustme.CA, place: Path) -> Path:
    known = Path(ssl.get_default_verify_paths().openssl_cafile)
    path = place / "trusted.pem"
    path.write_bytes((known.read_bytes() if known.exists() else b"") + authority.cert_pem.bytes())
    return path
