"""`stepkeel`: the command. Commands are grouped in files; this one puts them together and turns errors into exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from stepkeel.cli.output import exit_code, print_error
from stepkeel.errors import StepkeelError

__all__ = ["main", "run"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        import cyclopts
    except ImportError:
        sys.stderr.write("stepkeel: the command line needs an extra\n  -> pip install 'stepkeel[cli]'\n")
        return 2
    from stepkeel.cli import audit, bulk, config, dev, document, fleet, instance, key, repair, serve, simulate, task, tool

    app = cyclopts.App(
        name="stepkeel",
        help="Look after durable workflows. --database URL, STEPKEEL_DATABASE or stepkeel.toml says where they are.",
        version=_version,
        result_action="return_value",
    )
    for group in (instance, task, key, audit, repair, bulk, fleet, config, document, tool, simulate, serve, dev):
        group.add_to(app)
    try:
        code = app(given, exit_on_error=False, print_error=True)
    except cyclopts.CycloptsError:
        return 2
    except StepkeelError as error:
        print_error(error, as_json="--json" in given)
        return exit_code(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # who read our output has gone: nothing is wrong
        return 0
    return code if isinstance(code, int) else 0


def _version() -> str:
    from importlib.metadata import version

    return version("stepkeel")


def run() -> None:
    raise SystemExit(main())
