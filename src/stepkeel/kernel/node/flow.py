"""flow: steps that fire for tokens on arcs. Its frame tells where the tokens are; the rules: kernel/flow.py.

| comes | then |
|---|---|
| it opens | its first steps fire |
| the body of a firing is done | step_ended; its tokens go on, and what they let fire fires |
| a guard or a number raises, tokens are left, or too many | failed |
| it has failed itself, and is redriven | what it could not do is tried again |
"""

from __future__ import annotations

from stepkeel.kernel import flow
from stepkeel.kernel.draft import Draft
from stepkeel.kernel.path import part_of
from stepkeel.model.snapshot import Frame

__all__ = ["behind", "open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    if frame.round is None:
        flow.begin(draft, path)
    else:
        flow.resume(draft, path)


def behind(draft: Draft, path: str, body: str) -> None:
    """The body of a firing is done."""
    flow.ended(draft, path, part_of(body), "done")
