"""How fast, and at what price."""

from dataclasses import dataclass

from bench.table import Row


@dataclass(frozen=True)
class Rate:
    """Of things done one after another or side by side: how many a second, and processor time of each."""

    per_second: float
    cost_ms: float

    @classmethod
    def of(cls, count: int, seconds: float, processor: float) -> "Rate":
        return cls(count / seconds, processor / count * 1000)

    @classmethod
    def mean(cls, *rates: "Rate") -> "Rate":
        """Of the same thing done several times."""
        return cls(len(rates) / sum(1 / rate.per_second for rate in rates), sum(rate.cost_ms for rate in rates) / len(rates))


def rate_row(what: str, rate: Rate, aim: float | None = None) -> Row:
    """`aim`: milliseconds of the processor."""
    cost = f"{rate.cost_ms:.2f} ms of processor each"
    return Row(what, f"{rate.per_second:.0f}/s", cost, f"≤ {aim} ms" if aim else "", rate.cost_ms <= aim if aim else None)


def ratio_row(what: str, ours: Rate, theirs: Rate, aim: float, how: str = "") -> Row:
    ratio = ours.per_second / theirs.per_second
    return Row(what, f"{ratio:.2f}", how, f"≥ {aim}", ratio >= aim)


def quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
