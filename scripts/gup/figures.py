# SPDX-License-Identifier: GPL-2.0
"""The figures of the suite gup_bench, which are lines of the console,

    gup_bench: <group> <layout> <row> <access> <pages> <pages per call> <ns>

and the limits of kunit/bench-gate. configs/gup-test/init has some figures of its own. Figures that
one of base and series does not have, a test that printed none, or half a line are errors: nothing
passes by being absent.
"""

import fnmatch
import json
import re
from typing import NamedTuple

from gup import splat, verdict
from gup.cli import Failure, matched, text_of

FIGURE = re.compile(r"gup_bench: (\w+) (\w+) (\w+) (read|write) ([1-9]\d*) ([1-9]\d*) (\d+)$")
# configs/gup-test/init: KiB of a folio, what gup_test was asked for, and what it said.
GUP_TEST = re.compile(r"gup_test: (\d+) (-\w) -n (\d+): get:(\d+) put:(\d+) us$")
GUP_TEST_PAGES = 65536
CPUS = re.compile(r"Brought up \d+ nodes?, (\d+) CPUs?$")
SIDES = ("base", "series")


class Key(NamedTuple):
    """What was measured."""
    group: str
    layout: str
    row: str
    access: str
    pages: int
    per_call: int

    def __str__(self):
        return " ".join(map(str, (*self[:4], self.per_call))) + (
            f" ({self.pages} pages)" if self.group == "growth" else "")


# ----------------------------------------------------------------------- figures

def figures(lines, where):
    """{Key: ns per page} of a console log. Of a figure that is there twice the smaller one
    counts: the first touch of a fresh guest makes page tables, too, and what comes in
    between, an interrupt or another task, only adds."""
    found = {}
    one_cpu(lines, where)
    for number, line in enumerate(lines, 1):
        text = splat.plain(line).strip()
        if text.startswith("gup_test: ") and text != "gup_test: done":
            match = GUP_TEST.match(text)
            if not match:
                raise Failure("bench", f"{where}, line {number}: gup_test has failed, or half a line: {text}",
                              "configs/gup-test/init runs it")
            kib, option, per_call, get, put = match.groups()
            for row, took in ((option, get), (f"{option}:put", put)):
                key = Key("gup_test", f"{kib}KiB", row, "write", GUP_TEST_PAGES, int(per_call))
                found[key] = 1000 * int(took) / GUP_TEST_PAGES
            continue
        # KUnit's own lines about the suite begin with a # or an "ok".
        if "gup_bench: " not in text or re.match(r"# |(not )?ok ", text):
            continue
        match = FIGURE.match(text)
        if not match:
            raise Failure("bench", f"{where}, line {number}: not a figure as the suite prints it: {text}",
                          "something else has written into the line; run it again")
        *names, pages, per_call, took = match.groups()
        key = Key(*names, int(pages), int(per_call))
        found[key] = min(int(took) / int(pages), found.get(key, float("inf")))
    if not any(key.group != "gup_test" for key in found):
        raise Failure("bench", f"{where}: no line of a figure ('gup_bench: ...')",
                      "was the suite gup_bench built and run? The log says")
    return found


def one_cpu(lines, where):
    for number, line in enumerate(lines, 1):
        cpus = CPUS.search(splat.plain(line))
        if cpus and cpus[1] != "1":
            raise Failure("bench", f"{where}, line {number}: the guest had {cpus[1]} CPUs, and figures are those of one",
                          "with two, a 'pause' of a spinning CPU counts as 1 or as 20,000,000: what the other does")


def figures_of(folder):
    log = folder / "console.log"
    found = figures(text_of(log).splitlines(), log)
    silent = [f"{group}.{layout}" for group, layout in passed_tests(folder)
              if not any(key.group == group and key.layout == layout for key in found)]
    if silent:
        raise Failure("bench", f"{log}: passed, but printed no figure: {', '.join(silent)}",
                      "lines of the console are lost; run it again")
    return found


def passed_tests(folder):
    """[(group, layout)] of the tests of the suite, gup_bench_<group> <layout>."""
    passed = verdict.leaves(json.loads(text_of(folder / "kunit.json") or "{}"))["PASS"]
    names = (name.split(".", 2) for name in passed if name.count(".") > 1)
    return [(group.removeprefix("gup_bench_"), layout) for _, group, layout in names]


def compare(base, series):
    """[{...}] of the figures, in the order in which they were measured."""
    for one, other, side in ((base, series, "series"), (series, base, "base")):
        lost = [str(key) for key in one if key not in other]
        if lost:
            raise Failure("bench", f"{side} has no figure for {len(lost)} of the rows, first: {lost[0]}",
                          f"look at {side}*/console.log in the results")
    return [{**key._asdict(), "base": base[key], "series": series[key],
             "ratio": ratio(series[key], base[key])} for key in base]


def ratio(series, base):
    return series / base if base else (1.0 if not series else float("inf"))


def key_of(row):
    return Key(*(row[field] for field in Key._fields))


def name_of(row):
    return str(key_of(row))


# -------------------------------------------------------------------------- gate

class Limit(NamedTuple):
    """A line of the gate."""
    globs: tuple
    ratio: float
    absolute: float | None

    def matches(self, row):
        values = [str(row[field]) for field in ("group", "layout", "row", "access", "per_call")]
        return all(map(fnmatch.fnmatchcase, values, self.globs))


NUMBER = r"\d+(?:\.\d+)?(?:/[1-9]\d*)?"


def number(word):
    part, _, whole = word.partition("/")
    return float(part) / float(whole or 1)


def read_gate(path):
    """([Limit], bytes that the text may grow by, or None)."""
    limits, text = [], None
    for grown, globs, most, absolute in matched(
            path, rf"text\s+(\d+)|((?:\S+\s+){{5}})({NUMBER})(?:\s+({NUMBER}))?", "a line as the first lines say"):
        if grown:
            text = int(grown)
        else:
            limits.append(Limit(tuple(globs.split()), number(most), number(absolute) if absolute else None))
    if not limits:
        raise Failure("usage", f"{path} has no limit", "restore it: git checkout")
    return limits, text


def judge(rows, limits, absolute):
    """[{...}] of each figure that has a limit; the strictest counts. The second is what
    is wrong with the gate itself."""
    judged, used = {}, set()
    for index, row in enumerate(rows):
        for limit in limits:
            if not limit.matches(row):
                continue
            used.add(limit)
            is_absolute = absolute and limit.absolute is not None
            at_most = limit.absolute if is_absolute else limit.ratio * row["base"]
            if index in judged and judged[index]["at_most"] <= at_most:
                continue
            judged[index] = {**row, "at_most": at_most, "limit": None if is_absolute else limit.ratio,
                             "good": row["series"] <= at_most * (1 + 1e-9)}
    unused = [f"'{' '.join(limit.globs)}' matches no figure" for limit in limits if limit not in used]
    return list(judged.values()), unused
