"""What a worker and a server log, on standard error: lines for people, or a JSON object a line for programs.

An object has `at` (RFC 3339, UTC), `level`, `logger`, `message`, what else is known (`instance_id`, `request_id`, `trace_id`,
...), and `error` with the traceback where there is one.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from stepkeel.config.read import Config
from stepkeel.telemetry import current_ids

__all__ = ["JsonLines", "LogLevel", "set_up"]

LogLevel = Annotated[Literal["debug", "info", "warning", "error"] | None, Parameter(help="default: info")]

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        told: dict[str, Any] = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        told |= current_ids()
        told |= {k: v for k, v in vars(record).items() if k not in _USUAL}
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, default=str)  # whatever is in it: a line that cannot be written is lost


def set_up(config: Config, level: str | None = None) -> None:
    """As the settings under `log` say. Raises BadRequest."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if config.get("log.format") == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=config.get("log.level", level).upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # that it has begun and ended is said by the command
