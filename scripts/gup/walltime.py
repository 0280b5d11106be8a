# SPDX-License-Identifier: GPL-2.0
"""What guests that ran by turns say of time, for scripts/bench --wall.

A guest has one figure of each row. Those of a kernel are told by median and quartiles.
The ratio is taken of each pair of guests that ran one after the other, since both met
the same machine, and is told by its median and a range: that of the order statistics
which have the true median between them in 19 cases of 20, whatever the distribution. If
1 is within the range, the pairs do not tell which kernel is faster.
"""

import collections
import math
import pathlib
import re
import statistics
import subprocess
import time

from gup.cli import Failure
from gup.documents import table
from gup.figures import key_of, ratio

# A row that takes a page table lock for each page in base.
LOCKED = ("layout", "order0", "slow_pin", "write")


def quartiles(values):
    """(lower quartile, median, upper quartile)."""
    return tuple(statistics.quantiles(values, n=4, method="inclusive")) if len(values) > 1 else tuple(values * 3)


def rank(count):
    """The largest k for which the true median is below the k-th smallest of so many values, or
    above the k-th largest, in one case of 20. 0: there are too few."""
    below, k = 0, 0
    while 2 * (below + math.comb(count, k)) <= 0.05 * 2 ** count:
        below, k = below + math.comb(count, k), k + 1
    return k


def summary(base, series):
    """What the figures of a row, one for each guest in the order of the turns, say."""
    found = {}
    for name, values in (("base", base), ("series", series)):
        low, found[name], high = quartiles(values)
        found[f"{name}_span"] = [low, high]
    ratios = sorted(map(ratio, series, base))
    k = max(rank(len(ratios)), 1)
    return {**found, "ratio": statistics.median(ratios), "ratio_span": [ratios[k - 1], ratios[-k]],
            "rounds": {"base": base, "series": series}}


def told(row):
    """faster, slower, or "" where the pairs do not tell."""
    low, high = row["ratio_span"]
    if not rank(len(row["rounds"]["base"])):
        return ""
    return "faster" if high < 1 else "slower" if low > 1 else ""


def step(rows):
    """Nanoseconds that the guest's clock goes by at once."""
    return math.gcd(*(round(value * row["pages"]) for row in rows
                      for values in row["rounds"].values() for value in values))


def shortest(rows):
    """Nanoseconds of the shortest time that a figure stands on."""
    return round(min(value * row["pages"] for row in rows for values in row["rounds"].values() for value in values))


def clock_price(times=100_000):
    """Nanoseconds that a reading of the host's clock takes at most: with Python's share."""
    read = time.monotonic_ns
    return min(-(read() - read()) for _ in range(times))


def lock_price(rows, with_locks):
    """Nanoseconds of a page table lock and its unlock, or None."""
    without, locked = ([row["base"] for row in of if (row["group"], row["layout"], row["row"], row["access"]) == LOCKED][:1]
                       for of in (rows, with_locks))
    return locked[0] - without[0] if without and locked else None


# ------------------------------------------------------------------------ locks

INSTRUCTION = re.compile(r"^\s+[0-9a-f]+:\t(?:[0-9a-f]{2} )+\s*\t(.*)$", re.M)


def count_locks(assembly, where):
    """How many instructions have a lock prefix, in what objdump -d prints. Those that are
    there for being atomic must have one."""
    found = INSTRUCTION.findall(assembly)
    locked = sum(text.startswith("lock ") for text in found)
    bare = [text for text in found if re.match(r"(cmpxchg|xadd)", text)]
    if bare or not locked:
        what = f"has '{' '.join(bare[0].split())}' without a lock prefix" if bare else "has no lock prefix"
        raise Failure("config", f"{where} {what}: its times would be those of no real machine",
                      "configs/time/header.h is to bring it; does the compiler include it?")
    return locked


def locks(path):
    """Of an object."""
    done = subprocess.run(["objdump", "-d", path], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure("environment", f"objdump cannot read {path}: {done.stderr.strip()[:200]}")
    return count_locks(done.stdout, path)


# ------------------------------------------------------------------------ tables

def figure(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def span(low, high, form=figure):
    return f"{form(low)}-{form(high)}"


def print_table(rows, name_of):
    print(f"    {'nanoseconds per page':36} {'base':>6} {'quartiles':>11} {'series':>6} {'quartiles':>11} {'ratio':>6} range")
    for row in rows:
        cells = "".join(f" {figure(row[side]):>6} {span(*row[f'{side}_span']):>11}" for side in ("base", "series"))
        print(f"    {name_of(row):36}{cells} {row['ratio']:6.3f} {span(*row['ratio_span'], '{:.3f}'.format)}"
              f"  {told(row) or 'not told apart'}")


def counts(rows):
    found = collections.Counter(told(row) or "untold" for row in rows)
    return {word: found[word] for word in ("faster", "slower", "untold")}


# ----------------------------------------------------------------- documentation

def cell(row, name):
    form = "{:.2f}".format if name == "ratio" else figure
    return f"{form(row[name])} ({span(*row[f'{name}_span'], form)})"


def document(result, titles):
    """What Documentation/performance-time.md has of a result.json."""
    rows, (other, *_) = result["rows"], [*result["also"].values(), []]
    price = result["lock_ns"]
    return {"cpu": result["cpu"], "runs": len(rows[0]["rounds"]["base"]), "rows": len(rows), **counts(rows),
            "base_locks": result["base"]["locked_instructions"], "series_locks": result["series"]["locked_instructions"],
            "lock_price": "" if price is None else f"To take and release a\n  lock costs {price:.1f} ns.",
            "per_page": figure(result["clock"]["step"] / 4096), **result["clock"], "tables": tables(rows, other, titles)}


def tables(rows, other, titles):
    """Lines of one for each group; other: the same rows with locks, or none."""
    with_locks = {key_of(row): row for row in other}
    for group, (title, _) in titles.items():
        of_group = [row for row in rows if row["group"] == group]
        shown = ([f"{row['layout']}, {row['row']}, " + (str(row["per_call"]) if group == "call" else row["access"]),
                  *(cell(one, which) for one in (row, with_locks.get(key_of(row))) if one
                    for which in ("base", "series", "ratio"))] for row in of_group)
        if of_group:
            yield from ("", f"## {title}", "")
            yield from table("| | base | series | ratio |" + " base, with locks | series | ratio |" * bool(other), shown)


def cpu_name():
    found = re.search(r"^model name\s*:(.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return found[1].strip() if found else "an unknown CPU"
