"""The one reader of YAML: configuration files, `--set`, the parameters of agents.

Reading is bounded in size, depth and in what aliases expand to, and ends in a value or in a `ConfigError`. Errors name
the line and never repeat the text around it, which may hold a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from engine.base.errors import ConfigError

MOST_CHARACTERS = 256 * 1024
MOST_EXPANDED = 1024 * 1024  # characters once every alias is written out
DEEPEST = 32
LONGEST_NUMBER = 400  # digits; the largest float has 309

_QUOTE = "text that begins with *, &, ! or % stands in quotes"
_KINDS = {"int": "whole number", "float": "number", "bool": "true or false", "timestamp": "date or time"}
_PLAIN = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:null", "tag:yaml.org,2002:binary"})


def read_yaml_text(text: str, where: str) -> Any:
    """Read one YAML document.

    Args:
        text: The document; an empty one is None.
        where: What it is called in errors.

    Raises:
        ConfigError: If it is not YAML, gives a key twice, holds a value that cannot be (the 45th of a month), or is
            too long, too deep or too large once its aliases are written out.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(
            "the text is too long for a configuration",
            where=where,
            expected=f"at most {MOST_CHARACTERS:,} characters",
            found=f"{len(text):,}",
        )
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except _RefusedError as error:
        raise ConfigError(error.what, where=_at(where, error.line), hint=error.hint) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        what, hint = _phrase(error)
        line = mark.line + 1 if mark is not None else None
        raise ConfigError(f"not valid YAML: {what}", where=_at(where, line), hint=hint) from None
    except (ValueError, TypeError, RecursionError):  # PyYAML lets out what chr(), hash() and the like raise
        raise ConfigError("not valid YAML: it cannot be read", where=where) from None


def _at(where: str, line: int | None) -> str:
    return where if line is None else f"{where}, line {line}"


def _phrase(error: yaml.YAMLError) -> tuple[str, str | None]:
    """What is wrong, without a word of the text that is wrong."""
    if isinstance(error, yaml.reader.ReaderError):
        return "a character that YAML does not allow", None
    problem = str(getattr(error, "problem", None) or "it cannot be read")
    if problem.startswith("found undefined alias"):
        return "an alias (*) without its anchor (&)", _QUOTE
    if "duplicate anchor" in problem:
        return "an anchor (&) is given twice", _QUOTE
    if "constructor for the tag" in problem or "tag handle" in problem:
        return "a tag (!) that is not known here", _QUOTE
    return problem, None


class _RefusedError(Exception):
    """A document that is YAML and nevertheless refused."""

    def __init__(self, what: str, node: yaml.Node, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.line: int = node.start_mark.line + 1
        self.hint = hint


class _Loader(yaml.SafeLoader):
    """The safe loader with bounds, and with duplicate keys refused."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def get_single_data(self) -> Any:
        """Compose the tree, measure it, and only then build it."""
        node = self.get_single_node()
        if node is None:
            return None
        self._measured(node, {})
        return self.construct_document(node)

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        # before PyYAML goes deeper: its own way down is bounded by Python's stack alone
        self._depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_sequence_node(self, anchor: Any) -> yaml.SequenceNode:
        self._check_depth()
        return super().compose_sequence_node(anchor)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        self._check_depth()
        return super().compose_mapping_node(anchor)

    def _check_depth(self) -> None:
        if self._depth > DEEPEST:
            here = yaml.ScalarNode("", "", self.get_mark())
            raise _RefusedError(f"nested more than {DEEPEST} levels deep", here)

    def _measured(self, node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
        """Characters and levels of a node with its aliases written out; what is known is not walked again."""
        if id(node) in known:
            found = known[id(node)]
            if found is None:
                raise _RefusedError("an alias (*) refers to what contains it", node, _QUOTE)
            return found
        known[id(node)] = None
        size, levels = 1 + (len(node.value) if isinstance(node, yaml.ScalarNode) else 0), 0
        for child in _children(node):
            inside = self._measured(child, known)
            size, levels = size + inside[0], max(levels, 1 + inside[1])
        if size > MOST_EXPANDED:
            raise _RefusedError("too large once its aliases (*) are written out", node)
        if levels > DEEPEST:
            raise _RefusedError(f"nested more than {DEEPEST} levels deep", node)
        if isinstance(node, yaml.MappingNode):
            self._refuse_duplicates(node)
        known[id(node)] = size, levels
        return size, levels

    def _refuse_duplicates(self, node: yaml.MappingNode) -> None:
        # before `<<` is merged in, since a key may override a merged one
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _RefusedError("a key must be a word or a number", key, "text with { } or [ ] stands in quotes")
            value = key.value if key.tag == "tag:yaml.org,2002:merge" else self.construct_object(key)
            if (key.tag, value) in seen:
                raise _RefusedError("a key is given twice", key)
            seen.add((key.tag, value))

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = _KINDS.get(str(node.tag).rpartition(":")[2], "value of its type")
        if isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN and len(node.value) > LONGEST_NUMBER:
            raise _RefusedError(f"not a valid {kind}: longer than {LONGEST_NUMBER} characters", node)
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # PyYAML's constructors let out whatever int() or date() raises
            raise _RefusedError(f"not a valid {kind}", node, "text that looks like one stands in quotes") from error
        if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
            raise _RefusedError("half of a surrogate pair, which is no character", node)
        return value


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
