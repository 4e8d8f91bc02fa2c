"""The agent that a Python call is given: a specification, a class, a class with parameters, or an object."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from agents.registry import construct
from engine.base.errors import ConfigError, UsageError
from engine.base.yaml_text import read_yaml_text
from engine.types.contracts import Agent

AgentLike = str | Agent | type[Any] | tuple[str | type[Any], Mapping[str, Any]] | None
Build = Callable[[int], Agent]


def agent_given(agent: AgentLike, params: Mapping[str, Any] | None = None) -> tuple[str | None, Build | None]:
    """How the configuration names the agent, and what builds it, given a seed, where the name alone does not.

    Args:
        agent: As `backtest` takes it.
        params: Its parameters, unless it is an object.

    Raises:
        UsageError: If it is anything else, or an object with parameters.
    """
    if isinstance(agent, tuple):
        agent, params = _pair(agent, params)
    parameters = dict(params or {})
    if agent is None or isinstance(agent, str):
        return _specification(agent, parameters), None
    if isinstance(agent, type):
        name, factory = _named(agent.__name__, parameters), agent
        return name, lambda seed: construct(name, factory, parameters, seed)
    if not hasattr(agent, "step"):
        raise UsageError(
            "this is no agent",
            expected="a specification such as 'sma_cross:fast=10,slow=30', a class, (class, parameters) or an object",
            found=type(agent).__name__,
        )
    if parameters:
        raise UsageError(
            "an object has its parameters already",
            expected=f"agent={type(agent).__name__}, params={{...}}: the class",
            found="an object and params",
        )
    original = agent
    return type(agent).__name__, lambda _: copy.deepcopy(original)


def _pair(
    pair: tuple[str | type[Any], Mapping[str, Any]], params: Mapping[str, Any] | None
) -> tuple[str | type[Any], Mapping[str, Any]]:
    parts: tuple[Any, ...] = pair
    if len(parts) != 2 or not isinstance(parts[1], Mapping):
        raise UsageError("cannot read the agent", expected="(class, {'name': value, ...})", found=repr(pair)[:80])
    if params:
        raise UsageError("the parameters are given twice", found="agent=(class, parameters) and params=")
    return pair


def _specification(agent: str | None, parameters: Mapping[str, Any]) -> str | None:
    if not parameters:
        return agent
    if agent is None:
        raise UsageError("parameters without an agent", expected="agent= beside params=")
    head, _, tail = agent.partition(":")
    arguments = tail.partition(":")[2] if head.endswith(".py") else tail
    return f"{agent}{',' if arguments else ':'}{_written(parameters)}"


def _named(name: str, parameters: Mapping[str, Any]) -> str:
    """How the manifest calls a class: for reading only, since no file is known to hold it."""
    return name if not parameters else f"{name}:" + ",".join(f"{key}={value}" for key, value in parameters.items())


def _reads_as_itself(text: str) -> bool:
    try:
        return bool(read_yaml_text(text, "a parameter") == text)
    except ConfigError:
        return False


def _written(parameters: Mapping[str, Any]) -> str:
    """Parameters as a specification holds them, so that they are read as the values that they are."""
    pairs = []
    for key, value in parameters.items():
        text = str(value) if isinstance(value, str) and _reads_as_itself(value) else json.dumps(value)
        if "," in text:
            raise UsageError(
                f"a specification cannot hold the parameter {key!r}",
                expected="a number, a word, true or false; or the class in place of a specification",
                found=text[:80],
            )
        pairs.append(f"{key}={text}")
    return ",".join(pairs)
