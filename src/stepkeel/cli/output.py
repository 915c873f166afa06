"""How commands speak: tables for people, one JSON document for programs, one line for errors, an exit code for scripts.

| exit code | means |
|---|---|
| 0 | ok |
| 1 | the instance failed, the doctor found violations, a simulation broke something |
| 2 | usage: the call is wrong |
| 3 | not found |
| 4 | conflict: not possible in its present condition |
| 5 | unavailable: the database does not answer, or is none of ours |
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import msgspec

from stepkeel.errors import ConflictError, EngineError, NotFound, StepkeelError

__all__ = ["exit_code", "plain", "print_error", "print_json", "print_table", "say"]


def exit_code(error: StepkeelError) -> int:
    if isinstance(error, NotFound):
        return 3
    if isinstance(error, ConflictError):
        return 4
    if isinstance(error, EngineError):
        return 5
    return 2


def plain(value: Any) -> Any:
    """Anything a verb returns as what JSON can say."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(v) for v in cast("Sequence[Any]", value)]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return msgspec.to_builtins(value, enc_hook=str)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def say(text: str) -> None:
    """A line at once, also into a pipe: whoever supervises a worker waits for it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_error(error: StepkeelError, *, as_json: bool) -> None:
    """One line on standard error; with --json one object. Never a traceback."""
    if as_json:
        sys.stderr.write(json.dumps({"code": error.code, "message": error.message, "remedy": error.remedy}) + "\n")
    else:
        sys.stderr.write(f"stepkeel: {error.message} [{error.code}]" + (f"\n  -> {error.remedy}" if error.remedy else "") + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table as wide as its content where the output is no terminal: nothing is cut off in a pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(v) for v in row))
    console = Console() if sys.stdout.isatty() else Console(width=240)
    console.print(table)


def _cell(value: Any) -> str:
    from rich.markup import escape

    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return escape(str(value))
