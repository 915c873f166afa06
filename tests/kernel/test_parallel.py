"""Parallel branches and their joins in conversations: an input, its effects and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from stepkeel import Arrivals, Join, State, Workflow, loop, parallel, wait, when
from stepkeel.errors import BadRequest
from stepkeel.model import input as inputs
from stepkeel.model.effect import End, Park, RunAttempt, StopAttempt
from stepkeel.testing import Scenario
from tests.flows import Go, Job
from tests.kernel.bodies import Ping, act, tell

ONE, TWO, THREE = (f"work/parallel:{name}/" for name in ("one", "two", "three"))


def build(*body: Any, **policies: Any) -> type[Workflow[Job]]:
    class Flow(Workflow[Job], **policies):
        work = State[Job](*body)
        done = State.completed()
        away = State.cancelled()
        mended = State.completed()
        work.to(done)
        work.on(Go, to=away)
        work.on_failure("DECLINED", to=mended)

    return Flow


def three(**options: Any) -> Scenario:
    return Scenario(build(parallel(one=act, two=act, three=act, **options), tell), Job())


def test_branches_fly_at_the_same_time_and_the_node_behind_them_begins_when_all_have_ended() -> None:
    s = Scenario(build(parallel(one=act, two=[act, tell]), tell), Job())
    s.expect(RunAttempt(f"{ONE}act", 1), RunAttempt(f"{TWO}act", 1))
    s.done(f"{TWO}act").snapshot
    s.expect(RunAttempt(f"{TWO}tell", 1))
    s.done(f"{ONE}act")
    s.expect()
    assert s.events() == ["activity_completed", "branch_ended"]
    s.done(f"{TWO}tell")
    s.expect(RunAttempt("work/tell", 1))
    assert s.events() == ["activity_completed", "branch_ended", "join_resolved"]
    s.done("work/tell")
    s.expect(End())


def test_a_wait_in_one_branch_does_not_hold_up_the_others() -> None:
    s = Scenario(build(parallel(one=[wait(Ping), tell], two=[act, tell])), Job())
    s.done(f"{TWO}act")
    s.expect(RunAttempt(f"{TWO}tell", 1))
    s.done(f"{TWO}tell")
    s.expect(Park(None))
    s.signal(Ping())
    assert RunAttempt(f"{ONE}tell", 1) in s.last.effects
    s.done(f"{ONE}tell")
    s.expect(End())


def test_a_signal_for_a_wait_is_taken_while_other_branches_fly_one_for_the_state_when_all_rest() -> None:
    s = Scenario(build(parallel(one=[wait(Ping), wait(Ping)], two=act)), Job())
    s.signal(Ping())
    assert "wait_ended" in s.events()
    s.signal(Go())
    s.expect()
    s.done(f"{TWO}act")
    assert s.snapshot.ending is not None, "the state rests now: its handler takes the signal, and leads to a cancelled state"


def test_guards_say_which_branches_take_part_and_otherwise_does_if_no_other_does() -> None:
    def taken(amount: int, **more: Any) -> Scenario:
        guarded = {"one": when(lambda job: job.amount > 0, act), "two": when(lambda job: job.amount > 1, act)}
        return Scenario(build(parallel(**guarded, **more), tell), Job(amount=amount))

    taken(2).expect(RunAttempt(f"{ONE}act", 1), RunAttempt(f"{TWO}act", 1))
    s = taken(1)
    s.expect(RunAttempt(f"{ONE}act", 1))
    s.done(f"{ONE}act")
    s.expect(RunAttempt("work/tell", 1))
    s = taken(0)
    s.expect(RunAttempt("work/tell", 1))
    assert "node_skipped" in s.events()
    taken(0, otherwise=tell).expect(RunAttempt("work/parallel:otherwise/tell", 1))


def test_at_most_max_concurrency_branches_are_open_waiting_ones_included() -> None:
    s = Scenario(build(parallel(one=wait(Ping), two=act, three=act, max_concurrency=2)), Job())
    s.expect(RunAttempt(f"{TWO}act", 1))
    s.done(f"{TWO}act")
    s.expect(RunAttempt(f"{THREE}act", 1))


@pytest.mark.parametrize(("need", "after"), [("any", 1), (2, 2), ("all", 3), (lambda a: a.size - 1, 2), (lambda a: a.open < 2, 2)])
def test_a_join_resolves_once_its_need_is_met_and_the_rest_is_cancelled(need: Any, after: int) -> None:
    s = three(join=need)
    paths = [f"{THREE}act", f"{ONE}act", f"{TWO}act"]
    for path in paths[: after - 1]:
        s.done(path)
        s.expect()
    s.done(paths[after - 1])
    s.expect(*(StopAttempt(p, 1) for p in sorted(paths[after:])), RunAttempt("work/tell", 1))
    for path in paths[after:]:
        s.feed(inputs.AttemptEnded(path, 1, "stopped"))
        s.expect()
    s.done("work/tell")
    s.expect(End())


def test_the_state_is_left_only_when_attempts_that_were_stopped_have_ended_and_late_success_can_be_undone() -> None:
    s = Scenario(build(parallel(one=act, two=act, join="any")), Job())
    s.done(f"{ONE}act")
    s.expect(StopAttempt(f"{TWO}act", 1))
    s.done(f"{TWO}act", amount=7)
    s.expect(End())
    assert "late_result_dropped" in s.events()
    assert s.data.amount == 0, "what comes too late changes nothing"
    assert {u.path for u in s.snapshot.undo} == {f"{ONE}act", f"{TWO}act"}


def test_a_failed_branch_counts_against_the_join_and_fails_the_node_as_soon_as_it_cannot_be_met() -> None:
    s = three(join=2)
    s.failed(f"{ONE}act")
    s.expect()
    assert s.last.events[-1].detail == {"outcome": "failed", "code": "boom"}
    s.failed(f"{TWO}act")
    assert s.snapshot.ending is not None
    s.expect(StopAttempt(f"{THREE}act", 1))
    s.feed(inputs.AttemptEnded(f"{THREE}act", 1, "stopped"))
    s.expect(End())
    assert s.snapshot.failure is not None
    assert (s.snapshot.failure.code, s.snapshot.failure.path) == ("boom", f"{TWO}act")


def test_collected_failures_arrive_and_the_need_may_ask_how_branches_have_ended() -> None:
    s = three(join=Join(failures="collect"))
    for path in (f"{ONE}act", f"{TWO}act", f"{THREE}act"):
        s.failed(path)
    s.expect(RunAttempt("work/tell", 1))

    def two_are_well(arrivals: Arrivals) -> bool:
        return list(arrivals.outcomes.values()).count("done") >= 2

    s = three(join=Join(two_are_well))
    s.failed(f"{ONE}act")
    s.done(f"{TWO}act")
    s.expect()
    s.done(f"{THREE}act")
    s.expect(RunAttempt("work/tell", 1))
    s = three(join=Join(two_are_well))
    s.failed(f"{ONE}act")
    s.failed(f"{TWO}act")
    s.done(f"{THREE}act")
    assert s.snapshot.ending is not None
    assert s.snapshot.ending.failure is not None
    assert s.snapshot.ending.failure.code == "join_unmet"


def test_unmet_may_go_on_once_all_have_ended() -> None:
    s = three(join=Join(2, unmet="go_on"))
    s.failed(f"{ONE}act")
    s.failed(f"{TWO}act")
    s.expect()
    s.done(f"{THREE}act")
    s.expect(RunAttempt("work/tell", 1))
    assert s.last.events[-1].detail == {"arrived": 1, "size": 3, "unmet": True}


def test_break_in_a_branch_ends_the_loop_around_the_parallel_and_stops_the_others() -> None:
    s = Scenario(build(loop(parallel(one=act, two=act)), tell), Job())
    s.done("work/loop/parallel:one/act", outcome="break")
    s.expect(StopAttempt("work/loop/parallel:two/act", 1), RunAttempt("work/tell", 1))


def test_a_join_of_any_resolves_once_a_round_over_many_rounds_whatever_comes_late() -> None:
    s = Scenario(build(loop(parallel(one=act, two=act, join="any"), max_iterations=20, at_max="go_on"), tell), Job())
    resolved = 0
    for n in range(1, 21):
        at = "work/loop" if n == 1 else f"work/loop@{n}"
        s.done(f"{at}/parallel:{('one', 'two')[n % 2]}/act")
        resolved += s.events().count("join_resolved")
        s.done(f"{at}/parallel:{('two', 'one')[n % 2]}/act")
        resolved += s.events().count("join_resolved")
    assert resolved == 20
    assert list(s.snapshot.open) == ["work/tell"]


def test_what_was_left_to_finish_runs_on_over_states_and_completion_waits_for_it() -> None:
    class Flow(Workflow[Job]):
        work = State[Job](parallel(one=act, two=[act, act], join=Join("any", rest="finish")))
        then = State[Job](tell)
        done = State.completed()
        work.to(then)
        then.to(done)

    s = Scenario(Flow, Job())
    s.done(f"{ONE}act")
    s.expect(RunAttempt("then/tell", 1))
    s.done("then/tell", amount=1)
    s.expect()
    assert s.snapshot.state == "done"
    s.done(f"{TWO}act", amount=5)
    s.expect(RunAttempt(f"{TWO}act-2", 1))
    assert s.data.amount == 1, "late=drop"
    s.done(f"{TWO}act-2")
    s.expect(End())


def test_loose_branches_may_change_the_data_when_the_join_says_so_and_their_failure_harms_nobody() -> None:
    s = Scenario(build(parallel(one=act, two=act, three=act, join=Join("any", rest="finish", late="merge")), tell), Job())
    s.done(f"{ONE}act")
    s.done(f"{TWO}act", amount=5)
    assert s.data.amount == 5
    s.failed(f"{THREE}act")
    s.expect()
    assert list(s.snapshot.open) == ["work/tell"]


def test_at_once_does_not_wait_for_what_was_left_to_finish() -> None:
    class Flow(Workflow[Job]):
        work = State[Job](parallel(one=act, two=act, join=Join("any", rest="finish")))
        done = State.completed(at_once=True)
        work.to(done)

    s = Scenario(Flow, Job())
    s.done(f"{ONE}act")
    s.expect(StopAttempt(f"{TWO}act", 1))
    s.feed(inputs.AttemptEnded(f"{TWO}act", 1, "stopped"))
    s.expect(End())


def test_a_new_visit_may_have_to_wait_until_the_branches_of_the_last_have_ended() -> None:
    again = parallel(one=act, two=act, join=Join("any", rest="finish", again="wait"))
    s = Scenario(build(loop(again, max_iterations=2, at_max="go_on"), tell), Job())
    s.done("work/loop/parallel:one/act")
    s.expect()
    s.done("work/loop/parallel:two/act")
    s.expect(RunAttempt("work/loop@2/parallel:one/act", 1), RunAttempt("work/loop@2/parallel:two/act", 1))


def test_a_takeover_starts_every_attempt_again_that_was_in_flight() -> None:
    s = three()
    s.feed(inputs.Claimed())
    assert [e.path for e in s.last.effects if isinstance(e, RunAttempt)] == [f"{ONE}act", f"{TWO}act", f"{THREE}act"]


def test_what_makes_no_sense_is_refused() -> None:
    for wrong in (
        lambda: parallel(),
        lambda: parallel(one=[]),
        lambda: parallel(one=act, join=0),
        lambda: parallel(one=act, join="most"),  # type: ignore[arg-type]
        lambda: parallel(one=act, max_concurrency=0),
        lambda: parallel(one=act, data="mine"),  # type: ignore[arg-type]
        lambda: Join(rest="keep"),  # type: ignore[arg-type]
    ):
        with pytest.raises(BadRequest):
            wrong()


def test_a_diagram_shows_branches_side_by_side() -> None:
    flow = build(parallel(one=[act, tell], two=when(lambda job: job.amount > 1, act)))
    assert "parallel (one#colon; act, tell || two#colon; act)" in flow.definition.mermaid()
