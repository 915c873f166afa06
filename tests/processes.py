"""Processes that tests start: what they say first, waited for with a deadline, and their end whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress

__all__ = ["end", "first_line"]


def first_line(process: subprocess.Popen[str], seconds: float = 60) -> str:
    """What it tells first. One that tells nothing is ended, and with it those that it has begun."""
    assert process.stdout is not None
    alarm = threading.Timer(seconds, end, [process])
    alarm.start()
    try:
        line = process.stdout.readline()
    finally:
        alarm.cancel()
    assert line, f"it has told nothing in {seconds} s, or has ended"
    return line


def end(process: subprocess.Popen[str]) -> None:
    """It, and where it leads a group of its own (`start_new_session=True`) all of that."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
