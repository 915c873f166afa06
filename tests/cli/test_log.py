"""What a worker logs, for programs: a JSON object a line."""

from __future__ import annotations

import json
import logging

from stepkeel.cli.log import JsonLines


def line(record: logging.LogRecord) -> dict[str, object]:
    text = JsonLines().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_has_time_level_logger_message_and_what_else_is_known() -> None:
    record = logging.getLogger("stepkeel.worker").makeRecord(
        "stepkeel.worker",
        logging.ERROR,
        "f",
        1,
        "instance %s\nis set aside",
        ("i-1",),
        None,
        extra={"instance_id": "i-1", "odd": {1}},
    )
    record.created = 1_767_225_600.25
    told = line(record)
    assert told == {
        "at": "2026-01-01T00:00:00.250000Z", "level": "error", "logger": "stepkeel.worker", "message": "instance i-1\nis set aside",
        "instance_id": "i-1", "odd": "{1}",
    }  # fmt: skip


def test_an_error_comes_with_its_traceback() -> None:
    try:
        raise ValueError("no")
    except ValueError as error:
        record = logging.makeLogRecord(
            {"msg": "it broke", "levelname": "ERROR", "exc_info": (type(error), error, error.__traceback__)}
        )
    told = line(record)
    assert "ValueError: no" in str(told["error"])


def test_nothing_in_it_keeps_a_line_from_being_written() -> None:
    record = logging.makeLogRecord({"msg": "\ud800 \x00", "levelname": "INFO", "size": float("nan"), "key": object()})
    assert str(line(record)["message"]).startswith("\ud800")
