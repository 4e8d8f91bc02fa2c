"""Commands that need more than the base install say so, and how to get it."""

from __future__ import annotations

from importlib.util import find_spec

from engine.base.errors import UsageError


def need_training() -> None:
    """See that torch and the environment interfaces are installed.

    Raises:
        UsageError: If they are not.
    """
    _need(("torch", "gymnasium", "pettingzoo", "onnx"), "training", "train")


def need_live() -> None:
    """See that the clients of brokers and the reader of messages are installed.

    Raises:
        UsageError: If they are not.
    """
    _need(("msgspec", "aiokafka", "aiomqtt"), "live trading", "live")


def _need(packages: tuple[str, ...], purpose: str, extra: str) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{purpose} needs packages that are not installed",
            expected=f"the extra `{extra}`",
            found=f"no {', '.join(missing)}",
            hint=f"pip install 'grandmodel[{extra}]', or in a checkout: make test",
        )
