"""How many requests a server can have in hand for none of them to wait too long."""

from __future__ import annotations

import time

_MEMORY = 0.98  # of earlier answers, when the next one is given
_LEAST = 64  # requests that are taken on however slow the server is: they may be computed together


class Pace:
    """What is in hand, and how fast it is answered.

    wait_seconds : how long an answer may take where there is much to answer. most : most requests in hand, however fast
    they are answered.

    The pace is that of the latest answers, and counts the time in which there was something to answer. What the
    event loop, the model and other programs take of a request is all in it.

    >>> pace = Pace(wait_seconds=0.4, most=256)
    >>> pace.begin(now=0.0), pace.begin(now=0.0), pace.end(now=0.004), pace.end(now=0.008)
    (None, None, None, None)
    >>> round(pace.room)
    100
    """

    def __init__(self, wait_seconds: float, most: int) -> None:
        self._wait_seconds, self._most = wait_seconds, most
        self.in_hand = 0
        self._since = self._busy = 0.0
        self._answers, self._seconds = 0.0, 0.0  # of the latest answers

    @property
    def room(self) -> float:
        """How many requests may be in hand."""
        if not self._seconds:
            return self._most
        return min(self._most, max(_LEAST, self._wait_seconds * self._answers / self._seconds))

    def begin(self, now: float | None = None) -> None:
        """Take on a request that has arrived whole. now : the time of `time.monotonic`."""
        self._pass(now)
        self.in_hand += 1

    def end(self, now: float | None = None, answered: bool = True) -> None:
        """Finish a request. answered : whether it counts for the pace."""
        self._pass(now)
        self.in_hand -= 1
        if answered:
            self._answers = _MEMORY * self._answers + 1
            self._seconds = _MEMORY * self._seconds + self._busy
            self._busy = 0.0

    def _pass(self, now: float | None) -> None:
        now = time.monotonic() if now is None else now
        if self.in_hand:
            self._busy += now - self._since
        self._since = now
