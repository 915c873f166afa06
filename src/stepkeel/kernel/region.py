"""Closing a part of an instance: what is open there, its timers, its slots, its attempts, and nothing else.

| open there | becomes |
|---|---|
| an attempt in flight | stopping: told to stop; gone when it has really ended, and undone later if it succeeded after all |
| anything else | gone, with its timers and slots |
"""

from __future__ import annotations

from stepkeel.kernel.draft import Draft
from stepkeel.kernel.graph import remembering
from stepkeel.kernel.path import below

__all__ = ["cancel", "stopping"]


def cancel(draft: Draft, *outer: str) -> None:
    """Close what is open below these paths."""
    for path, frame in list(draft.open.items()):
        if frame.run == "stopping" or not any(below(path, o) for o in outer):
            continue
        if frame.run == "flying":
            draft.stop(path, remembering(draft, path, frame))
        else:
            draft.drop(path)
    for path in [p for p in draft.timers if any(below(p, o) for o in outer)]:
        draft.drop_timers(path)
    draft.drop_results(*outer)
    draft.closing = [p for p in draft.closing if not any(below(p, o) for o in outer)]


def stopping(draft: Draft, *outer: str) -> bool:
    """Some attempt below these paths was told to stop and has not ended."""
    return any(f.run == "stopping" and any(below(p, o) for o in outer) for p, f in draft.open.items())
