"""A lock that goes to whoever has waited longest. `threading.Lock` goes to whoever runs, which is mostly the one that just gave it up."""

import threading
from collections import deque


class Turns:
    """One at a time. Whoever has a turn ends it, and takes no second one meanwhile."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._is_taken = False
        self._line: deque[threading.Event] = deque()

    def take(self, patience: float) -> bool:
        """Waits at most so many seconds. False: it was in vain."""
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return True
            called = threading.Event()
            self._line.append(called)
        if called.wait(patience):
            return True
        with self._guard:
            if called.is_set():  # in the last moment
                return True
            self._line.remove(called)
            return False

    def end(self) -> None:
        with self._guard:
            if self._line:
                self._line.popleft().set()
            else:
                self._is_taken = False
