"""Signals reach the child as without us, and say how the run ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.cli.conftest import RUNBELL, Stage, wait_until

# Writes down every signal it gets and goes on, until SIGUSR1 tells it to end well.
STUBBORN = """
import os, signal, sys
numbers = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
def note(text):
    with open(os.environ["PLAY_MINUTES"], "a") as file:
        file.write(f"{text}\\n")
note("ready")
while True:
    number = signal.sigwait(numbers)
    note(int(number))
    if number == signal.SIGUSR1:
        sys.exit(0)
"""
IN_A_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def run(*command: str) -> tuple[str, ...]:
    return (RUNBELL, "run", "--job", "nightly", "--", *command)


def stubborn() -> tuple[str, ...]:
    return run(sys.executable, "-c", STUBBORN)


def test_a_child_that_does_not_stop_is_waited_for(stage: Stage) -> None:
    running = stage.start(*stubborn())
    stage.wait_for_minute("ready")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2, signal.SIGINT, signal.SIGUSR1):
        running.send_signal(number)
        stage.wait_for_minute(str(int(number)))
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert stage.minutes == ["ready", "15", "1", "3", "12", "2", "10"]
    (report,) = stage.server.finished
    assert report["outcome"] == "cancelled", "somebody stopped it, though the child made the best of it"
    assert report["steps"][0]["exit_code"] == 0
    assert "signal" not in report["steps"][0]


def test_ctrl_c_in_a_terminal_is_not_delivered_twice(stage: Stage) -> None:
    stage.play("sigint")
    terminal = (sys.executable, "-c", IN_A_TERMINAL)
    with stage.start(*terminal, *run("dbt", "build"), stdin=subprocess.PIPE) as running:
        stage.wait_for_minute("ready")
        assert running.stdin
        running.stdin.write("\x03")
        running.stdin.flush()
        wait_until(lambda: stage.server.finished, "the report")
        running.stdin.close()
        assert running.wait(timeout=60) == 2
    assert stage.minutes == ["ready", "2"]
    assert stage.server.finished[0]["outcome"] == "cancelled"


def test_the_child_has_the_terminal(stage: Stage) -> None:
    terminal = (sys.executable, "-c", IN_A_TERMINAL)
    with stage.start(
        *terminal, *run("sh", "-c", "test -t 0 && test -t 1 && test -t 2 && read -r name && echo hello $name"), stdin=subprocess.PIPE
    ) as running:
        output, _ = running.communicate("ada\n", timeout=60)
    assert "hello ada" in output
    assert running.returncode == 0


def test_a_child_killed_for_memory_has_failed(stage: Stage) -> None:
    done = stage.run("run", "--job", "nightly", "--", "sh", "-c", "kill -KILL $$")
    assert done.returncode == 137
    (report,) = stage.server.finished
    assert report["outcome"] == "failed"
    assert report["steps"][0]["signal"] == signal.SIGKILL


def test_sigterm_ends_it_as_cancelled(stage: Stage) -> None:
    running = stage.start(*run("sh", "-c", 'echo ready >"$PLAY_MINUTES"; exec sleep 600'))
    stage.wait_for_minute("ready")
    running.terminate()
    running.communicate(timeout=60)
    assert running.returncode == 143
    (report,) = stage.server.finished
    assert report["outcome"] == "cancelled"
    assert report["steps"][0]["signal"] == signal.SIGTERM


def test_no_step_follows_a_signal(stage: Stage) -> None:
    script = f"{sys.executable} -c '{STUBBORN}'"
    running = stage.start(RUNBELL, "run", "--job", "nightly", "--keep-going", "--step", script, "--step", "touch followed")
    stage.wait_for_minute("ready")
    running.terminate()
    stage.wait_for_minute("15")
    running.send_signal(signal.SIGUSR1)
    running.communicate(timeout=60)
    assert running.returncode == 143, "0 would hide that a step was left out"
    assert not (stage.folder / "followed").exists()
    (report,) = stage.server.finished
    assert report["outcome"] == "cancelled"
    assert len(report["steps"]) == 1


def test_nohup(stage: Stage) -> None:
    script = 'echo ready >"$PLAY_MINUTES"; while [ ! -e go ]; do sleep 0.02; done'
    running = stage.start("nohup", *run("sh", "-c", script))
    stage.wait_for_minute("ready")
    running.send_signal(signal.SIGHUP)
    (stage.folder / "go").touch()
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert stage.server.finished[0]["outcome"] == "succeeded"


def test_under_timeout(stage: Stage) -> None:
    done = stage.sh("timeout 1 runbell run --job nightly -- sleep 600")
    assert done.returncode == 124
    assert stage.server.finished[0]["outcome"] == "cancelled"


def test_a_stop_while_sending_keeps_the_report(stage: Stage) -> None:
    stage.server.mode = "hang"
    stage.env["RUNBELL_WAIT"] = "600"
    running = stage.start(*run("sh", "-c", "exit 3"))
    stage.server.wait_for(1, "finished")
    running.terminate()
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 3
    assert len(stage.waiting) == 1
    assert "stopped while sending" in errors
    assert errors.count("\n") == 1


def test_the_child_outlives_a_killed_wrapper(stage: Stage) -> None:
    script = 'echo ready >"$PLAY_MINUTES"; while [ ! -e go ]; do sleep 0.02; done; echo over >>"$PLAY_MINUTES"'
    running = stage.start(*run("sh", "-c", script), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stage.wait_for_minute("ready")
    stage.server.wait_for(1, "started")
    running.kill()
    running.wait(timeout=60)
    (stage.folder / "go").touch()
    stage.wait_for_minute("over")
    assert stage.server.finished == [], "the server's rule for lost runs ends it"


def test_signals_are_inherited_as_they_were(stage: Stage) -> None:
    look = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
    bare = stage.sh(f"trap '' USR2; {look}").stdout
    wrapped = stage.sh(f"trap '' USR2; runbell run --job nightly -- {look}").stdout
    assert _masks(wrapped) == _masks(bare) == [0, 1 << (signal.SIGUSR2 - 1)]


def _masks(status: str) -> list[int]:
    """Without 32 and 33, glibc's own, which its posix_spawn leaves ignored."""
    return [int(line.split()[1], 16) & 0x7FFF_FFFF for line in status.splitlines()]


@pytest.mark.parametrize("code", [0, 7])
def test_a_starter_that_ignores_its_children(stage: Stage, code: int) -> None:
    ignoring = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    running = stage.start(sys.executable, "-c", ignoring, *run("sh", "-c", f"exit {code}"))
    running.communicate(timeout=60)
    assert running.returncode == code
    assert stage.server.finished[0]["steps"][0]["exit_code"] == code


def test_in_a_pipeline(stage: Stage) -> None:
    bare = stage.sh("yes | head -n 1; echo ${PIPESTATUS[0]}").stdout
    wrapped = stage.sh("runbell run --job nightly -- yes | head -n 1; echo ${PIPESTATUS[0]}").stdout
    assert wrapped == bare == "y\n141\n"
    assert stage.server.finished[0]["steps"][0]["signal"] == signal.SIGPIPE


def test_stopped_and_continued(stage: Stage) -> None:
    script = 'echo $$ >pid; echo ready >"$PLAY_MINUTES"; while [ ! -e go ]; do sleep 0.02; done'
    running = stage.start(*run("sh", "-c", script))
    stage.wait_for_minute("ready")
    child = int((stage.folder / "pid").read_text())
    os.kill(child, signal.SIGSTOP)
    wait_until(lambda: ") T " in Path(f"/proc/{child}/stat").read_text(), "the child stands still")
    os.kill(child, signal.SIGCONT)
    (stage.folder / "go").touch()
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert stage.server.finished[0]["outcome"] == "succeeded"
