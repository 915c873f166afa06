"""emit in conversations: a message is an effect of the decision, once for each time its node is passed."""

from __future__ import annotations

import msgspec

from stepkeel import emit, for_each, loop, wait
from stepkeel.engine.family import messages_of
from stepkeel.model.effect import Emit
from stepkeel.testing import Scenario
from tests.flows import Job
from tests.kernel.bodies import Ping, act, build, tell


def emitted(s: Scenario) -> list[tuple[str, str, object]]:
    return [(e.path, e.topic, msgspec.json.decode(e.payload)) for e in s.last.effects if isinstance(e, Emit)]


def test_a_message_tells_what_its_function_gives_or_the_data_and_the_flow_goes_on() -> None:
    s = Scenario(build(emit(lambda j: [j.name], to="a"), emit(to="b"), act), Job("x"))
    assert emitted(s)[0] == ("work/emit", "a", ["x"])
    assert emitted(s)[1][:2] == ("work/emit-2", "b")
    assert s.data.name == "x"
    assert [e.detail for e in s.last.events if e.type == "message_emitted"] == [{"topic": "a"}, {"topic": "b"}]
    s.done("work/act")
    assert emitted(s) == []


def test_each_item_iteration_and_visit_has_messages_of_its_own() -> None:
    s = Scenario(
        build(
            for_each(lambda j: ["p", "q"], emit(lambda j, item: item, to="i"), name="lines"),
            loop(emit(to="l"), max_iterations=2, at_max="go_on"),
            wait(Ping),
            tell,
        ),
        Job(),
    )
    paths = [p for p, _, _ in emitted(s)]
    assert paths == ["work/lines[0]/emit", "work/lines[1]/emit", "work/loop/emit", "work/loop@2/emit"]
    rows = messages_of(s.last.effects, s.snapshot, s.now)
    assert len({m.id for m in rows}) == 4
    assert all(m.due_at <= s.now for m in rows), "due at once"
