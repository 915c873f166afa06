"""The house rules, held by something that fails."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "stepkeel").rglob("*.py"))
ALL = sorted(
    p
    for d in ("src", "tests", "examples", "benchmarks")
    for p in (ROOT / d).rglob("*.py")
    if ".venv" not in p.parts  # the peers' own
)
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
# module attribute or bare name -> the file that may use it
ONLY_IN = {
    "datetime.now": "clock.py",
    "datetime.utcnow": "clock.py",
    "date.today": "clock.py",
    "time.time": "clock.py",
    "time.time_ns": "clock.py",
    "uuid4": "ids.py",
    "uuid.uuid4": "ids.py",
    "uuid1": "ids.py",
    "os.urandom": "ids.py",
    "random.random": "ids.py",
    "random.Random": "ids.py",
    "secrets.token_hex": "ids.py",
}


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", ALL, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    assert lines < LONGEST_FILE, f"{path} has {lines} lines: which two rooms is it?"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "tests" not in path.parts:
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{path}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_time_and_chance_come_from_clock_and_ids_alone(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {a.name for a in node.names} | {getattr(node, "module", None) or ""}
            assert not names & {"random", "uuid", "secrets"} or path.name == "ids.py", f"{path}:{node.lineno}"
        if isinstance(node, ast.Call):
            allowed = ONLY_IN.get(_dotted(node.func))
            assert allowed in (None, path.name), f"{path}:{node.lineno} {_dotted(node.func)} belongs into {allowed}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_says_what_it_is_for_and_what_is_public(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{path} has no docstring"
    if path.name != "__init__.py":
        names = [t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)]
        assert "__all__" in names, f"{path} has no __all__"


def test_kernel_files_have_their_table_on_top() -> None:
    """A rule is a table row; the files that only hold data or plumbing are named here."""
    plumbing = {
        "__init__.py",
        "draft.py",
        "path.py",
        "decide.py",
        "data.py",
        "history.py",
        "replay.py",
        "explain.py",
        "pure.py",
        "record.py",
        "ranges.py",
        "parts.py",
    }
    for path in (ROOT / "src" / "stepkeel" / "kernel").rglob("*.py"):
        if path.name not in plumbing:
            head = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            assert "|---|" in head or path.name == "gate.py", f"{path} has no table"


def _imported(names: str, compiled: Path) -> tuple[float, set[str]]:
    """Seconds, the least of four; and what of the extras is loaded then.

    As a user imports it, from the second time on: compiled files are kept, whatever this machine is set to.
    """
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPYCACHEPREFIX": str(compiled)}
    code = (
        f"import sys, time; t = time.perf_counter(); import {names}; t = time.perf_counter() - t;"
        "heavy = {'rich', 'cyclopts', 'pydantic', 'uvloop', 'attrs', 'pytest', 'apsw', 'asyncpg'} & set(sys.modules);"
        "print(t, *heavy)"
    )
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stdout for _ in range(4)]
    return min(float(r.split()[0]) for r in runs), {*runs[0].split()[1:]}


def test_the_package_imports_fast_and_without_its_extras(tmp_path: Path) -> None:
    needed, _ = _imported("asyncio, inspect, logging, decimal, email.message, msgspec", tmp_path)
    spent, heavy = _imported("stepkeel", tmp_path)
    assert spent < 6 * needed, "about three times what it needs of Python and msgspec: 150 ms on the reference machine"
    assert not heavy


def test_the_repository_names_no_registry_host_and_no_local_path() -> None:
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pattern = re.compile(r"py" + r"pi\.org|python" + r"hosted|registry\.npm" + r"js|/ro" + r"ot/|/wo" + r"rk/")
    for name in files:
        path = ROOT / name
        if path.is_file():
            assert not pattern.search(path.read_text(encoding="utf-8", errors="replace")), name
