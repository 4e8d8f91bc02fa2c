"""Configuration: YAML files, merged in order, overridden by `key=value`, validated by pydantic.

Models sit beside what they configure and derive from `Config`. Unknown keys are refused and the nearest known key
is named; every problem of a file is reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.base.errors import ConfigError
from engine.base.files import read_file
from engine.base.nearest import nearest, nearest_path, not_there
from engine.base.quoting import quoted, shortened
from engine.base.secrets import may_hold_secrets
from engine.base.yaml_text import DEEPEST, read_yaml_text

Tree = dict[str, Any]
LARGEST_FILE = 1024 * 1024  # bytes
MOST_PROBLEMS = 20  # of one file that are reported
_LONGEST_INDEX = 10  # digits
KEY_CUTOFF = 0.6  # keys are short, so that many are a little alike
_UNREADABLE_NUMBER = ", unable to parse string as a number"
_WORD = re.compile(r"[^\w.]")


class Config(BaseModel):
    """Base of every configuration model: immutable, and strict about its keys.

    Attributes:
        schema_command: What prints every key of a file that holds the model.
    """

    schema_command: ClassVar[str] = "grandmodel config schema"

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, hide_input_in_errors=True
    )


M = TypeVar("M", bound=Config)


def _is_yaml(path: Path) -> bool:
    return path.suffix.lower() in {".yaml", ".yml"}


def read_yaml(path: Path) -> Tree:
    """Read one YAML file whose top level is a mapping.

    Raises:
        ConfigError: If it is missing, no regular file, not YAML as `read_yaml_text` takes it, or holds something else.
    """
    try:
        text = read_file(path, LARGEST_FILE).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the configuration file: {_reason(error)}",
            where=str(path),
            expected="a YAML file of keys and values, such as `initial_capital: 50000`",
            hint=None if path.exists() else nearest_path(path, _is_yaml) or not_there(path),
        ) from None
    tree = read_yaml_text(text, str(path))
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
        ConfigError: If a setting has no `=`, its value is not YAML or a list has no such element. The value, which
            may be a secret, is not repeated.
    """
    result: Tree = dict(tree)
    for setting in settings:
        key, separator, text = setting.partition("=")
        key = key.strip()
        # errors never repeat the value, nor what may be one: it may be a secret
        if not separator or not key:
            raise ConfigError(
                "cannot read a --set override",
                where=f"--set {shortened(_WORD.split(setting)[0])}",
                expected="key=value, for example limits.max_leverage=2",
            )
        name = f"--set {shortened(key)}"
        if key.count(".") >= DEEPEST:
            raise ConfigError(f"the key has more than {DEEPEST} parts", where=name)
        result = _placed(result, key.split("."), 0, read_yaml_text(text, name), name)
    return result


def _placed(node: Any, path: Sequence[str], depth: int, value: Any, where: str) -> Any:
    """A copy of the node with the value at what is left of the path; mappings are merged, as `merge` does."""
    if depth == len(path):
        return merge(node, value) if isinstance(node, Mapping) and isinstance(value, Mapping) else value
    part = path[depth]
    if isinstance(node, list):
        index = _element(node, path, depth, where)
        return [*node[:index], _placed(node[index], path, depth + 1, value, where), *node[index + 1 :]]
    branch = dict(node) if isinstance(node, Mapping) else {}
    branch[part] = _placed(branch.get(part), path, depth + 1, value, where)
    return branch


def _element(values: Sequence[Any], path: Sequence[str], depth: int, where: str) -> int:
    name, part = ".".join(path[:depth]), path[depth]
    if part.isdecimal() and len(part) < _LONGEST_INDEX and int(part) < len(values):
        return int(part)
    last = len(values) - 1
    raise ConfigError(
        f"{name} has no element {shortened(part)}"
        if part.isdecimal()
        else f"{name} is a list, and {quoted(part)} is no place in it",
        where=where,
        expected=f"a number from 0 to {last}" if last > 0 else "0, the only element" if last == 0 else "no element",
        hint=f"to replace the whole list: {name}=[...]",
    )


def parse(model: type[M], tree: Mapping[str, Any], where: str, names: Mapping[str, str] | None = None) -> M:
    """Validate a tree against a model.

    Args:
        model: What to build.
        tree: Keys and values.
        where: Where they come from.
        names: What the user wrote in place of a dotted key, such as `--start` for `replay.start`.

    Raises:
        ConfigError: Naming every wrong key, with the nearest known one where a key is unknown.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        problems = _first_causes(error.errors(include_url=False))
        lines = list(dict.fromkeys(_explain(model, tree, problem, names or {}) for problem in problems[:MOST_PROBLEMS]))
        if len(problems) > MOST_PROBLEMS:
            lines.append(f"and {len(problems) - MOST_PROBLEMS:,} more")
        raise ConfigError(
            "the configuration does not fit:\n" + "\n".join(f"  {line}" for line in lines),
            where=where,
            hint=f"`{model.schema_command}` prints every key with its type and default",
        ) from None  # its text shows keys, one of which may be a secret in the wrong place


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
    return parse(model, tree, where=places(files, settings))


def places(files: Sequence[Path], words: object) -> str:
    """Where a merged configuration comes from, for messages.

    Args:
        words: What of it the command line gave; nothing if it is empty.
    """
    return ", ".join([*map(str, files), *(["command line"] if words or not files else [])])


def _reason(error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 text (byte {error.start:,})"
    return error.strerror or type(error).__name__


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


def _explain(model: type[BaseModel], tree: Any, problem: Any, names: Mapping[str, str]) -> str:
    place = [part for part in problem["loc"] if isinstance(part, str)]
    written = _in_tree(tree, problem["loc"])
    hidden = bool(written) and _may_be_secret(model, str(written[0]))
    if problem["type"] != "extra_forbidden":
        found = problem.get("input")
        message = shortened(problem["msg"].removeprefix("Value error, "), 400)
        message = message.replace("Input should be", "expected").removesuffix(_UNREADABLE_NUMBER)
        message = message.replace("expected a valid number", "expected a number")
        if problem["type"] in ("too_short", "too_long"):
            least = problem["type"] == "too_short"
            bound = problem["ctx"]["min_length" if least else "max_length"]
            message = f"expected at {'least' if least else 'most'} {bound} element{'' if bound == 1 else 's'}"
        if problem["type"] in ("model_type", "model_attributes_type", "dataclass_type"):
            keys = sorted(_fields_at(model, place))
            message = "expected keys with values" + (f": {', '.join(keys)}" if keys else "")
        if problem["type"] == "literal_error" and isinstance(found, str) and not hidden:
            like = nearest(found, re.findall("'([^']+)'", message))
            message += f"; did you mean {like!r}?" if like else ""
        # a number with a point or a sign below 0, as a setting may have it, is no secret; whole ones may be, as ids are
        bare = isinstance(found, float) or (isinstance(found, int) and found < 0)
        shown = "a value that is not shown" if hidden and not bare else f"found {quoted(found)}"
        return f"{_as_given(written, names)}: {message}" + ("" if isinstance(found, dict) else f" ({shown})")
    known = sorted(_fields_at(model, place[:-1]))
    near = nearest(place[-1], known, KEY_CUTOFF)
    inside = problem.get("input")
    higher = [key for key in known if isinstance(inside, dict) and key in inside]
    if higher and not near:
        moved = ", ".join(_dotted([*written[:-1], key]) for key in higher)
        return f"{_as_given(written, names)}: unknown key; what is meant is {moved}"
    advice = f"did you mean {near!r}?" if near else f"known keys: {', '.join(known)}"
    if hidden and not near:  # a secret in the place of a key
        return f"{_dotted(written[:-1])}: unknown key, which is not shown; {advice}"
    return f"{_as_given(written, names)}: unknown key; {advice}"


def _as_given(place: Sequence[int | str], names: Mapping[str, str]) -> str:
    """A place under the name of the option or argument that brought it, if there was one."""
    dotted = _dotted(place)
    return names.get(dotted, dotted)


def _dotted(place: Sequence[int | str]) -> str:
    return shortened(".".join(map(str, place))) or "(top level)"


def _may_be_secret(model: type[BaseModel], section: str) -> bool:
    """Whether a section of the configuration has a place for a secret: then a slip may put one anywhere in it."""
    field = model.model_fields.get(section)
    return field is not None and may_hold_secrets((field.annotation, field.metadata))


def _in_tree(tree: Any, place: Sequence[int | str]) -> list[int | str]:
    """A place as users write it: without the names that pydantic puts in for the members of a union."""
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
