"""Numbers as a reader sees them: a true minus sign, decimals that fit the interval, shares as percentages."""

import math

from etiology.core.values import Effect, Rate

SHARES = frozenset({"share", "proportion", "fraction", "rate", "relative"})
"""Units whose values are stored as 0.15 and shown as 15 %."""

LOG_RATIO = "log-ratio"
"""Unit of ln(after / before), shown as the relative change in %."""

MINUS = "\N{MINUS SIGN}"
PERCENT = "\N{NO-BREAK SPACE}%"
NONE = "\N{EM DASH}"
LARGEST_LOG = 700.0


def places(value: float, low: float | None, high: float | None) -> int:
    """Decimals worth printing: enough to tell a fifth of the interval; without one, three significant digits."""
    if low is not None and high is not None and math.isfinite(high - low) and high > low:
        return min(4, max(0, math.ceil(-math.log10((high - low) / 5))))
    if not math.isfinite(value) or value == int(value):
        return 0
    decimals = min(4, max(0, 2 - math.floor(math.log10(abs(value)))))
    while decimals and round(value, decimals) == round(value, decimals - 1):
        decimals -= 1
    return decimals


def number(value: float, decimals: int, *, plus: bool = False) -> str:
    """One number. Zero has no sign, however it was reached; an interval that the data don't bound ends at ∞."""
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return MINUS + "∞" if value < 0 else "∞"
    digits = f"{abs(value):,.{decimals}f}"
    if not any(mark in digits for mark in "123456789"):
        return digits
    return (MINUS if value < 0 else "+" if plus else "") + digits


def parts(
    value: float, low: float | None, high: float | None, unit: str, *, plus: bool = False
) -> tuple[str, str | None]:
    """The value and, when there is one, the interval in square brackets: ``("0.41", "[0.30, 0.52]")``.

    ``plus`` writes the sign of a rise too; it is for changes, and for the value alone.
    """
    suffix = PERCENT if _in_percent(unit) else ""
    value, low, high = _shown(value, unit), _bound(low, unit), _bound(high, unit)
    decimals = places(value, low, high)
    point = number(value, decimals, plus=plus) + suffix
    if low is None or high is None:
        return point, None
    ends = (number(end, decimals) + suffix for end in (low, high))
    return point, f"[{', '.join(ends)}]"


def effect(one: Effect | None, *, plus: bool = False) -> str:
    """``value [low, high]``, or a dash when it was not measured."""
    if one is None:
        return NONE
    point, interval = parts(one.value, one.low, one.high, one.unit, plus=plus)
    return f"{point} {interval}"


def mde(one: Effect | None) -> str:
    """The smallest effect the design would have found, at the precision of the effect itself."""
    if one is None or one.mde is None:
        return NONE
    decimals = places(*(_shown(each, one.unit) for each in (one.value, one.low, one.high)))
    return number(_shown(one.mde, one.unit), decimals) + (PERCENT if _in_percent(one.unit) else "")


def unit(name: str) -> str:
    """The unit to print after a number: none after a percentage, which carries its own."""
    return "" if _in_percent(name) else name


def rate(one: Rate | None) -> str:
    """``hits/n`` and the Wilson interval as a percentage."""
    if one is None:
        return NONE
    point, interval = parts(one.value, one.low, one.high, "rate")
    return f"{one.hits}/{one.n} = {point} {interval}" if one.n else "0/0"


def odds(value: float, low: float | None, high: float | None, *, inverted: bool = False) -> str:
    """Log-odds as a factor, with its interval in words: ``2.9 times (2.5 to 3.4)``. ``inverted``: that of −value."""
    if inverted:
        value, low, high = -value, None if high is None else -high, None if low is None else -low
    point, *ends = (_factor(each) for each in (value, low, high) if each is not None)
    return f"{point} times" + (f" ({' to '.join(ends)})" if len(ends) == 2 else "")


def _factor(log: float) -> str:
    if abs(log) > math.log(1e4):
        return "over 10,000" if log > 0 else "under 0.0001"
    factor = math.exp(log)
    return number(factor, max(0, 1 - math.floor(math.log10(factor))))


def p_value(p: float | None) -> str:
    if p is None:
        return NONE
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def score(value: float) -> str:
    """A document's score, of any size: only its order matters, so three significant digits do."""
    if not math.isfinite(value) or value == 0 or 1e-4 <= abs(value) < 1e6:
        digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value and math.isfinite(value) else 0
        return number(value, digits)
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa}e{int(exponent)}".replace("-", MINUS)


def count(whole: int) -> str:
    return f"{whole:,}"


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def memory(megabytes: float) -> str:
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"


def _in_percent(unit: str) -> bool:
    return unit in SHARES or unit == LOG_RATIO


def _shown(value: float, unit: str) -> float:
    if unit == LOG_RATIO:
        return 100 * math.expm1(value) if value < LARGEST_LOG else math.inf
    return 100 * value if unit in SHARES else value


def _bound(end: float | None, unit: str) -> float | None:
    return None if end is None else _shown(end, unit)
