"""file.read and file.write: text files below a folder, which the service `Files` names. Nothing outside of it is reached."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepkeel.authoring.activity import activity
from stepkeel.authoring.context import Context
from stepkeel.errors import BadRequest
from stepkeel.model.outcome import Fail

__all__ = ["Files", "Reading", "Writing", "read", "write"]


@dataclass
class Reading:
    path: str


@dataclass
class Writing:
    """The whole file is replaced, in one step: an attempt that is repeated writes the same."""

    path: str
    text: str


class Files:
    """The folder `root`, and how many bytes a file may have (`most`, default 1,000,000). Raises BadRequest where there is none."""

    def __init__(self, root: str | Path, *, most: int = 1_000_000) -> None:
        self.root = Path(root).resolve()
        self.most = most
        if not self.root.is_dir():
            raise BadRequest(f"Files({str(root)!r}) is no folder", remedy="one that exists")

    def below(self, path: str) -> Path:
        """Where it lies, links followed. Raises Fail where that is not below the root."""
        try:
            found = (self.root / path).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise Fail("FILE_NOT_ALLOWED", f"{path!r}: {error}") from None
        if not found.is_relative_to(self.root) or found == self.root:
            raise Fail("FILE_NOT_ALLOWED", f"{path!r} does not lie below the folder of the service Files")
        return found


@activity(name="file.read")
def read(ctx: Context[Any, Reading], files: Files) -> str:
    """Read a text file (UTF-8); gives its text."""
    path = files.below(ctx.input.path)
    try:
        if path.is_file() and path.stat().st_size > files.most:
            raise Fail("FILE_TOO_LARGE", f"{ctx.input.path} has more than {files.most:,} bytes")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Fail("FILE_NOT_FOUND", f"there is no file {ctx.input.path}") from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise Fail("FILE_NO_TEXT", f"{ctx.input.path}: {error}") from None


@activity(name="file.write")
def write(ctx: Context[Any, Writing], files: Files) -> int:
    """Write a text file (UTF-8), and the folders it lies in; gives its size in bytes."""
    raw = ctx.input.text.encode()
    if len(raw) > files.most:
        raise Fail("FILE_TOO_LARGE", f"{ctx.input.path} would have more than {files.most:,} bytes")
    path = files.below(ctx.input.path)
    if path.is_dir():
        raise Fail("FILE_NO_TEXT", f"{ctx.input.path} is a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".stepkeel-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    return len(raw)
