"""Commands that need more than the base install say so, and how to get it."""

from __future__ import annotations

from importlib.util import find_spec


def need_training() -> None:
    """See that torch and the environment interfaces are installed.

    Raises:
        UsageError: If they are not.
    """
    from engine.errors import UsageError

    missing = [name for name in ("torch", "gymnasium", "pettingzoo", "onnx") if find_spec(name) is None]
    if missing:
        raise UsageError(
            "training needs packages that are not installed",
            expected="the extra `train`",
            found=f"no {', '.join(missing)}",
            hint="pip install 'grandmodel[train]', or in a checkout: make test",
        )
