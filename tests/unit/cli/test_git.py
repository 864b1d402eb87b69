import subprocess
from pathlib import Path

import pytest

from runbell.cli.git import read_git
from runbell.core.runs import Git


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@acme.test", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


def test_a_branch(checkout: Path) -> None:
    sha = git(checkout, "rev-parse", "HEAD")
    (checkout / "models").mkdir()
    assert read_git(checkout) == read_git(checkout / "models") == Git("main", sha)
    git(checkout, "checkout", "-q", "-b", "fix/a-long-name")
    assert read_git(checkout) == Git("fix/a-long-name", sha)
    git(checkout, "pack-refs", "--all")
    assert not (checkout / ".git" / "refs" / "heads" / "fix").exists()
    assert read_git(checkout) == Git("fix/a-long-name", sha)


def test_no_branch(checkout: Path) -> None:
    sha = git(checkout, "rev-parse", "HEAD")
    git(checkout, "checkout", "-q", "--detach")
    assert read_git(checkout) == Git("", sha)


def test_a_worktree(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    git(tmp_path / "tree", "commit", "-q", "--allow-empty", "-m", "second")
    assert read_git(tmp_path / "tree") == Git("other", git(tmp_path / "tree", "rev-parse", "HEAD"))
    git(checkout, "pack-refs", "--all")
    assert read_git(tmp_path / "tree").sha == git(tmp_path / "tree", "rev-parse", "HEAD")


def test_a_branch_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert read_git(tmp_path) == Git("main", "")


def test_what_is_no_checkout(tmp_path: Path) -> None:
    assert read_git(tmp_path / "missing") == Git()
    (tmp_path / ".git").write_text("something else\n")
    assert read_git(tmp_path) == Git()
    (tmp_path / ".git").write_text("gitdir: nowhere\n")
    assert read_git(tmp_path) == Git()
    (tmp_path / ".git").write_bytes(b"\xff\xfe")
    assert read_git(tmp_path) == Git()


def test_a_reftable_is_asked_for(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The git here is too old to make one, so a git of our own answers."""
    (checkout / ".git" / "HEAD").write_text("ref: refs/heads/.invalid\n")
    tool = tmp_path / "bin" / "git"
    tool.parent.mkdir()
    monkeypatch.setenv("PATH", str(tool.parent), prepend=":")
    for answer, expected in (("echo a1b2; echo main", Git("main", "a1b2")), ("echo a1b2; echo HEAD", Git("", "a1b2")), ("exit 128", Git())):
        tool.write_text(f"#!/bin/sh\n{answer}\n")
        tool.chmod(0o755)
        assert read_git(checkout) == expected
