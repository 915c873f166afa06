"""Work for people as conversations: opened, claimed, handed on, completed once, withdrawn when nobody needs it any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from stepkeel import Calendar, State, Verdict, Workflow, approval, for_each, parallel, task
from stepkeel.errors import BadRequest
from stepkeel.model import input as inputs
from stepkeel.model.decision import Decision
from stepkeel.model.effect import ChangeTask, OpenTask
from stepkeel.model.task import TaskRow
from stepkeel.testing import Scenario
from tests.flows import Job
from tests.kernel.bodies import act, build


@dataclass
class Address:
    street: str
    number: int = 1


def opened(decision: Decision) -> list[TaskRow]:
    return [e.row for e in decision.effects if isinstance(e, OpenTask)]


def changed(decision: Decision) -> list[tuple[str, str]]:
    return [(e.change.status, e.change.closed_by or e.change.claimed_by) for e in decision.effects if isinstance(e, ChangeTask)]


def do(s: Scenario, what: Any, actor: str = "ann", n: int = 0, payload: Any = None, **more: Any) -> Decision:
    """The n-th task of the one node that has some."""
    path, frame = next((p, f) for p, f in s.snapshot.open.items() if f.tasks)
    raw = msgspec.Raw() if payload is None else msgspec.Raw(msgspec.json.encode(payload))
    return s.feed(inputs.TaskActed(path, list(frame.tasks)[n], what, actor, payload=raw, **more))


YES, NO = {"approved": True}, {"approved": False, "comment": "too dear"}


def moved(job: Job, address: Address) -> None:
    job.note = f"{address.street} {address.number}"


def test_a_task_is_opened_with_all_that_is_known_of_it_and_its_form_comes_back() -> None:
    node = task("Where to, {name}?", Address, role="clerk", not_by=lambda job: job.note, due=60.0, priority=1, into=moved)
    s = Scenario(build(node, act), Job("bob", note="cy"))
    (row,) = opened(s.last)
    assert (row.title, row.role, row.excluded, row.form, row.priority) == ("Where to, bob?", "clerk", ("cy",), "Address", 1)
    assert row.due_at == s.snapshot.at + 60_000_000
    assert (s.snapshot.status, s.snapshot.timers) == ("waiting", {})
    do(s, "complete", payload={"street": "Mill", "number": 3})
    assert s.data.note == "Mill 3"
    assert changed(s.last) == [("completed", "ann")]
    assert list(s.snapshot.open) == ["work/act"]


def test_a_form_that_does_not_fit_changes_nothing() -> None:
    s = Scenario(build(task("Where to?", Address, into=moved)), Job())
    for wrong in ({}, {"street": 7}, {"street": "x", "number": "y"}, [], None):
        refused = do(s, "complete", payload=wrong)
        assert (refused.refused, refused.effects) == ("invalid_transition", ())
    assert s.snapshot.status == "waiting"


def test_a_mapping_that_raises_refuses_the_completion_and_the_task_stays() -> None:
    s = Scenario(build(task("Where to?", Address, into=lambda job, a: 1 / 0)), Job())  # type: ignore[arg-type,return-value]
    assert do(s, "complete", payload={"street": "x"}).refused
    assert s.snapshot.open["work/task"].tasks


def test_who_may_do_it() -> None:
    s = Scenario(build(task("x", role="clerk", assignee="ann", candidates=["bob"], not_by="cy")), Job())
    assert "cy may not" in do(s, "claim", "cy").message
    assert "ann's" in do(s, "complete", "dan", roles=("clerk",)).message
    assert not do(s, "claim", "bob").refused
    assert "claimed by bob" in do(s, "complete", "ann").message
    assert "claimed by bob" in do(s, "release", "dan", roles=()).message
    assert not do(s, "release", "bob", roles=()).refused
    assert "to whom" in do(s, "reassign", "ann").message
    assert "cy may not" in do(s, "reassign", "ann", to="cy").message
    assert not do(s, "reassign", "ann", to="eve").refused
    assert "eve's" in do(s, "complete", "ann").message
    assert not do(s, "complete", "eve").refused
    assert s.snapshot.status == "completed"


def test_a_role_is_asked_for_where_roles_are_said() -> None:
    s = Scenario(build(task("x", role="clerk")), Job())
    assert "for the role clerk" in do(s, "complete", "ann", roles=("manager",)).message
    assert not do(s, "complete", "ann", roles=("clerk", "manager")).refused


def test_a_task_completed_twice_is_completed_once_and_the_second_learns_by_whom() -> None:
    s = Scenario(build(task("x", people=["ann", "bob"], need="all")), Job())
    do(s, "complete", "ann", 0)
    assert "was completed by ann" in do(s, "complete", "bob", 0).message
    assert s.snapshot.status == "waiting"
    do(s, "complete", "bob", 1)
    assert s.snapshot.status == "completed"


def test_comments_are_told_in_the_history() -> None:
    s = Scenario(build(task("x")), Job())
    do(s, "comment", text="on it")
    assert (s.last.events[0].type, s.last.events[0].detail["text"]) == ("task_commented", "on it")
    assert changed(s.last) == []


# -- approvals


def verdict(job: Job, v: Verdict) -> None:
    job.note = f"{v.approved} by {v.by}: {v.comment}"
    job.log = [f"{who} {yes}" for who, yes, _ in v.votes]


def test_two_of_three_end_at_the_second_yes_and_withdraw_the_third() -> None:
    s = Scenario(build(approval("ok?", people=["ann", "bob", "cy"], need=2, into=verdict)), Job())
    assert [t.assignee for t in opened(s.last)] == ["ann", "bob", "cy"]
    do(s, "complete", "bob", 1, YES)
    assert s.snapshot.status == "waiting"
    do(s, "complete", "ann", 0, YES)
    assert (s.snapshot.status, s.data.log) == ("completed", ["bob True", "ann True"])
    assert changed(s.last) == [("completed", "ann"), ("withdrawn", "")]


def test_it_is_rejected_when_enough_can_not_say_yes_any_more() -> None:
    s = Scenario(build(approval("ok?", people=["ann", "bob", "cy"], need=2, into=verdict)), Job())
    do(s, "complete", "ann", 0, NO)
    assert s.snapshot.status == "waiting"
    do(s, "complete", "cy", 2, NO)
    assert s.snapshot.failure is not None
    assert (s.snapshot.failure.code, s.snapshot.failure.message) == ("rejected", "rejected by cy: too dear")
    assert changed(s.last) == [("completed", "cy"), ("withdrawn", "")]


def test_a_rejected_one_may_go_on_with_its_verdict() -> None:
    s = Scenario(build(approval("ok?", role="lead", into=verdict, on_reject="go_on")), Job())
    do(s, "complete", "ann", 0, NO)
    assert (s.snapshot.status, s.data.note) == ("completed", "False by ann: too dear")


def test_several_yeses_of_one_role_are_of_several_persons() -> None:
    s = Scenario(build(approval("ok?", role="lead", need=2)), Job())
    assert len(opened(s.last)) == 2
    do(s, "complete", "ann", 0, YES)
    assert "already done another" in do(s, "complete", "ann", 1, YES).message
    do(s, "complete", "bob", 1, YES)
    assert s.snapshot.status == "completed"


def test_all_of_them() -> None:
    s = Scenario(build(approval("ok?", people=lambda job: ["ann", "bob"], need="all")), Job())
    do(s, "complete", "ann", 0, YES)
    do(s, "complete", "bob", 1, NO)
    assert s.snapshot.failure is not None


# -- time


def test_it_passes_on_when_it_is_due_from_role_to_role() -> None:
    s = Scenario(build(approval("ok?", role="lead", assignee="ann", due=60.0, escalate_to=["manager", "owner"])), Job())
    do(s, "claim", "ann")
    s.feed(inputs.Tick(), after=60_000_000)
    tasks = next(iter(s.snapshot.open["work/approval"].tasks.values()))
    assert (tasks.role, tasks.assignee, tasks.claimed_by) == ("manager", "", "")
    assert "for the role manager" in do(s, "complete", "ann", 0, YES, roles=("lead",)).message
    s.feed(inputs.Tick(), after=60_000_000)
    assert next(iter(s.snapshot.open["work/approval"].tasks.values())).role == "owner"
    assert s.snapshot.timers == {}
    do(s, "complete", "cy", 0, YES, roles=("owner",))
    assert s.snapshot.status == "completed"


def test_reminders_come_again_and_again_until_it_is_done() -> None:
    s = Scenario(build(task("x", remind=10.0)), Job())
    for n in (1, 2):
        s.feed(inputs.Tick(), after=10_000_001)
        assert [(e.type, e.detail.get("n")) for e in s.last.events if e.type.startswith("task")] == [("task_reminded", n)]
    do(s, "complete")
    assert s.snapshot.status == "completed"


def test_due_times_are_in_working_hours() -> None:
    office = Calendar("UTC")
    s = Scenario(build(task("x", due=timedelta(hours=20), calendar=office)), Job())  # it is Thursday, 00:16
    (row,) = opened(s.last)
    assert row.due_at is not None
    assert datetime.fromtimestamp(row.due_at / 1e6, UTC) == datetime(1970, 1, 5, 13, tzinfo=UTC)


def test_a_moment_and_nothing_as_due_time() -> None:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    (row,) = opened(Scenario(build(task("x", due=lambda job: at)), Job()).last)
    assert row.due_at == 1_777_593_600_000_000
    (row,) = opened(Scenario(build(task("x", due=lambda job: None)), Job()).last)
    assert row.due_at is None


# -- within branches, and at the end


def test_a_cancelled_region_withdraws_its_tasks_and_no_others() -> None:
    s = Scenario(build(parallel(a=task("a"), b=task("b"), c=act, join=2)), Job())
    s.feed(inputs.CancelNode("work/parallel:a", "end"))
    assert changed(s.last) == [("withdrawn", "")]
    assert [p for p, f in s.snapshot.open.items() if f.tasks] == ["work/parallel:b/task"]


def test_an_ending_withdraws_them_and_a_redrive_opens_others() -> None:
    class Flow(Workflow[Job]):
        work = State[Job](parallel(a=task("a"), b=act))
        done = State.completed()
        work.to(done)

    s = Scenario(Flow, Job())
    first = opened(s.last)[0].id
    s.failed("work/parallel:b/act", kind="permanent")
    assert (s.snapshot.status, changed(s.last)) == ("failed", [("withdrawn", "")])
    s.feed(inputs.Redrive("ann"))
    assert opened(s.last)[0].id != first


def test_each_item_of_a_list_is_told_to_the_title_and_to_who_may_do_it() -> None:
    people = ["ann", "bob", "cy"]
    node = for_each(
        lambda job: people, task(lambda job, who: f"Sign, {who}", assignee=lambda job, who: who), max_concurrency=2, name="signing"
    )
    s = Scenario(build(node), Job())
    assert [(t.title, t.assignee) for t in opened(s.last)] == [("Sign, ann", "ann"), ("Sign, bob", "bob")]
    do(s, "complete", "ann")
    assert [(t.title, t.path) for t in opened(s.last)] == [("Sign, cy", "work/signing[2]/task")]


def test_what_a_function_gives_wrongly_fails_the_node() -> None:
    wrong: list[dict[str, Any]] = [
        {"role": lambda job: 7}, {"people": lambda job: []}, {"people": lambda job: ["ann"], "need": 2},
        {"title": lambda job: 1 / 0}, {"candidates": lambda job: [None, 7]}, {"due": lambda job: "soon"},
        {"due": lambda job: datetime(2026, 1, 1)},
    ]  # fmt: skip
    for options in wrong:
        s = Scenario(build(task(options.pop("title", "x"), **options)), Job())
        assert s.snapshot.failure is not None, options
        assert s.snapshot.failure.code == "pure_failed"
        assert opened(s.last) == []


def test_what_cannot_be_is_refused_where_it_is_written() -> None:
    wrong: list[dict[str, Any]] = [
        {"title": ""}, {"need": 0}, {"need": "all"}, {"need": True}, {"people": ["a"], "assignee": "b"}, {"priority": 9},
        {"due": -1.0}, {"remind": 0.0}, {"escalate_to": "x"}, {"calendar": "office"},
        {"due": lambda job: timedelta(1), "escalate_to": ["a", "b"]},
    ]  # fmt: skip
    for options in wrong:
        with pytest.raises(BadRequest):
            task(**{"title": "x", **options})
    with pytest.raises(BadRequest):
        approval("x", on_reject="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
