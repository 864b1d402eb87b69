"""Plays dbt from a recorded sample: prints what it printed, writes what it wrote, ends as it ended.

    PLAY=<sample directory>    what to play; a sample recorded with a SIGINT waits for one
    PLAY_MINUTES=<file>        written to as it goes: `ready` when a signal may come, then each signal's number

Like dbt 1.11, a second SIGINT while the first is being handled kills it. Artifacts get the time of this run, except in the
sample of a stale one, where dbt wrote none and the old file simply lies there.
"""

import contextlib
import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

HANDLING = 0.3  # seconds that dbt takes to cancel its queries


def main() -> None:
    sample = Path(os.environ["PLAY"])
    started_at = datetime.now(UTC)
    print((sample / "stdout.txt").read_text(), end="", flush=True)
    write_log((sample / "stdout.txt").read_text())
    if "[signal SIGINT" in (sample / "command.txt").read_text():
        wait_for_sigint()
    for name in ("run_results.json", "sources.json"):
        if (sample / name).exists() and not sample.name.startswith("stale"):
            write_artifact(sample / name, started_at)
    end(int((sample / "exit_code.txt").read_text()))


def minute(text: object) -> None:
    with contextlib.suppress(KeyError), Path(os.environ["PLAY_MINUTES"]).open("a") as file:
        file.write(f"{text}\n")


def wait_for_sigint() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    minute("ready")
    minute(int(signal.sigwait({signal.SIGINT})))
    if signal.sigtimedwait({signal.SIGINT}, HANDLING):
        minute("a second one")
        end(-signal.SIGINT)


def write_artifact(source: Path, started_at: datetime) -> None:
    target = Path(option("--target-path") or os.environ.get("DBT_TARGET_PATH") or "target")
    target.mkdir(parents=True, exist_ok=True)
    artifact = json.loads(source.read_bytes())
    artifact["metadata"]["generated_at"] = text(datetime.now(UTC))
    if "invocation_started_at" in artifact["metadata"]:
        artifact["metadata"]["invocation_started_at"] = text(started_at + timedelta(microseconds=1))
    (target / source.name).write_text(json.dumps(artifact))


def write_log(lines: str) -> None:
    folder = Path(option("--log-path") or os.environ.get("DBT_LOG_PATH") or "logs")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "dbt.log").open("a") as file:
        file.write(lines)


def option(name: str) -> str:
    words = [word for argument in sys.argv[1:] for word in argument.split("=", 1)]
    return words[words.index(name) + 1] if name in words else ""


def text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def end(exit_code: int) -> None:
    if exit_code < 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-exit_code})
        signal.signal(-exit_code, signal.SIG_DFL)
        os.kill(os.getpid(), -exit_code)
    sys.stdout.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    main()
