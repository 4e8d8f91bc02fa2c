"""Names of time zones: checked, and answered with a near one when wrong."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

from engine.base.nearest import nearest

FORM = "Europe/Berlin"
CUTOFF = 0.75
"""Names of zones are short, so that many are a little alike: only one that is nearly the same is suggested."""


def check_zone(name: str) -> str:
    """The name of a time zone, if there is one of that name.

    Raises:
        ValueError: If there is none; it gives the form of a name, and one that is nearly the same.
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # unknown, malformed, the name of a folder of zones
        near = near_zone(name)
        hint = f"; did you mean {near}?" if near else ""
        raise ValueError(f"no time zone is called {name!r}; expected a name such as {FORM}{hint}") from error
    return name


def near_zone(name: str) -> str | None:
    """The zone that was probably meant: one of nearly that name, or one whose city is; None if there is none."""
    zones = sorted(available_timezones())
    cities: dict[str, str] = {}
    for zone in zones:
        area, _, city = zone.rpartition("/")
        if area and area not in {"Etc", "posix", "right", "SystemV"}:
            cities.setdefault(city, zone)
    near = nearest(name.replace(" ", "_"), cities, CUTOFF)
    return nearest(name, zones, CUTOFF) or (cities[near] if near else None)
