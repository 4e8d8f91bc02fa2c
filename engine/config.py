"""Configuration: YAML files, merged in order, overridden by `key=value`, validated by pydantic.

Models sit beside what they configure and derive from `Config`. Unknown keys are refused and the nearest known key
is named; every problem of a file is reported at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from engine.errors import ConfigError

Tree = dict[str, Any]


class Config(BaseModel):
    """Base of every configuration model: immutable, and strict about its keys.

    Attributes:
        schema_command: What prints every key of a file that holds the model.
    """

    schema_command: ClassVar[str] = "grandmodel config schema"

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


M = TypeVar("M", bound=Config)


def read_yaml(path: Path) -> Tree:
    """Read one YAML file whose top level is a mapping.

    Raises:
        ConfigError: If it is missing, is not YAML, gives a key twice or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration file: {error}", where=str(path)) from error
    try:
        tree = _load_yaml(text)
    except _DuplicateKey as error:
        raise ConfigError(f"the key {error.key!r} is given twice", where=f"{path}, line {error.line}") from error
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

    A number addresses an element of a list that is there already, counted from 0: `data.sources.0.path=FILE`.

    Raises:
        ConfigError: If a setting has no `=`, its value is not YAML or a list has no such element.
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
            value = _load_yaml(text)
        except _DuplicateKey as error:
            raise ConfigError(f"the key {error.key!r} is given twice", where=setting) from error
        except yaml.YAMLError as error:
            raise ConfigError("the value of a --set override is not valid YAML", where=setting) from error
        result = _placed(result, key.strip().split("."), 0, value, setting)
    return result


def _placed(node: Any, path: Sequence[str], depth: int, value: Any, setting: str) -> Any:
    """A copy of the node with the value at what is left of the path; mappings are merged, as `merge` does."""
    if depth == len(path):
        return merge(node, value) if isinstance(node, Mapping) and isinstance(value, Mapping) else value
    part = path[depth]
    if isinstance(node, list):
        index = _element(node, path, depth, setting)
        return [*node[:index], _placed(node[index], path, depth + 1, value, setting), *node[index + 1 :]]
    branch = dict(node) if isinstance(node, Mapping) else {}
    branch[part] = _placed(branch.get(part), path, depth + 1, value, setting)
    return branch


def _element(values: Sequence[Any], path: Sequence[str], depth: int, setting: str) -> int:
    name, part = ".".join(path[:depth]), path[depth]
    if part.isdecimal() and int(part) < len(values):
        return int(part)
    last = len(values) - 1
    raise ConfigError(
        f"{name} has no element {part}" if part.isdecimal() else f"{name} is a list, and {part!r} is no place in it",
        where=setting,
        expected=f"a number from 0 to {last}" if last > 0 else "0, the only element" if last == 0 else "no element",
        hint=f"to replace the whole list: {name}=[...]",
    )


class _DuplicateKey(yaml.YAMLError):
    """YAML forbids a key twice in one mapping; the parser would silently take the last one."""

    def __init__(self, key: str, line: int) -> None:
        super().__init__(key)
        self.key = key
        self.line = line


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses a key that is given twice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # looked at before `<<` is merged in, since a key may override a merged one
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _DuplicateKey(key.value, key.start_mark.line + 1)
                seen.add((key.tag, key.value))
        return node


def _load_yaml(text: str) -> Any:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def parse(model: type[M], tree: Mapping[str, Any], where: str) -> M:
    """Validate a tree against a model.

    Raises:
        ConfigError: Naming every wrong key, with the nearest known one where a key is unknown.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        lines = dict.fromkeys(_explain(model, tree, problem) for problem in _first_causes(error.errors()))
        raise ConfigError(
            "the configuration does not fit:\n" + "\n".join(f"  {line}" for line in lines),
            where=where,
            hint=f"`{model.schema_command}` prints every key with its type and default",
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


def _first_causes(problems: Sequence[Any]) -> list[Any]:
    """Without the lists that are only too short because an element of theirs is wrong."""
    places = [problem["loc"] for problem in problems]
    return [
        problem
        for problem in problems
        if problem["type"] != "too_short"
        or not any(
            len(place) > len(problem["loc"]) and place[: len(problem["loc"])] == problem["loc"] for place in places
        )
    ]


def _explain(model: type[BaseModel], tree: Any, problem: Any) -> str:
    place = [part for part in problem["loc"] if isinstance(part, str)]
    dotted = ".".join(map(str, _in_tree(tree, problem["loc"]))) or "(top level)"
    if problem["type"] != "extra_forbidden":
        found = problem.get("input")
        message = problem["msg"].removeprefix("Value error, ")
        return f"{dotted}: {message}" + ("" if isinstance(found, dict) else f" (found {found!r})")
    known = sorted(_fields_at(model, place[:-1]))
    near = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.5)
    advice = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return f"{dotted}: unknown key; {advice}"


def _in_tree(tree: Any, place: Sequence[int | str]) -> list[int | str]:
    """A place as a person writes it: without the names that pydantic puts in for the members of a union."""
    found: list[int | str] = []
    node = tree
    for at, part in enumerate(place):
        if isinstance(node, Mapping) and (part in node or at == len(place) - 1):
            node = node.get(part)
        elif isinstance(node, list | tuple) and isinstance(part, int) and part < len(node):
            node = node[part]
        else:
            continue
        found.append(part)
    return found


def _fields_at(model: type[BaseModel], path: Sequence[str]) -> set[str]:
    """Names of the keys at a place, given with the members of unions, as pydantic has it."""
    inner: list[type[BaseModel]] = [model]
    for part in path:
        fields = [one.model_fields[part] for one in inner if part in one.model_fields]
        if fields:
            inner = [found for field in fields for found in _inner_models(field.annotation)] or inner
        else:
            inner = [one for one in inner if _is_tagged(one, part)] or inner
    return {name for one in inner for name in one.model_fields}


def _inner_models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for arg in get_args(annotation) for found in _inner_models(arg)]


def _is_tagged(model: type[BaseModel], tag: str) -> bool:
    """Whether a model is the member of a union that a value of one of its fields chooses."""
    kinds = [field.annotation for field in model.model_fields.values()]
    return any(get_origin(kind) is Literal and get_args(kind) == (tag,) for kind in kinds)
