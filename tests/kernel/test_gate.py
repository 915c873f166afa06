"""Every table is walked: each status x input is answered or refused; terminal states have no exits."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from stepkeel.kernel.decide import decide
from stepkeel.kernel.gate import COLUMNS, GATE, column
from stepkeel.model import input as inputs
from stepkeel.model.event import EVENTS
from stepkeel.model.snapshot import STATUSES, TERMINAL, EndingStage, Failure, Frame, Pause, Snapshot
from tests.flows import ChainFlow, Job

DEFINITION = ChainFlow.definition
DATA = msgspec.Raw(DEFINITION.data.encode(Job()))
INPUTS: dict[type, inputs.Input] = {
    inputs.Claimed: inputs.Claimed(),
    inputs.AttemptEnded: inputs.AttemptEnded("work/reserve", 1, "done"),
    inputs.AttemptDeferred: inputs.AttemptDeferred("work/reserve", 1, "busy", 5),
    inputs.HandedBack: inputs.HandedBack((("work/reserve", 1),)),
    inputs.StepRecorded: inputs.StepRecorded("work/reserve", 1, "s", msgspec.Raw(b"1")),
    inputs.Heartbeat: inputs.Heartbeat("work/reserve", 1, msgspec.Raw(b"1")),
    inputs.SignalArrived: inputs.SignalArrived(),
    inputs.ChildReported: inputs.ChildReported("work/child", "child-1", "completed"),
    inputs.TaskActed: inputs.TaskActed("work/task", "task-1", "claim", "ann"),
    inputs.HoldGranted: inputs.HoldGranted("work/charge", "pool", 1),
    inputs.Tick: inputs.Tick(),
    inputs.Pause: inputs.Pause("ann"),
    inputs.Resume: inputs.Resume("ann"),
    inputs.Cancel: inputs.Cancel("ann"),
    inputs.Terminate: inputs.Terminate("ann"),
    inputs.Redrive: inputs.Redrive("ann"),
    inputs.FireTimer: inputs.FireTimer("work/ship"),
    inputs.CancelNode: inputs.CancelNode("work/reserve", "skip"),
    inputs.CompleteNode: inputs.CompleteNode("work/ship"),
    inputs.AddItems: inputs.AddItems("work/lines", [1]),
    inputs.SetData: inputs.SetData({"amount": 3}),
    inputs.SetState: inputs.SetState("work"),
    inputs.Release: inputs.Release("ann"),
    inputs.Archive: inputs.Archive("ann"),
}


PICKY = {inputs.CompleteNode, inputs.AddItems, inputs.SetData, inputs.TaskActed}


def snapshot(place: str) -> Snapshot:
    """An instance in each column of the table."""
    base = Snapshot(
        "i", "default", "ChainFlow", 1, str(DEFINITION.fingerprint), "running", DATA, 5, 1_000, state="work", visits={"work": 1}
    )
    flying = {"work/reserve": Frame()}
    timers = {"work/ship": {"delay": 9_000_000}}
    replace = msgspec.structs.replace
    return {
        "created": replace(base, status="created", state="", visits={}),
        "active": replace(base, open=flying, timers=timers),
        "ending": replace(base, open={"work/reserve": Frame(run="stopping")}, ending=EndingStage("cancelled"), timers=timers),
        "paused": replace(base, status="paused", open=flying, pause=Pause(), timers=timers),
        "failed": replace(base, status="failed", failure=Failure("x", open={"work/reserve": Frame(run="failed")})),
        "ended": replace(base, status="completed"),
    }[place]


def test_every_input_has_a_row_and_every_row_an_answer_for_every_column() -> None:
    kinds = {
        k
        for k in vars(inputs).values()
        if isinstance(k, type) and issubclass(k, msgspec.Struct) and k.__module__ == inputs.__name__
    }
    assert set(GATE) == kinds - {inputs.Started, inputs.Forked, inputs.Signal, inputs.Requested} == set(INPUTS)
    assert all(len(row) == len(COLUMNS) for row in GATE.values())


def test_every_status_has_its_column() -> None:
    for status in STATUSES:
        made = msgspec.structs.replace(snapshot("active"), status=status)
        assert 0 <= column(made) < len(COLUMNS)
    assert {COLUMNS[column(snapshot(c))] for c in COLUMNS} == set(COLUMNS)


@pytest.mark.parametrize(
    ("place", "kind"), list(itertools.product(COLUMNS, GATE)), ids=lambda v: v if isinstance(v, str) else v.__name__
)
def test_the_decision_follows_the_table(place: str, kind: type) -> None:
    before = snapshot(place)
    raw = msgspec.json.encode(before)
    decision = decide(DEFINITION, before, INPUTS[kind], 2_000, 1)
    verdict = GATE[kind][COLUMNS.index(place)]
    assert msgspec.json.encode(before) == raw, "a decision changes none of its arguments"
    assert all(e.type in EVENTS for e in decision.events)
    if verdict == "drop":
        assert decision.snapshot is before
        assert not decision.effects
    elif verdict in ("E", "I"):
        assert decision.refused == {"E": "instance_ended", "I": "invalid_transition"}[verdict]
        assert decision.message
        assert decision.snapshot is before
    elif kind not in PICKY:
        assert not decision.refused
    else:
        assert bool(decision.refused) == bool(decision.message), "what there is none of is told, and nothing done"
    if verdict == "keep":
        assert not [e for e in decision.effects if type(e).__name__ == "RunAttempt"], "recorded or left pending, moves nothing"


@pytest.mark.parametrize("status", sorted(TERMINAL - {"failed"}))
@pytest.mark.parametrize("kind", list(INPUTS), ids=lambda k: k.__name__)
def test_terminal_states_have_no_exits(status: str, kind: type) -> None:
    before = msgspec.structs.replace(snapshot("ended"), status=status)
    assert decide(DEFINITION, before, INPUTS[kind], 2_000, 1).snapshot.status == status


@pytest.mark.parametrize("kind", list(INPUTS), ids=lambda k: k.__name__)
def test_failed_is_left_by_redrive_and_by_setting_a_state_alone(kind: type) -> None:
    after = decide(DEFINITION, snapshot("failed"), INPUTS[kind], 2_000, 1).snapshot.status
    assert (after == "failed") is (kind not in (inputs.Redrive, inputs.SetState))


def test_what_an_ending_refuses_it_refuses_paused_too_but_may_be_resumed() -> None:
    before = msgspec.structs.replace(snapshot("ending"), status="paused", pause=Pause())
    for kind in (inputs.Cancel, inputs.SetState, inputs.SetData, inputs.CancelNode, inputs.AddItems):
        assert decide(DEFINITION, before, INPUTS[kind], 2_000, 1).refused == "invalid_transition", kind
    for kind in (inputs.Resume, inputs.Terminate, inputs.AttemptEnded):
        assert not decide(DEFINITION, before, INPUTS[kind], 2_000, 1).refused, kind


def test_stale_results_are_dropped() -> None:
    before = snapshot("active")
    for path, attempt in (("work/charge", 1), ("work/reserve", 2), ("nowhere", 1)):
        assert decide(DEFINITION, before, inputs.AttemptEnded(path, attempt, "done"), 2_000, 1).snapshot is before


@pytest.mark.parametrize("status", COLUMNS)
@pytest.mark.parametrize("kind", [k for k in INPUTS if issubclass(k, inputs.Requested)], ids=lambda k: k.__name__)
def test_what_was_meant_for_an_earlier_revision_changes_nothing(kind: type, status: str) -> None:
    before = snapshot(status)
    asked = INPUTS[kind]
    late = decide(DEFINITION, before, msgspec.structs.replace(asked, if_revision=before.revision + 1), 10, 1)
    assert late.refused in ("revision_changed", "instance_ended", "invalid_transition") or (kind, late.events) == (
        inputs.Release,
        (),
    )
    assert late.snapshot == before
    now = decide(DEFINITION, before, asked, 10, 1)
    seen = decide(DEFINITION, before, msgspec.structs.replace(asked, if_revision=before.revision), 10, 1)
    assert (seen.snapshot, seen.refused, seen.events) == (now.snapshot, now.refused, now.events)
    if not now.refused and now.events:
        assert late.refused == "revision_changed"
