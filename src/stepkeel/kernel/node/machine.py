"""machine: states within a body. The rules of states are those of the instance's own (machine.py); this is how it begins and ends.

| its | then |
|---|---|
| node is ready | its initial state is entered |
| node had failed and is redriven | it goes on in the state where it stood |
| final state completes, its body is done | closes (settle.py) |
| final state fails | failed, with the code of that state |
| final state terminates | the instance is terminated |
| state rests without a way on | failed (`no_way_on`) |
"""

from __future__ import annotations

from msgspec.structs import replace

from stepkeel.kernel.draft import Draft
from stepkeel.kernel.machine import enter
from stepkeel.model.node import MachineNode
from stepkeel.model.snapshot import Frame, Standing

__all__ = ["behind", "open"]


def open(draft: Draft, path: str, frame: Frame) -> None:
    if frame.machine is not None:
        draft.put(path, replace(frame, run="open"))
        return
    node = draft.node_at(path)
    assert isinstance(node, MachineNode)
    draft.put(path, Frame(run="open", machine=Standing()))
    enter(draft, node.initial, path)


def behind(draft: Draft, path: str, body: str) -> None:
    """The body of a state is done: its ways out are asked when it rests."""
