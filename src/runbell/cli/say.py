"""The one place that writes to the terminal beside the child's own output."""

import sys


def one_line(text: object) -> str:
    """The text without line breaks and control characters: names and answers come from elsewhere."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def say(text: str) -> None:
    """One line on stderr. A closed pipe or a missing stderr is no trouble of the job's."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"runbell: {one_line(text)}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return


def show(text: str) -> None:
    """What a command was asked to print, on stdout."""
    try:
        print(text, flush=True)
    except UnicodeEncodeError:  # a terminal of another alphabet
        print(text.encode("ascii", "backslashreplace").decode(), flush=True)
