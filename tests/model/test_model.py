"""The engine against a model of plain Python: whatever is asked of it in whatever order, both say the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from stepkeel.errors import InstanceEnded, InvalidTransition, StepkeelError
from stepkeel.testing import Harness
from tests.model.desk import Add, Bank, Close, Desk, DeskFlow, Free, Hold, Memo, Model, Said

MINUTES = 10
SIGNALS = st.sampled_from([Add(n=1), Add(n=15), Hold(), Free(), Close(), Memo(text="hello")])
KEYS = st.sampled_from(["a", "b", "c"])


class EngineAndModel(RuleBasedStateMachine):
    desks = Bundle("desks")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.bank = Bank()
        self.harness = Harness(services={Bank: self.bank})
        self.models: dict[str, Model] = {}
        self.keys: dict[str, str] = {}
        self.now = 0

    def do(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(call)

    def teardown(self) -> None:
        self.do(self.harness.close())
        self.runner.close()

    @initialize()
    def opened(self) -> None:
        self.do(self.harness.engine())

    # -- what a client may do

    @precondition(lambda self: len(self.models) < 3)
    @rule(target=desks, key=st.none() | KEYS)
    def start(self, key: str | None) -> Any:
        job = self.do(self.harness.start(DeskFlow, Desk(), key=key))
        known = self.keys.get(key) if key else None
        assert job.created is (known is None)
        if known is not None:
            assert job.id == known, "the same key is the same instance, whatever became of it"
            return multiple()
        self.models[job.id] = Model(self.bank, self.now)
        if key:
            self.keys[key] = job.id
        return job.id

    @rule(desk=desks, what=SIGNALS, key=st.none() | KEYS)
    def signal(self, desk: str, what: Any, key: str | None) -> None:
        model, name = self.models[desk], type(what).__name__
        sent = next((s for s in model.said if key and (s.name, s.key) == (name, key)), None)
        if model.ended and sent is None:
            self.refused(InstanceEnded, self.of(desk).signal(what, key=key))
            return
        receipt = self.do(self.harness.signal(self.of(desk), what, key=key))
        if sent is None:
            sent = Said(name, key or receipt.key, getattr(what, "n", getattr(what, "text", 0)))
            model.said.append(sent)
            model.go_on()
        assert receipt.status == sent.fate

    @rule(desk=desks)
    def pause(self, desk: str) -> None:
        self.control(desk, "pause", "waiting")

    @rule(desk=desks)
    def resume(self, desk: str) -> None:
        self.control(desk, "resume", "paused", InvalidTransition)

    @rule(desk=desks, whats=st.lists(SIGNALS, min_size=2, max_size=4), steps=st.integers(0, 8))
    def much_comes_while_it_is_paused(self, desk: str, whats: list[Any], steps: int) -> None:
        self.pause(desk)
        for what in whats:
            self.signal(desk, what, None)
        self.time_passes(steps)
        self.resume(desk)

    @rule(desk=desks, verb=st.sampled_from(["cancel", "terminate"]), compensate=st.booleans())
    def end(self, desk: str, verb: str, compensate: bool) -> None:
        self.control(desk, verb, "waiting", "paused", compensate=compensate)

    @rule(desk=desks)
    def archive(self, desk: str) -> None:
        model = self.models[desk]
        if model.archived:
            self.refused(InstanceEnded, self.of(desk).archive())
        elif not model.ended:
            self.refused(InvalidTransition, self.of(desk).archive())
        else:
            self.do(self.of(desk).archive())
            model.archived = True

    @rule(desk=desks, state=st.sampled_from(["", "serving", "closing"]))
    def redrive(self, desk: str, state: str) -> None:
        model = self.models[desk]
        if model.archived or model.status in ("completed", "cancelled", "terminated"):
            self.refused(InstanceEnded, self.of(desk).redrive(from_state=state))
        elif model.status != "failed" or not state:
            # What it had locked was undone when it failed: only a state can be named.
            self.refused(InvalidTransition, self.of(desk).redrive(from_state=state))
        else:
            self.do(self.of(desk).redrive(from_state=state))
            model.status = "waiting"
            model.enter(state)
            model.go_on()
            self.do(self.harness.settle())

    @rule(steps=st.integers(1, 8))
    def time_passes(self, steps: int) -> None:
        for _ in range(steps):
            self.do(self.harness.advance(MINUTES * 60.0))
            self.now += MINUTES
            for model in self.models.values():
                model.now = self.now
                model.go_on()

    @rule(broken=st.booleans())
    def the_bank(self, broken: bool) -> None:
        self.bank.broken = broken

    @precondition(lambda self: self.models)
    @rule()
    def restart(self) -> None:
        """The engine is closed; another one opens the same store."""
        self.do(self.harness.close())
        self.do(self.registered())
        self.do(self.harness.settle())

    # -- what everybody sees

    @invariant()
    def both_say_the_same(self) -> None:
        for desk, model in self.models.items():
            info = self.do(self.of(desk).get())
            assert (info.status, info.state, info.data) == (model.status, model.state, Desk(model.total, model.log))
            told = [(s.name, s.key, s.status) for s in self.do(self.of(desk).signals()) if s.kind == "signal"]
            assert told == [(s.name, s.key, s.fate) for s in model.said]
            assert info.archived is model.archived
            history = self.do(self.of(desk).history())
            assert [h.revision for h in history] == list(range(1, info.revision + 1))
            assert self.do(self.of(desk).data(info.revision)) == {"total": model.total, "log": model.log}

    @invariant()
    def lists_and_counts_are_never_behind(self) -> None:
        engine = self.do(self.harness.engine())
        shown = Counter(m.status for m in self.models.values() if not m.archived)
        for status in ("waiting", "paused", "failed", "completed", "cancelled", "terminated"):
            page = self.do(engine.list(status=status, limit=100))
            assert len(page.items) == shown[status], status
        counted: Counter[str] = Counter()
        for each in self.do(engine.metrics()):
            counted[each.status] += each.count
        assert +counted == +shown

    @invariant()
    def the_doctor_finds_nothing(self) -> None:
        assert self.do(self.harness.doctor()).clean

    # -- how

    def of(self, desk: str) -> Any:
        return self.harness.instance(desk, DeskFlow)

    async def registered(self) -> None:
        await (await self.harness.engine()).register(DeskFlow)

    def refused(self, error: type[StepkeelError], call: Coroutine[Any, Any, Any]) -> None:
        with pytest.raises(error):
            self.do(call)

    def control(self, desk: str, verb: str, *valid: Any, compensate: bool = False) -> None:
        model = self.models[desk]
        options = {"compensate": True} if compensate else {}
        call = getattr(self.of(desk), verb)(**options)
        if model.ended:
            self.refused(InstanceEnded, call)
        elif model.status not in valid:
            self.refused(InvalidTransition, call)
        else:
            self.do(call)
            if verb in ("pause", "resume"):
                model.status = "paused" if verb == "pause" else "waiting"
            else:
                model.end("cancelled" if verb == "cancel" else "terminated", undo=compensate)
            model.go_on()
            self.do(self.harness.settle())


EngineAndModel.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestEngineAndModel = EngineAndModel.TestCase
