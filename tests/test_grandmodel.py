"""The module at the root: complete, typed, quick to import, and the command."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import grandmodel

ROOT = Path(__file__).parent.parent
HEAVY = ("numba", "numpy", "pandas", "polars", "pyarrow", "torch", "plotly", "typer", "pydantic", "engine", "agents")


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.strip()


def test_importing_it_imports_nothing_else() -> None:
    code = f"import grandmodel, sys; print([name for name in {HEAVY} if name in sys.modules])"
    assert python(code) == "[]"


def test_type_checkers_see_exactly_what_there_is() -> None:
    tree = ast.parse((ROOT / "grandmodel.py").read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    stubs = ast.parse((ROOT / "grandmodel-stubs" / "__init__.pyi").read_text(encoding="utf-8"))
    stubbed = {alias.asname for node in stubs.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed == stubbed == set(grandmodel.__all__) == set(grandmodel._HOME_OF)
    for name in grandmodel.__all__:
        assert getattr(grandmodel, name).__name__ == name
        assert name in dir(grandmodel)


def test_the_classes_are_those_of_the_packages() -> None:
    from agents.strategy import Strategy
    from engine.base.errors import UsageError

    assert grandmodel.Strategy is Strategy
    assert grandmodel.UsageError is UsageError
    assert grandmodel.__version__[0].isdigit()


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="backtets"):
        grandmodel.backtets  # type: ignore[attr-defined]  # noqa: B018


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "grandmodel", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.startswith("grandmodel ")
