"""The one place that writes to the terminal beside the child's own output.

A stream that nobody reads any more is put away: Python would flush it at exit, fail, and end with 120 in place of dbt's exit code.
"""

import sys


def one_line(text: object) -> str:
    """The text without line breaks and control characters: names and answers come from elsewhere."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def say(text: str) -> None:
    """One line on stderr, if there is one."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"runbell: {one_line(text)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = None


def show(text: str) -> None:
    """What a command was asked to print, on stdout."""
    try:
        print(text, flush=True)
    except UnicodeEncodeError:  # a terminal of another alphabet
        print(text.encode("ascii", "backslashreplace").decode(), flush=True)
    except OSError:
        sys.stdout = None
