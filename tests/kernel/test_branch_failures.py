"""What becomes of failures, endings and redrives where branches run at the same time."""

from __future__ import annotations

from stepkeel import Context, Join, State, Workflow, activity, parallel, transform, wait, when
from stepkeel.model import input as inputs
from stepkeel.model.effect import End, RunAttempt, StopAttempt
from stepkeel.testing import Scenario
from tests.flows import Job
from tests.kernel.bodies import Ping, act, tell, undo
from tests.kernel.test_parallel import ONE, THREE, TWO, build, three


def test_a_failure_that_the_state_knows_stops_what_flies_before_it_leads_elsewhere() -> None:
    s = three()
    s.failed(f"{TWO}act", "DECLINED", kind="business")
    s.expect(StopAttempt(f"{ONE}act", 1), StopAttempt(f"{THREE}act", 1))
    s.feed(inputs.AttemptEnded(f"{ONE}act", 1, "stopped"))
    s.expect()
    s.feed(inputs.AttemptEnded(f"{THREE}act", 1, "stopped"))
    s.expect(End())
    assert (s.snapshot.status, s.snapshot.state) == ("completed", "mended")


def test_while_a_reaction_leads_out_nothing_else_begins() -> None:
    class Flow(Workflow[Job]):
        work = State[Job](parallel(one=act, two=[wait(Ping), act]))
        away = State.cancelled()
        work.on_failure("DECLINED", do=tell, to=away)

    s = Scenario(Flow, Job())
    s.failed(f"{ONE}act", "DECLINED", kind="business")
    s.expect(RunAttempt("work!failure/tell", 1))
    s.signal(Ping())
    assert "wait_ended" in s.events()
    assert not [e for e in s.last.effects if isinstance(e, RunAttempt)]
    s.done("work!failure/tell")
    s.expect(End())


def test_a_failure_reaction_that_stays_goes_on_behind_the_failed_node_in_its_branch_and_leaves_the_others_alone() -> None:
    class Flow(Workflow[Job]):
        work = State[Job](parallel(one=[act, tell], two=[act, tell]))
        done = State.completed()
        work.on_failure("DECLINED", do=tell)
        work.to(done)

    s = Scenario(Flow, Job())
    s.failed(f"{ONE}act", "DECLINED", kind="business")
    s.expect(RunAttempt("work!failure/tell", 1))
    s.failed(f"{TWO}act", "DECLINED", kind="business")
    s.expect()
    s.done("work!failure/tell")
    s.expect(RunAttempt(f"{ONE}tell", 1), RunAttempt("work!failure#2/tell", 1))
    s.done("work!failure#2/tell")
    s.expect(RunAttempt(f"{TWO}tell", 1))


def test_an_inner_join_that_cannot_do_without_hands_the_failure_to_an_outer_one_that_can() -> None:
    s = Scenario(build(parallel(one=parallel(a=act, b=act), two=act, join="any"), tell), Job())
    s.failed(f"{ONE}parallel:a/act")
    s.expect(StopAttempt(f"{ONE}parallel:b/act", 1))
    assert s.last.events[-1].path == "work/parallel:one"
    s.done(f"{TWO}act")
    s.expect(RunAttempt("work/tell", 1))


def test_the_rest_may_be_undone_and_the_flow_waits_for_that() -> None:
    s = Scenario(build(parallel(one=act, two=[act, act], join=Join("any", rest="undo")), tell), Job())
    s.done(f"{TWO}act")
    s.done(f"{ONE}act")
    s.expect(StopAttempt(f"{TWO}act-2", 1))
    n = s.snapshot.undo[0].n
    s.feed(inputs.AttemptEnded(f"{TWO}act-2", 1, "stopped"))
    s.expect(RunAttempt(f"undo/{n}", 1))
    s.done(f"undo/{n}")
    s.expect(RunAttempt("work/tell", 1))
    assert [u.path for u in s.snapshot.undo] == [f"{ONE}act"], "what the winner did is not undone"


def test_an_undo_of_the_rest_that_fails_is_a_failure_of_the_node() -> None:
    s = Scenario(build(parallel(one=act, two=[act, wait(Ping)], join=Join("any", rest="undo")), tell), Job())
    s.done(f"{TWO}act")
    s.done(f"{ONE}act")
    s.failed(f"undo/{s.snapshot.undo[0].n}")
    assert s.snapshot.ending is not None
    assert s.snapshot.ending.failure is not None
    assert s.snapshot.ending.failure.code == "compensation_failed"
    assert s.snapshot.ending.failure.undo_errors[0].code == "boom"


def test_a_redrive_runs_the_failed_branch_and_those_it_stopped_and_no_finished_one() -> None:
    s = Scenario(build(parallel(one=tell, two=[tell, tell], three=tell), tell), Job())
    s.done(f"{ONE}tell")
    s.done(f"{TWO}tell")
    s.failed(f"{TWO}tell-2")
    s.feed(inputs.AttemptEnded(f"{THREE}tell", 1, "stopped"))
    s.expect(End())
    s.feed(inputs.Redrive())
    s.expect(RunAttempt(f"{THREE}tell", 1), RunAttempt(f"{TWO}tell-2", 1))
    s.done(f"{TWO}tell-2")
    s.done(f"{THREE}tell")
    s.expect(RunAttempt("work/tell", 1))


def test_a_redrive_of_a_join_that_was_not_met_tries_what_had_failed_again() -> None:
    s = three(join=Join(lambda a: list(a.outcomes.values()).count("done") == 3))
    s.done(f"{ONE}act")
    s.failed(f"{TWO}act")
    s.failed(f"{THREE}act")
    assert s.snapshot.ending is not None
    undo = s.snapshot.undo[0].n
    s = Scenario(
        build(parallel(one=tell, two=tell, join=Join(lambda a: "failed" not in a.outcomes.values() and a.open == 0))), Job()
    )
    assert undo
    s.done(f"{ONE}tell")
    s.failed(f"{TWO}tell")
    s.expect(End())
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == "join_unmet"
    s.feed(inputs.Redrive())
    s.expect(RunAttempt(f"{TWO}tell", 1))
    s.done(f"{TWO}tell")
    s.expect(End())
    assert s.snapshot.status == "completed"


def test_pure_nodes_and_guards_in_a_branch_that_raise_fail_it() -> None:
    s = Scenario(build(parallel(one=transform(lambda job: 1 / 0, name="t"), two=act, join="any"), tell), Job())
    s.expect(RunAttempt(f"{TWO}act", 1))
    s.done(f"{TWO}act")
    s.expect(RunAttempt("work/tell", 1))
    s = Scenario(build(parallel(one=when(lambda job: 1 / 0 > 1, act))), Job())
    assert s.snapshot.failure is not None
    assert s.snapshot.failure.code == "pure_failed"


def test_an_ending_stops_every_branch_and_undoes_what_they_did_last_first() -> None:
    s = three()
    s.done(f"{THREE}act")
    s.done(f"{ONE}act")
    s.feed(inputs.Cancel(compensate=True))
    s.expect(StopAttempt(f"{TWO}act", 1))
    s.done(f"{TWO}act")
    undone: list[str] = []
    while s.snapshot.status == "running":
        [run] = [e for e in s.last.effects if isinstance(e, RunAttempt)]
        undone.append(next(u.path for u in s.snapshot.undo if f"undo/{u.key}" == run.path))
        s.done(run.path)
    assert undone == [f"{TWO}act", f"{ONE}act", f"{THREE}act"]


def test_what_was_registered_by_one_decision_is_undone_once_each() -> None:
    @activity(compensate=undo, compensate_when="started")
    async def began(ctx: Context[Job]) -> None: ...

    s = Scenario(build(parallel(one=began, two=began)), Job())
    s.feed(inputs.Cancel(compensate=True))
    s.feed(inputs.Claimed())
    assert [u.key for u in s.snapshot.undo] == ["3", "3-2"]
    s.expect(RunAttempt("undo/3-2", 1))
    s.done("undo/3-2")
    s.expect(RunAttempt("undo/3", 1))
    s.done("undo/3")
    s.expect(End())


def test_a_redrive_may_try_again_what_had_failed_earlier_and_was_done_without() -> None:
    body = parallel(one=tell, two=tell, three=tell, join=Join(2, rest="cancel")), tell
    for failed_parts, expected in ((False, {f"{TWO}tell", f"{THREE}tell"}), (True, {f"{ONE}tell", f"{TWO}tell", f"{THREE}tell"})):
        s = Scenario(build(*body), Job())
        s.failed(f"{ONE}tell")
        s.failed(f"{TWO}tell")
        s.feed(inputs.AttemptEnded(f"{THREE}tell", 1, "stopped"))
        s.expect(End())
        s.feed(inputs.Redrive(failed_parts=failed_parts))
        assert {e.path for e in s.last.effects if isinstance(e, RunAttempt)} == expected
    s.done(f"{ONE}tell")
    s.done(f"{TWO}tell")
    s.expect(StopAttempt(f"{THREE}tell", 1), RunAttempt("work/tell", 1))
