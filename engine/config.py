"""Configuration: YAML files, merged in order, overridden by `key=value`, validated by pydantic.

Models sit beside what they configure and derive from `Config`. Unknown keys are refused and the nearest known key
is named; every problem of a file is reported at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from engine.errors import ConfigError

Tree = dict[str, Any]


class Config(BaseModel):
    """Base of every configuration model: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


M = TypeVar("M", bound=Config)


def read_yaml(path: Path) -> Tree:
    """Read one YAML file whose top level is a mapping.

    Raises:
        ConfigError: If it is missing, is not YAML or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration file: {error}", where=str(path)) from error
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {' '.join(str(error).split())}", where=str(path)) from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError("the top level must be keys and values", where=str(path), found=type(tree).__name__)
    return tree


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """Merge two trees; mappings merge key by key, anything else is replaced by the later one."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def override(tree: Mapping[str, Any], settings: Iterable[str]) -> Tree:
    """Apply `a.b=c` overrides; the value is read as YAML, so numbers, lists and null work.

    Raises:
        ConfigError: If a setting has no `=` or its value is not YAML.
    """
    result: Tree = dict(tree)
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key.strip():
            raise ConfigError(
                "cannot read a --set override",
                where=setting,
                expected="key=value, for example limits.max_leverage=2",
            )
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError("the value of a --set override is not valid YAML", where=setting) from error
        nested: Any = value
        for part in reversed(key.strip().split(".")):
            nested = {part: nested}
        result = merge(result, nested)
    return result


def parse(model: type[M], tree: Mapping[str, Any], where: str) -> M:
    """Validate a tree against a model.

    Raises:
        ConfigError: Naming every wrong key, with the nearest known one where a key is unknown.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        lines = [_explain(model, problem) for problem in error.errors()]
        raise ConfigError(
            "the configuration does not fit:\n" + "\n".join(f"  {line}" for line in lines),
            where=where,
            hint="`grandmodel config schema` prints every key with its type and default",
        ) from error


def load(model: type[M], files: Sequence[Path] = (), settings: Sequence[str] = (), base: Tree | None = None) -> M:
    """Read, merge, override and validate.

    Args:
        model: What to build.
        files: YAML files, later ones over earlier ones.
        settings: `a.b=c` overrides, last of all.
        base: Values below the first file (for example from command-line defaults).

    Raises:
        ConfigError: If anything does not fit.
    """
    tree: Tree = base or {}
    for path in files:
        tree = merge(tree, read_yaml(path))
    tree = override(tree, settings)
    return parse(model, tree, where=", ".join(map(str, files)) or "command line")


def _explain(model: type[BaseModel], problem: Any) -> str:
    location = [part for part in problem["loc"] if isinstance(part, str)]
    dotted = ".".join(map(str, problem["loc"])) or "(top level)"
    if problem["type"] != "extra_forbidden":
        found = problem.get("input")
        message = problem["msg"].removeprefix("Value error, ")
        return f"{dotted}: {message}" + ("" if isinstance(found, dict) else f" (found {found!r})")
    known = sorted(_fields_at(model, location[:-1]))
    near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
    advice = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return f"{dotted}: unknown key; {advice}"


def _fields_at(model: type[BaseModel], path: Sequence[str]) -> set[str]:
    for part in path:
        field: FieldInfo | None = model.model_fields.get(part)
        inner = _inner_model(field.annotation) if field else None
        if inner is None:
            return set(model.model_fields)
        model = inner
    return set(model.model_fields)


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _inner_model(arg))), None)
