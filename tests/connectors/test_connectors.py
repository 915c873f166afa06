"""Activities that come with the engine: what they do, what is tried again, what is refused; and documents that name them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from stepkeel import load
from stepkeel.connectors.files import Files
from stepkeel.connectors.http import Http
from stepkeel.connectors.mail import Mail
from stepkeel.connectors.sql import Databases
from stepkeel.errors import BadRequest, DefinitionError
from stepkeel.testing import Harness, HarnessInstance

API = "https://api.example.com"


def document(*body: Any, **data: Any) -> Mapping[str, Any]:
    """A workflow of these nodes; `out` takes what they give."""
    properties = {"out": {"default": None}, **{n: {"default": v} for n, v in data.items()}}
    states = {"begin": {"body": [*body], "to": "done"}, "done": {"end": "completed"}}
    return {"name": "flow", "data": {"properties": properties, "additionalProperties": False}, "states": states}


async def run(harness: Harness, *body: Any, services: Mapping[Any, Any], data: Mapping[str, Any] | None = None) -> Any:
    harness.services.update(services)
    flow = load(document(*body, **(data or {})))
    job: HarnessInstance[Any] = await harness.start(flow, {})
    await harness.settle()
    return job


def call(**given: Any) -> dict[str, Any]:
    return {"uses": "http.request", "with": {"url": f"{API}/orders", **given}, "into": "out"}


def web(answer: Callable[[httpx2.Request], httpx2.Response], **options: Any) -> dict[Any, Any]:
    return {Http: Http([API, "https://*.shop.example/v1"], transport=httpx2.MockTransport(answer), **options)}


async def failure(job: HarnessInstance[Any]) -> tuple[str, str]:
    found = (await job.get()).failure
    return (found.code, found.message) if found else ("", "")


async def test_a_request_carries_its_body_its_key_and_what_the_service_adds(harness: Harness) -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(201, json={"id": 7})

    given = call(method="POST", json={"amount": "{{ data.amount }}"}, query={"a": "b c"}, headers={"X-Own": "yes"})
    secret = {API: {"Authorization": "Bearer s3cret"}}
    job = await run(harness, given, services=web(answer, headers=secret), data={"amount": 5})
    assert (await job.get()).status == "completed"
    assert (job.value["out"]["status"], job.value["out"]["body"]) == (201, {"id": 7})
    (request,) = seen
    assert (request.method, str(request.url), json.loads(request.content)) == ("POST", f"{API}/orders?a=b+c", {"amount": 5})
    headers = request.headers
    assert (headers["authorization"], headers["x-own"]) == ("Bearer s3cret", "yes")
    assert headers["idempotency-key"] == f"{job.id}/begin/http.request"


async def test_what_may_come_right_is_tried_again_when_the_server_says(harness: Harness) -> None:
    answers = [
        httpx2.Response(503, headers={"Retry-After": "40"}),
        httpx2.ConnectError("nobody there"),
        httpx2.Response(200, text="fine"),
    ]
    keys: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        keys.append(request.headers["idempotency-key"])
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    job = await run(harness, call(), services=web(answer))
    await harness.advance(timedelta(seconds=39))
    assert len(keys) == 1
    await harness.advance(timedelta(seconds=60))
    assert (job.value["out"]["body"], len(set(keys)), len(keys)) == ("fine", 1, 3)


async def test_other_codes_fail_with_their_number_unless_they_are_accepted(harness: Harness) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404, json={"why": "gone"})

    job = await run(harness, call(), services=web(answer))
    found = (await job.get()).failure
    assert found is not None
    assert (found.code, found.message, found.details) == (
        "HTTP_404", f"GET {API}/orders gave 404", {"status": 404, "body": {"why": "gone"}},
    )  # fmt: skip
    job = await run(harness, call(accept=[404]), services={})
    assert job.value["out"]["status"] == 404


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/orders", "https://api.example.com.evil.com/", "https://api.example.com:8443/", "https://evil.com/",
        "https://user@evil.com/https://api.example.com", "file:///etc/passwd", "https://shop.example/v1/x", "https://a.shop.example/v2",
        "https://a.shop.example/v1/../v2", "https://a.shop.example/v1/%2e%2e/v2", "https://a.shop.example/v10", "https://api.example.com:x/",
    ],
)  # fmt: skip
async def test_nothing_is_sent_to_where_it_may_not_go(harness: Harness, url: str) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise AssertionError(f"sent to {request.url}")

    job = await run(harness, call(url=url), services=web(answer))
    assert (await failure(job))[0] == "HTTP_NOT_ALLOWED"


async def test_redirects_are_not_followed_and_answers_are_bounded(harness: Harness) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            return httpx2.Response(200, content=b"x" * 2_000)
        return httpx2.Response(302, headers={"Location": "https://evil.com"})

    job = await run(harness, call(), services=web(answer, most=1_000))
    assert (await failure(job))[0] == "HTTP_302"
    job = await run(harness, call(method="POST"), services={})
    assert await failure(job) == ("HTTP_TOO_LARGE", "the answer has more than 1,000 bytes")


async def test_files_are_read_and_written_below_their_folder_alone(harness: Harness, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.txt").write_text("s3cret")
    (root / "link").symlink_to(tmp_path)
    services = {Files: Files(root, most=100)}
    write = {"uses": "file.write", "with": {"path": "a/b.txt", "text": "of {{ data.who }}"}}
    read = {"uses": "file.read", "with": {"path": "a/b.txt"}, "into": "out"}
    job = await run(harness, write, read, services=services, data={"who": "ann"})
    assert job.value["out"] == "of ann"
    assert [p.name for p in (root / "a").iterdir()] == ["b.txt"]
    for path, code in (
        ("../secret.txt", "FILE_NOT_ALLOWED"), ("link/secret.txt", "FILE_NOT_ALLOWED"), ("/etc/passwd", "FILE_NOT_ALLOWED"),
        ("", "FILE_NOT_ALLOWED"), ("none.txt", "FILE_NOT_FOUND"), ("a", "FILE_NO_TEXT"), ("a\0b", "FILE_NOT_ALLOWED"),
    ):  # fmt: skip
        job = await run(harness, {"uses": "file.read", "with": {"path": path}}, services={})
        assert (await failure(job))[0] == code, path
    job = await run(harness, {"uses": "file.write", "with": {"path": "c.txt", "text": "x" * 101}}, services={})
    assert (await failure(job))[0] == "FILE_TOO_LARGE"
    with pytest.raises(BadRequest, match="is no folder"):
        Files(tmp_path / "nowhere")


async def test_statements_run_on_the_database_that_is_named(harness: Harness, tmp_path: Path, url: str) -> None:
    if url.startswith("memory"):
        pytest.skip("no database")
    sqlite = url.startswith("sqlite")
    place = f"sqlite:///{tmp_path}/own.db" if sqlite else url.partition("?")[0]
    one, two = ("?", "?") if sqlite else ("$1", "$2")
    table = f"connector_{abs(hash(str(tmp_path)))}"
    made = f"create table {table} (name text primary key, n integer)"
    insert = f"insert into {table} values ({one}, {two}) on conflict do nothing"
    services = {Databases: Databases({"shop": place}, most=2)}

    def sql(kind: str, statement: str, *parameters: Any, into: str | None = None) -> dict[str, Any]:
        given = {"database": "shop", "statement": statement, "parameters": [*parameters]}
        return {"uses": f"sql.{kind}", "with": given} | ({"into": into} if into else {})

    rows = sql("query", f"select name, n from {table} order by n", into="out")
    added = sql("execute", insert, "{{ data.who }}", 1, into="out")
    job = await run(harness, sql("execute", made), added, services=services, data={"who": "ann'; drop table x; --"})
    assert ((await job.get()).failure, job.value["out"]) == (None, 1)
    job = await run(harness, added, sql("execute", insert, "bob", 2), rows, services={}, data={"who": "ann'; drop table x; --"})
    assert job.value["out"] == [{"name": "ann'; drop table x; --", "n": 1}, {"name": "bob", "n": 2}]
    job = await run(harness, sql("execute", insert, "cy", 3), rows, services={})
    assert (await failure(job))[0] == "SQL_TOO_MANY"
    job = await run(harness, sql("query", "selec 1"), services={})
    assert (await failure(job))[0] == "SQL_FAILED"
    given = {"database": "none", "statement": "select 1"}
    job = await run(harness, {"uses": "sql.query", "with": given}, services={})
    assert (await failure(job))[0] == "SQL_NO_DATABASE"
    await run(harness, sql("execute", f"drop table {table}"), services={})


def test_a_statement_with_an_expression_in_it_is_refused_at_once() -> None:
    given = {"database": "shop", "statement": "select * from t where name = '{{ data.who }}'"}
    with pytest.raises(DefinitionError) as found:
        load(document({"uses": "sql.query", "with": given}, who="ann"))
    assert [p.code for p in found.value.problems] == ["not_constant"]


class Post:
    """A mail server that takes letters, or refuses them."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self.answers = answers
        self.letters: list[str] = []
        self.times = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.times += 1
        writer.write(b"220 post\r\n")
        while line := (await reader.readline()).decode().strip():
            verb = line[:4].upper()
            writer.write(f"{self.answers.get(verb, '250 ok')}\r\n".encode())
            if verb == "DATA":
                text = b""
                while not text.endswith(b"\r\n.\r\n"):
                    text += await reader.readline()
                self.letters.append(text.decode())
                writer.write(b"250 taken\r\n")
            if verb == "QUIT":
                break
        writer.close()


REFUSALS = [
    ({}, ""),
    ({"RCPT": "550 no such user"}, "MAIL_REFUSED"),
    ({"RCPT": "451 later"}, "transient"),
    ({"MAIL": "554 no"}, "MAIL_REFUSED"),
]


@pytest.mark.parametrize(("answers", "code"), REFUSALS)
async def test_a_letter_is_sent_tried_again_or_refused(harness: Harness, answers: Mapping[str, str], code: str) -> None:
    post = Post({"DATA": "354 go on", "QUIT": "221 bye", **answers})
    server = await asyncio.start_server(post.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    services = {Mail: Mail("127.0.0.1", "Shop <shop@example.com>", port, tls="none")}
    letter = {"to": "ann@example.com", "subject": "Order {{ data.n }}", "text": "sent", "html": "<b>sent</b>"}
    job = await run(harness, {"uses": "email.send", "with": letter, "into": "out"}, services=services, data={"n": 7})
    await harness.advance(timedelta(minutes=20))
    server.close()
    assert (await failure(job))[0] == code
    assert post.times == (5 if code == "transient" else 1)
    if not code:
        (text,) = post.letters
        assert "Subject: Order 7" in text
        assert f"Message-ID: {job.value['out']}" in text
        assert "Content-Type: multipart/alternative" in text


async def test_a_line_break_in_a_header_is_refused(harness: Harness) -> None:
    letter = {"to": "ann@example.com", "subject": "{{ data.s }}", "text": "x"}
    job = await run(
        harness, {"uses": "email.send", "with": letter}, services={Mail: Mail("127.0.0.1", "a@b.c", 1)}, data={"s": "a\nBcc: x@y.z"}
    )
    assert (await failure(job))[0] == "MAIL_BAD_LETTER"


def test_secrets_stand_in_no_message() -> None:
    shown = [repr(Mail("h", "a@b.c", password="s3cret")), repr(Http([API], {API: {"Authorization": "s3cret"}}))]
    shown.append(repr(Databases({"shop": "postgresql://u:s3cret@h/d"})))
    assert not [text for text in shown if "s3cret" in text]
    with pytest.raises(BadRequest) as found:
        Databases({"shop": "mysql://u:s3cret@h/d"})
    assert "s3cret" not in str(found.value)


def test_an_activity_of_ones_own_stands_in_for_one_of_the_same_name() -> None:
    from stepkeel import Context, activity

    @activity(name="http.request")
    async def pretend(ctx: Context[Any]) -> None: ...

    made = load(document({"uses": "http.request"}), [pretend])
    assert made.activities["http.request"].target is pretend


def test_input_of_the_wrong_type_is_told_when_it_is_loaded() -> None:
    with pytest.raises(DefinitionError) as found:
        load(document({"uses": "http.request", "with": {"url": 5, "methd": "GET"}}, {"uses": "email.send", "with": {"to": "a"}}))
    assert {p.code for p in found.value.problems} == {"wrong_type", "unknown_field", "missing_field"}
