"""Builds the console, where Node is there: `make console`, and whenever a package is made that has not got it yet.

Without Node nothing is built: the engine works, and the address of the console says how to build it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CONSOLE = Path(__file__).parent
DIST = CONSOLE.parent / "src" / "stepkeel" / "console" / "dist"


def build() -> bool:
    """True where it was built. Raises CalledProcessError where it does not build."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        print("no Node: the console is not built", file=sys.stderr)  # noqa: T201
        return False
    if not (CONSOLE / "node_modules" / ".package-lock.json").is_file():
        subprocess.run([npm, "ci", "--silent"], cwd=CONSOLE, check=True)
    built = subprocess.run([npm, "run", "--silent", "build"], cwd=CONSOLE, stdout=subprocess.PIPE, text=True)
    if built.returncode:
        print(built.stdout, file=sys.stderr)  # noqa: T201  # the compiler says there what is wrong
        built.check_returncode()
    return True


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by itself
    pass
else:

    class ConsoleHook(BuildHookInterface):  # type: ignore[type-arg]
        """A checkout that is installed to be worked on is built by `make console`: not while its dependencies are installed."""

        def initialize(self, version: str, build_data: dict[str, object]) -> None:
            if version != "editable" and not (DIST / "index.html").is_file() and (CONSOLE / "package.json").is_file():
                build()


if __name__ == "__main__":
    os.environ.setdefault("npm_config_loglevel", "error")
    build()
