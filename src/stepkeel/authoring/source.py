"""Source of guards and mappings as text that formatting, comments and the Python version do not change."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import linecache
import types
from collections.abc import Callable
from typing import Any

__all__ = ["code_of", "digest", "takes"]


def digest(text: str) -> str:
    """16 hex digits of BLAKE2b: enough to tell versions apart, not a secret."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def code_of(function: Callable[..., Any]) -> str:
    """A digest of a function's source, normalised by the parser; empty when there is no source."""
    written = getattr(function, "__stepkeel_source__", None)
    if isinstance(written, str):
        return digest(written)
    code = getattr(function, "__code__", None)
    if not isinstance(code, types.CodeType):
        return ""
    found = _nodes(code.co_filename).get(code.co_firstlineno, [])
    wanted = ast.Lambda if code.co_name == "<lambda>" else (ast.FunctionDef, ast.AsyncFunctionDef)
    same = [n for n in found if isinstance(n, wanted)]
    if len(same) > 1:
        same = [n for n in same if _stands_at(n, code)] or same
    return digest("\n".join(ast.unparse(n) for n in same)) if same else ""


def takes(function: Callable[..., Any]) -> int:
    """How many arguments by position a function asks for."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)


@functools.lru_cache(maxsize=64)
def _nodes(filename: str) -> dict[int, list[ast.AST]]:
    """Functions and lambdas of a file by their first line."""
    text = "".join(linecache.getlines(filename))
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return {}
    found: dict[int, list[ast.AST]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = [d.lineno for d in getattr(node, "decorator_list", [])]
            found.setdefault(min([node.lineno, *decorators]), []).append(node)
    return found


def _stands_at(node: Any, code: types.CodeType) -> bool:
    """True when the code's instructions lie within the node: tells lambdas of one line apart."""
    for line, _, column, _ in code.co_positions():
        if line is not None and column is not None and (line, column) >= (node.body.lineno, node.body.col_offset):
            return (line, column) < (node.end_lineno or 0, node.end_col_offset or 0)
    return False
