"""Documents of sagas: everything wrong is told at once with its line; what they run is what their Python twin runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stepkeel import Context, Fail, Retry, Saga, activity, load
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.testing import Harness


class Charge(NamedTuple):
    amount: int
    reservation: str


@dataclass
class Letter:
    to: str
    copies: int = 1


@activity(name="stock.release")
async def release(ctx: Context[Any, str]) -> None: ...


@activity(name="stock.reserve")
async def reserve(ctx: Context[Any, str]) -> str:
    return f"r-{ctx.input}"


@activity(name="card.charge")
async def charge(ctx: Context[Any, Charge]) -> str:
    if ctx.input.amount > 100:
        raise Fail("DECLINED", "too much")
    return f"{ctx.input.amount}*{ctx.input.reservation}"


@activity(name="card.refund")
async def refund(ctx: Context[Any, str]) -> None: ...


@activity(name="letter.send")
async def send(ctx: Context[Any, Letter]) -> int:
    return ctx.input.copies


@activity(name="quiet")
async def quiet(ctx: Context[Any]) -> None: ...


ALL = [release, reserve, charge, refund, send, quiet]
PAYMENT = """
name: payment
input:
  properties: {product: {type: string}, amount: {type: integer}, paid: {type: string, default: ""}}
  additionalProperties: false
output: {paid: "{{ steps.charge.output }}"}
steps:
  - name: reserve
    uses: stock.reserve
    with: "{{ input.product }}"
    compensate: {uses: stock.release}
    retry: {attempts: 3, delay: 1s}
  - {name: charge, uses: card.charge, with: {amount: "{{ input.amount }}", reservation: "{{ steps.reserve.output }}"}}
  - {name: tell, uses: letter.send, needs: [charge], when: input.amount > 5, with: {to: "{{ input.product }}"}}
"""


def written(tmp_path: Path, text: str, name: str = "saga.yaml") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(DefinitionError) as found:
        load(written(tmp_path, text), ALL)
    return [str(p) for p in found.value.problems]


async def test_a_document_runs_and_its_values_keep_their_types(tmp_path: Path) -> None:
    harness, payment = Harness(), load(written(tmp_path, PAYMENT), ALL)
    instance = await harness.start(payment, {"product": "book", "amount": 7})
    instance.assert_status("completed")
    assert instance.value == {"product": "book", "amount": 7, "paid": "7*r-book"}
    failed = await harness.start(payment, {"product": "book", "amount": 700})
    failed.assert_status("failed").assert_history("compensation_completed")
    await harness.close()


async def test_its_python_twin_has_the_same_shape_and_the_same_history(tmp_path: Path) -> None:
    document = load(written(tmp_path, PAYMENT), ALL)
    twin: Saga[Any] = Saga("payment", dict, into=lambda data, outputs: {"paid": outputs["charge"]})
    first = twin.step("reserve", reserve, lambda run: run.input["product"], compensate=release, retry=Retry(attempts=3, delay=1))
    second = twin.step("charge", charge, lambda run: Charge(run.input["amount"], run[first]), needs=[first])
    twin.step("tell", send, lambda run: Letter(run.input["product"]), needs=[second], when=lambda run: run.input["amount"] > 5)
    told: list[Any] = []
    for definition in (document, twin.definition):
        harness = Harness()
        instance = await harness.start(definition, {"product": "book", "amount": 7, "paid": ""})
        told.append([(e.type, e.path) for row in await instance.history() for e in row.events])
        await harness.close()
    assert told[0] == told[1]


def test_what_an_expression_says_is_code_and_no_shape(tmp_path: Path) -> None:
    one = load(written(tmp_path, PAYMENT), ALL).fingerprint
    two = load(written(tmp_path, PAYMENT.replace("amount > 5", "amount > 6")), ALL).fingerprint
    three = load(written(tmp_path, PAYMENT.replace("attempts: 3", "attempts: 4")), ALL).fingerprint
    assert one.shape == two.shape
    assert one.code != two.code
    assert one.shape != three.shape
    assert load(written(tmp_path, PAYMENT), ALL).fingerprint == one


def test_json_and_a_mapping_are_documents_too(tmp_path: Path) -> None:
    given = {"name": "small", "steps": [{"name": "a", "uses": "quiet"}]}
    assert (
        load(given, ALL).fingerprint
        == load(written(tmp_path, '{"name": "small", "steps": [{"name": "a", "uses": "quiet"}]}', "s.json"), ALL).fingerprint
    )


def test_everything_wrong_is_told_at_once_with_line_column_and_remedy(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """name: bad
input: {properties: {product: {type: string}, amount: {type: integer}}, additionalProperties: false}
timeout: soon
stps: 3
steps:
  - name: reserve
    uses: stock.reserv
    with: "{{ input.prodct }}"
  - name: charge
    uses: card.charge
    needs: [resrve]
    with: {amount: "{{ input.product }}", reservatio: "{{ steps.resrve.output }}"}
  - name: a
    uses: stock.reserve
    with: "{{ steps.b.output }}"
  - name: b
    uses: stock.reserve
    with: 5
    needs: [a]
    when: input.amount > 'x'
  - name: quiet
    uses: quiet
    compensate: {uses: card.refund}
  - name: c
    uses: stock.reserve
    retry: {attempts: many, dely: 1s}
  - name: c
    uses: quiet
    when: input.amount
""",
    )
    wanted = [
        "saga.yaml:3:1 timeout: 'soon' is no span of time [bad_value]",
        "saga.yaml:4:1 stps: a saga has no stps [unknown_field] -> did you mean steps?",
        "saga.yaml:7:5 steps[0].uses: there is no activity stock.reserv [unknown_activity] -> did you mean stock.reserve?",
        "saga.yaml:8:20 steps[0].with: input has no field prodct [bad_expression] -> did you mean product?",
        "saga.yaml:11:13 steps[1].needs[0]: there is no step resrve [unknown_step] -> did you mean reserve?",
        "saga.yaml:12:5 steps[1].with: Charge needs reservation [missing_field]",
        "saga.yaml:12:12 steps[1].with.amount: it gives string, int is expected [wrong_type]",
        "saga.yaml:12:43 steps[1].with.reservatio: Charge has no reservatio [unknown_field] -> did you mean reservation?",
        "saga.yaml:12:59 steps[1].with.reservatio: there is no step resrve [unknown_step] -> did you mean reserve?",
        "saga.yaml:13:5 steps[2]: they need each other in a ring: a needs b needs a [cycle]",
        "saga.yaml:18:5 steps[3].with: Expected `str`, got `int` [wrong_type]",
        "saga.yaml:20:24 steps[3].when: found no matching overload for '_>_' applied to '(int, string)' [bad_expression]",
        "saga.yaml:21:5 steps[4]: the compensation card.refund expects str, the step gives nothing [compensation_input]",
        "saga.yaml:24:5 steps[5]: stock.reserve expects str [missing_input] -> with: what it is given",
        "saga.yaml:26:13 steps[5].retry.attempts: 'many' [bad_value]",
        "saga.yaml:26:29 steps[5].retry.dely: a retry policy has no dely [unknown_field] -> did you mean delay?",
        "saga.yaml:29:5 steps[6].when: it gives int, and a condition is true or false [bad_condition]",
    ]
    for each in wanted:
        assert any(f.startswith(each) for f in found), f"{each}\n" + "\n".join(found)
    assert {f.split("[")[-1].split("]")[0] for f in found} == {w.split("[")[-1].split("]")[0] for w in wanted} | {"step_twice"}


@pytest.mark.parametrize(
    "text", ["", "[]", "a text", "5", "name: x", "name: x\nsteps: []", "name: x\nsteps: [5]", "steps:\n  a: {uses: quiet}"]
)
def test_what_is_no_saga_is_refused_and_never_raises_anything_else(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="No such file"):
        load(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DefinitionError, match="no UTF-8"):
        load(tmp_path / "binary.yaml")


def test_two_activities_of_one_name_are_refused_naming_both() -> None:
    @activity(name="quiet")
    async def loud(ctx: Context[Any]) -> None: ...

    with pytest.raises(BadRequest, match=r"test_loading\.quiet and .*loud"):
        load({"name": "x", "steps": [{"name": "a", "uses": "quiet"}]}, [*ALL, loud])


@pytest.mark.parametrize("where", ["timeout: 0", "compensation_timeout: 0s"])
def test_a_span_of_nothing_is_refused(tmp_path: Path, where: str) -> None:
    undo = "compensate: {uses: stock.release, timeout: 0}"
    text = f"name: x\n{where}\nsteps:\n  - {{name: a, uses: stock.reserve, with: a, {undo}}}\n"
    found = problems(tmp_path, text)
    assert [f.split(" -> ")[1] for f in found] == ["longer than nothing"] * 2


def test_a_file_of_any_name_is_told_of(tmp_path: Path) -> None:
    file = written(tmp_path, "name: x\nsteps: [{name: a, uses: none, with: 1}, {name: b}]\n", "a b:c 1:2.yaml")
    with pytest.raises(DefinitionError) as found:
        load(file, ALL)
    assert [p.place for p in found.value.problems] == ["a b:c 1:2.yaml:2:19 steps[0].uses", "a b:c 1:2.yaml:2:41 steps[1]"]


def test_a_step_that_asks_for_its_own_output_is_refused(tmp_path: Path) -> None:
    found = problems(tmp_path, 'name: x\nsteps:\n  - {name: a, uses: stock.reserve, with: "{{ steps.a.output }}"}\n')
    assert "a asks for its own output [own_output]" in found[0]


async def test_a_template_that_has_no_value_fails_its_step_and_says_why(tmp_path: Path) -> None:
    text = 'name: x\nsteps:\n  - {name: a, uses: stock.reserve, with: "{{ input.gone.deeper }}"}\n'
    harness = Harness()
    instance = await harness.start(load(written(tmp_path, text), ALL), {"gone": {}})
    instance.assert_status("failed")
    assert instance.info.failure is not None
    assert instance.info.failure.code == "pure_failed"
    assert "Key not found" in instance.info.failure.message
    await harness.close()


def test_a_thousand_steps_are_loaded(tmp_path: Path) -> None:
    lines = ["name: big", "steps:", "  - {name: s0, uses: stock.reserve, with: x}"]
    for n in range(1, 1_000):
        lines.append(f'  - {{name: s{n}, uses: stock.reserve, needs: [s{n // 2}], with: "{{{{ steps.s{n - 1}.output }}}}"}}')
    definition = load(written(tmp_path, "\n".join(lines)), ALL)
    assert len(definition.places) == 1_001
    assert definition.svg().count("<rect") > 1_000
