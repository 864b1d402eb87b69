"""Alertmanager, where Debian's prometheus-alertmanager is installed: every alert a mail of its own, made of the same 8 KB.

It waits for nothing (group_wait 0), knows no other Alertmanager, and has what it keeps in a folder that goes away.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from bench.bell import PATIENCE, free_port, is_open
from bench.peers import parts
from bench.postfix import MailSink
from bench.processes import processor_seconds, running
from bench.rates import Rate

PROGRAM = "prometheus-alertmanager"
MISSING = f"not installed: apt-get install --no-install-recommends {PROGRAM}"
TOGETHER, ON_THEIR_WAY = 100, 400  # alerts in a request, and sent ahead: each has a connection of its own to the sink
# A group of one alert sends once. How often it is looked at again costs, and is left at what Alertmanager does by itself.
CONFIG = """
global: {smtp_smarthost: "127.0.0.1:PORT", smtp_from: runbell@example.org, smtp_require_tls: false, smtp_hello: localhost}
templates: [FOLDER/mail.tmpl]
route: {receiver: RECEIVER, group_by: [run], group_wait: 0s, group_interval: 5m, repeat_interval: 24h}
receivers:
- name: nobody
- name: mail
  email_configs:
  - to: grace@example.com
    headers: {Subject: 'Run {{ .CommonLabels.run }} of nightly build failed'}
    text: '{{ template "bench.text" . }}'
    html: '{{ template "bench.html" . }}'
"""


def is_there() -> bool:
    return shutil.which(PROGRAM) is not None


@contextmanager
def alertmanager(place: Path, sink: MailSink, mail: bytes, receiver: str) -> Iterator["tuple[int, HTTPConnection]"]:
    """Its process id, and a connection to its API. `mail` is one of ours, whose words its mails have."""
    folder, port = place / f"alertmanager-{receiver}", free_port()
    folder.mkdir()
    config = CONFIG.replace("PORT", str(sink.port)).replace("FOLDER", str(folder)).replace("RECEIVER", receiver)
    (folder / "config.yml").write_text(config)
    (folder / "mail.tmpl").write_text(template(mail))
    own = ["--cluster.listen-address=", f"--storage.path={folder}/data", "--log.level=warn"]
    words = [PROGRAM, f"--config.file={folder}/config.yml", f"--web.listen-address=127.0.0.1:{port}", *own]
    with running(words, os.environ, folder / "log") as process:
        _wait_for(process, port, folder / "log")
        yield process.pid, HTTPConnection("127.0.0.1", port, timeout=PATIENCE)


def _wait_for(process: "subprocess.Popen[str]", port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not is_open(port):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"Alertmanager did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


def template(mail: bytes) -> str:
    _, text, html = parts(mail)
    words = "Run {{ .CommonLabels.run }}. "
    return f'{{{{ define "bench.text" }}}}{words}{text}{{{{ end }}}}\n{{{{ define "bench.html" }}}}{_into_body(html, words)}{{{{ end }}}}\n'


def _into_body(html: str, words: str) -> str:
    start = html.index(">", html.index("<body")) + 1
    return f"{html[:start]}<p>{words}</p>{html[start:]}"


def mails(place: Path, sink: MailSink, mail: bytes, warm: int, count: int) -> Rate:
    """Counted from the `warm`-th mail on. The processor time holds taking the alerts in."""
    with alertmanager(place, sink, mail, "mail") as (pid, api):
        sink.reset()
        _post(api, range(warm))
        sink.when(warm)
        start, used = time.monotonic(), processor_seconds([pid])
        for first in range(0, count, TOGETHER):
            if first > ON_THEIR_WAY:
                sink.when(warm + first - ON_THEIR_WAY)
            _post(api, range(warm + first, warm + min(first + TOGETHER, count)))
        return Rate.of(count, sink.when(warm + count) - start, processor_seconds([pid]) - used)


def intake_ms(place: Path, sink: MailSink, mail: bytes, count: int) -> float:
    """Processor time of an alert that nobody is told of."""
    with alertmanager(place, sink, mail, "nobody") as (pid, api):
        used = processor_seconds([pid])
        for first in range(0, count, TOGETHER):
            _post(api, range(first, min(first + TOGETHER, count)))
        return (processor_seconds([pid]) - used) / count * 1000


def _post(api: HTTPConnection, numbers: range) -> None:
    alerts = [{"labels": {"alertname": "run_failed", "run": str(number)}} for number in numbers]
    api.request("POST", "/api/v2/alerts", json.dumps(alerts), {"Content-Type": "application/json"})
    answer = api.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"Alertmanager said {answer.status} {said[:500]!r}")
