"""The documentation runs, and tells the truth about names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import stepkeel
from stepkeel import Context, activity, errors
from stepkeel.document.nodes import NODE, REACTIONS
from stepkeel.document.step import RETRY, STEP
from stepkeel.document.workflow import MACHINE, SAGA, STATE
from stepkeel.model.event import EVENTS

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def blocks(path: str) -> str:
    return "\n\n".join(re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(encoding="utf-8"), re.DOTALL))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(blocks("docs/authoring.md"), encoding="utf-8")
    return path


def test_the_program_of_the_authoring_page_runs(program: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "error", str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "processed completed confirmed ann" in done.stdout


def test_the_program_of_the_authoring_page_passes_pyright_strict(program: Path, tmp_path: Path) -> None:
    config = tmp_path / "pyrightconfig.json"
    config.write_text('{"typeCheckingMode": "strict", "include": ["program.py"]}')
    command = [str(BIN / "pyright"), "--project", str(config), "--pythonpath", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_program_of_the_authoring_page_passes_mypy_strict(program: Path, tmp_path: Path) -> None:
    command = [
        str(BIN / "mypy"),
        "--strict",
        "--python-executable",
        sys.executable,
        "--cache-dir",
        str(tmp_path / "mypy"),
        str(program),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_the_readmes_program_runs_and_is_short(tmp_path: Path) -> None:
    program = blocks("README.md")
    assert len([line for line in program.splitlines() if line.strip() and "import" not in line]) == 12
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "completed\n"), done.stderr


def test_the_document_of_the_reference_page_can_be_loaded(tmp_path: Path) -> None:
    def stand_in(name: str) -> Any:
        @activity(name=name)
        async def run(ctx: Context[Any]) -> Any: ...

        return run

    page = (ROOT / "docs/reference/documents.md").read_text(encoding="utf-8")
    names: list[str] = []
    for n, text in enumerate(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)):
        file = tmp_path / f"page{n}.yaml"
        file.write_text(text, encoding="utf-8")
        activities = {*re.findall(r"uses: ([\w.]+)", text), *re.findall(r"^ +- ([a-z]+\.[a-z]+) ", text, re.MULTILINE)}
        names.append(stepkeel.load(file, [stand_in(name) for name in activities]).name)
    assert names == ["order", "process-payment"]
    forms = (SAGA, STEP, RETRY, MACHINE, STATE, *REACTIONS.values(), *NODE.forms.values())
    fields = {f for form in forms for f in form.fields}
    assert not [f for f in fields if not re.search(rf"\b{f}\b", page)], "fields that the page does not tell"


def test_every_public_name_is_documented_and_has_a_docstring() -> None:
    pages = "".join(p.read_text(encoding="utf-8") for p in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
    for name in stepkeel.__all__:
        assert getattr(stepkeel, name).__doc__, name
        assert re.search(rf"\b{name}\b", pages), f"{name} stands nowhere in the documentation"


def test_error_and_event_pages_list_what_there_is() -> None:
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    for name in errors.__all__:
        assert name in page
        assert getattr(errors, name).code in page or name in ("StepkeelError", "CallerError", "ConflictError", "EngineError")
    codes = [getattr(errors, n).code for n in errors.__all__]
    assert len(codes) == len(set(codes))
    page = (ROOT / "docs/reference/history.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE)) == set(EVENTS)


def test_the_page_of_errors_lists_every_code_an_instance_can_fail_with() -> None:
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    codes: set[str] = set()
    for path in [*(ROOT / "src/stepkeel/kernel").rglob("*.py"), *(ROOT / "src/stepkeel/runtime").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        codes |= set(re.findall(r'(?:Failure|_permanent)\(\s*"(\w+)"', text)) | set(re.findall(r'failure, code="(\w+)"', text))
    inner = {"failed", "unknown", "try_again"}  # placeholders that no instance ends with
    assert len(codes) > 10
    assert not {c for c in codes - inner if f"`{c}`" not in page}


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "examples").rglob("*.md")]:
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+?)\)", prose):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_kernel_emits_only_events_of_the_vocabulary() -> None:
    emitted: set[str] = set()
    for path in (ROOT / "src/stepkeel").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        emitted |= set(re.findall(r'\.say\(\s*"(\w+)"', text)) | set(re.findall(r'Event\(\s*"(\w+)"', text))
    endings = {
        "completed",
        "failed",
        "cancelled",
        "terminated",
        "signal_processed",
        "signal_ignored",
        "signal_rejected",
        "signal_failed",
    }
    assert emitted <= set(EVENTS)
    assert set(EVENTS) == emitted | endings, "no event that nothing emits"


def test_the_program_of_the_simulation_page_finds_the_double_charge_and_its_remedy_is_one(tmp_path: Path) -> None:
    program = blocks("docs/how-to/simulate.md")
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "check: somebody paid twice" in done.stdout, done.stderr
    careful = program.replace(
        "        self.charges.append(key)", "        if key not in self.charges:\n            self.charges.append(key)"
    )
    assert careful != program
    done = subprocess.run([sys.executable, "-W", "error", "-c", careful], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("page", ["limit", "break-circuits", "tenants", "secrets", "encrypt", "watch"])
def test_the_program_of_a_how_to_page_runs(page: str, tmp_path: Path) -> None:
    program = blocks(f"docs/how-to/{page}.md")
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
