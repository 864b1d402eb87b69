"""Branch and commit of a checkout, read from its `.git` files; git itself is asked only for a repository in reftable format.

Layout: gitrepository-layout(5). A worktree or submodule has a `.git` file that points to its own directory, and a
`commondir` there points to the shared one with the branches.
"""

from pathlib import Path

from runbell.core.runs import Git

HEADS = "refs/heads/"
REFTABLE = ".invalid"  # what HEAD names when the branches are in a reftable


def read_git(folder: Path) -> Git:
    """The checkout that the folder is in; empty when there is none or it cannot be read."""
    try:
        git_dir = next((found for parent in (folder, *folder.parents) if (found := _git_dir(parent))), None)
        return _read_head(git_dir, folder) if git_dir else Git()
    except (OSError, ValueError):
        return Git()


def _git_dir(folder: Path) -> Path | None:
    dot_git = folder / ".git"
    if dot_git.is_file():
        kind, _, target = dot_git.read_text().partition(":")
        return folder / target.strip() if kind == "gitdir" else None
    return dot_git if (dot_git / "HEAD").is_file() else None


def _read_head(git_dir: Path, folder: Path) -> Git:
    head = (git_dir / "HEAD").read_text().strip()
    if not head.startswith("ref:"):
        return Git(sha=head)
    ref = head.removeprefix("ref:").strip()
    branch = ref.removeprefix(HEADS)
    return _ask_git(folder) if branch == REFTABLE else Git(branch, _commit(git_dir, ref))


def _commit(git_dir: Path, ref: str) -> str:
    common = git_dir / (git_dir / "commondir").read_text().strip() if (git_dir / "commondir").is_file() else git_dir
    for directory in (git_dir, common):
        if (directory / ref).is_file():
            return (directory / ref).read_text().strip()
    packed = common / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.partition(" ")[0] for line in lines if line.endswith(f" {ref}")), "")


def _ask_git(folder: Path) -> Git:
    import subprocess

    asked = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD", "--abbrev-ref", "HEAD"], capture_output=True, text=True, timeout=2, check=False
    )
    sha, _, branch = asked.stdout.strip().partition("\n")
    return Git("" if branch == "HEAD" else branch, sha) if asked.returncode == 0 else Git()
