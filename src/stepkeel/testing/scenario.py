"""Conversations with the kernel: given a definition and data, feed an input, read every effect, nothing is left over."""

from __future__ import annotations

from typing import Any

import msgspec

from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.signal import signal_name_of
from stepkeel.authoring.view import Authored
from stepkeel.kernel.decide import decide, start
from stepkeel.kernel.history import history_row
from stepkeel.kernel.record import seen_at
from stepkeel.kernel.replay import differs, read_events
from stepkeel.model import input as inputs
from stepkeel.model.commit import HistoryRow
from stepkeel.model.decision import Decision
from stepkeel.model.effect import Effect, RunAttempt, SettleSignal
from stepkeel.model.snapshot import NOTHING, Failure, read_snapshot

__all__ = ["Scenario"]

START = 1_000_000_000


class Scenario:
    """One instance and its decisions. Each call returns the decision; `expect` compares its effects, all of them."""

    def __init__(self, workflow: type[Workflow[Any]] | Authored[Any], data: Any, *, claimed: bool = True, seed: int = 1) -> None:
        self.definition = workflow.definition
        self.now = START
        self.seed = seed
        self.signals: tuple[inputs.Signal, ...] = ()
        self._seq = 0
        raw = self.definition.data.from_input(data)
        self.last = start(self.definition, inputs.Started("instance-1", "default", raw, claimed), self.now, seed)
        self.snapshot = self.last.snapshot
        self.history: list[HistoryRow] = [history_row(self.last, "", "w")]
        self._given: dict[str, msgspec.Raw] = {}
        self._note_given()

    def feed(self, input: inputs.Input, after: int = 1) -> Decision:
        """Decide on an input, `after` microseconds later."""
        self.now += after
        self.seed += 1
        before = msgspec.json.encode(self.snapshot)
        self.last = decide(self.definition, self.snapshot, input, self.now, self.seed, self.signals, self.items)
        again = decide(self.definition, self.snapshot, input, self.now, self.seed, self.signals, self.items)
        assert msgspec.json.encode(self.snapshot) == before, "the decision changed its argument"
        assert repr(again.effects) == repr(self.last.effects), "the same arguments gave another decision"
        assert msgspec.json.encode(again.snapshot) == msgspec.json.encode(self.last.snapshot)
        if self.last.snapshot is not self.snapshot:
            self.history.append(history_row(self.last, "", "w"))
        self.snapshot = self.last.snapshot
        settled = {e.seq for e in self.last.effects if isinstance(e, SettleSignal)}
        self.signals = tuple(s for s in self.signals if s.seq not in settled)
        assert not differs(self.snapshot, self.history), differs(self.snapshot, self.history)
        raw = msgspec.json.encode(self.snapshot)
        assert msgspec.json.encode(read_snapshot(raw, self.snapshot.revision)) == raw, "the snapshot does not survive its row"
        self._note_given()
        return self.last

    def items(self, path: str, revision: int) -> list[Any]:
        """What a for_each has listed, as the history tells it."""
        row = next(h for h in self.history if h.revision == revision)
        return next(e.detail["items"] for e in read_events(row.events) if e.path == path and "items" in e.detail)

    def _note_given(self) -> None:
        """Attempts work on what their node sees when they begin."""
        s = self.snapshot
        for effect in self.last.effects:
            if isinstance(effect, RunAttempt):
                self._given[effect.path] = seen_at(self.definition.places, s.open, s.data, effect.path)

    def done(self, path: str, *, attempt: int = 1, outcome: Any = "done", result: Any = None, **changes: Any) -> Decision:
        """An attempt ended well; `changes` are fields it set, `result` what it gave."""
        base = self._given.get(path, self.snapshot.data)
        given = NOTHING if result is None else msgspec.Raw(msgspec.json.encode(result))
        data = self._data(base, changes) if changes else None
        return self.feed(inputs.AttemptEnded(path, attempt, outcome, data, base=base, result=given))

    def failed(self, path: str, code: str = "boom", *, attempt: int = 1, kind: Any = "technical", **failure: Any) -> Decision:
        return self.feed(inputs.AttemptEnded(path, attempt, "failed", failure=Failure(code, code, kind=kind, **failure)))

    def signal(self, signal: Any, *, judged: bool = True) -> Decision | None:
        """A signal arrives; `judged` False leaves it lying until the next input."""
        self._seq += 1
        kind = self.definition.signals[signal_name_of(signal)]
        raw = msgspec.Raw(kind.codec.encode(signal))
        self.signals += (inputs.Signal(self._seq, kind.name, raw, self.snapshot.revision, self.now),)
        return self.feed(inputs.SignalArrived()) if judged else None

    def _data(self, base: msgspec.Raw, changes: dict[str, Any]) -> bytes:
        """`changes` may be functions of the value there was."""
        codec = self.definition.data
        data = codec.decode(base)
        was = msgspec.json.decode(base)
        return codec.encode(codec.updated(data, {k: v(was.get(k)) if callable(v) else v for k, v in changes.items()}))

    @property
    def data(self) -> Any:
        return self.definition.data.decode(self.snapshot.data)

    def expect(self, *effects: Effect) -> Scenario:
        """The last decision wanted these effects and nothing else."""
        assert self.last.effects == effects, f"{self.last.effects}"
        return self

    def events(self) -> list[str]:
        return [e.type for e in self.last.events]
