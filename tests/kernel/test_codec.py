"""Every kind of data type behaves the same behind the codec."""

from __future__ import annotations

from typing import Any

import pytest

from stepkeel import Context, State, Workflow, activity
from stepkeel.errors import DataInvalid, DefinitionError
from stepkeel.model.codec import Codec
from stepkeel.testing import Harness
from tests.kernel.shapes import AsAttrs, AsDataclass, AsPydantic, AsStruct, AsTypedDict

KINDS: list[Any] = [AsDataclass, AsStruct, AsTypedDict, AsAttrs, AsPydantic]


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_update_and_refusals(kind: Any) -> None:
    codec = Codec(kind)
    raw = codec.from_input({"name": "x", "n": 1})
    value = codec.decode(raw)
    assert codec.encode(value) == raw
    assert codec.decode(codec.encode(codec.updated(value, {"n": 5}))) == codec.decode(codec.from_input({"name": "x", "n": 5}))
    with pytest.raises(DataInvalid, match="colour"):
        codec.updated(value, {"colour": 1})
    with pytest.raises(DataInvalid, match="colour"):
        codec.from_input({"name": "x", "n": 1, "colour": "red"})
    with pytest.raises(DataInvalid):
        codec.from_input({"name": "x", "n": "many"})
    with pytest.raises(DataInvalid):
        codec.from_input("text")
    with pytest.raises(DataInvalid):
        codec.decode(b'{"name": 3')
    assert set(codec.fields or ()) == {"name", "n"}
    assert "name" in str(codec.schema())


@pytest.mark.parametrize("kind", KINDS)
async def test_workflows_run_on_every_kind_of_data(kind: Any, harness: Harness) -> None:
    @activity
    async def add(ctx: Context[Any]) -> dict[str, int]:
        n = ctx.data["n"] if isinstance(ctx.data, dict) else ctx.data.n
        return {"n": n + 1}

    class Flow(Workflow[kind]):
        a = State(add, add)
        z = State.completed()
        a.to(z, when=lambda d: (d["n"] if isinstance(d, dict) else d.n) == 2)

    job = await harness.start(Flow, {"name": "x", "n": 0})
    job.assert_status("completed")
    assert (await job.data())["n"] == 2


def test_what_cannot_be_stored_is_refused_when_the_class_is_built() -> None:
    for kind in (int, list[int], str):
        with pytest.raises(DefinitionError, match="bad_data_type"):

            class Flow(Workflow[kind]):  # type: ignore[valid-type]
                a = State.completed()


def test_dict_order_is_kept() -> None:
    from dataclasses import make_dataclass

    kind = make_dataclass("WithDict", [("d", dict[str, int])])
    codec = Codec(kind)
    assert list(codec.decode(codec.encode(kind({"b": 1, "a": 2}))).d) == ["b", "a"]


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not AsTypedDict])
def test_a_mapping_that_leaves_fields_out_is_stored_as_a_value_that_leaves_them_out_is(kind: Any) -> None:
    codec = Codec(kind)
    assert codec.from_input({"name": "x"}) == codec.from_input(kind(name="x"))
