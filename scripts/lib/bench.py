# SPDX-License-Identifier: GPL-2.0
"""bench.py report RESULTS [--gate FILE | --wall]: what the guests in RESULTS/base and
RESULTS/series measured.

Both ran the suite gup_bench, whose figures are lines of the console,

    gup_bench: <group> <layout> <row> <access> <pages> <pages per call> <ns>

where a nanosecond is an instruction; configs/gup-test.init has some of its own. Prints
what is gated and a summary of the rest, writes result.json and summary, and draws what
there is to draw. Figures that one of the two does not have, a test that printed none, or
half a line are errors: nothing passes by being absent. Without --gate nothing has a limit.

If each ran more than once there are folders base-1, series-1, base-2 and so on. The smallest
of what each printed is compared; with --wall, where a nanosecond is one, walltime.py says how.
With --also NAME there are NAME-base-1 and so on as well, of another configuration.

bench.py cpus GUEST: an error if the guest had more than one.

bench.py locks OBJECT: how many of its instructions have a lock prefix; an error if not all do.

bench.py docs RESULTS --command COMMAND: Documentation/performance.md, of result.json;
with --wall Documentation/performance-time.md.
"""

import argparse
import fnmatch
import json
import pathlib
import re
import statistics
import sys
from typing import NamedTuple

import plot
import splat
import walltime
from common import ROOT, Failure, exit_codes, main

FIGURE = re.compile(r"gup_bench: (\w+) (\w+) (\w+) (read|write) ([1-9]\d*) ([1-9]\d*) (\d+)$")
# configs/gup-test.init: KiB of a folio, what gup_test was asked for, and what it said.
GUP_TEST = re.compile(r"gup_test: (\d+) (-\w) -n (\d+): get:(\d+) put:(\d+) us$")
GUP_TEST_PAGES = 65536
CPUS = re.compile(r"Brought up \d+ nodes?, (\d+) CPUs?$")
SIDES = ("base", "series")
# The configurations in which a limit in instructions counts, where the gate has one.
ABSOLUTE = ("kunit-default", "gup-test")


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
                              "configs/gup-test.init runs it")
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


def console(folder):
    return (folder / "console.log").read_text(encoding="utf-8", errors="replace").splitlines()


def figures_of(folder):
    log = folder / "console.log"
    found = figures(console(folder), log)
    silent = [f"{group}.{layout}" for group, layout in passed_tests(folder)
              if not any(key.group == group and key.layout == layout for key in found)]
    if silent:
        raise Failure("bench", f"{log}: passed, but printed no figure: {', '.join(silent)}",
                      "lines of the console are lost; run it again")
    return found


def passed_tests(folder):
    """[(group, layout)] of the tests of the suite, gup_bench_<group> <layout>."""
    path = folder / "kunit.json"
    suites = json.loads(path.read_text())["sub_groups"] if path.exists() else []
    return [(group["name"].removeprefix("gup_bench_"), case["name"])
            for suite in suites for group in suite.get("sub_groups", [])
            for case in group.get("test_cases", []) if case["status"] == "PASS"]


def compare(base, series):
    """[{...}] of the figures, in the order in which they were measured."""
    for one, other, side in ((base, series, "series"), (series, base, "base")):
        lost = [str(key) for key in one if key not in other]
        if lost:
            raise Failure("bench", f"{side} has no figure for {len(lost)} of the rows, first: {lost[0]}",
                          f"look at {side}*/console.log in the results")
    return [{**key._asdict(), "base": base[key], "series": series[key],
             "ratio": walltime.ratio(series[key], base[key])} for key in base]


# -------------------------------------------------------------------------- gate

class Limit(NamedTuple):
    """A line of the gate."""
    line: int
    globs: tuple
    ratio: float
    absolute: float | None

    def matches(self, row):
        values = [str(row[field]) for field in ("group", "layout", "row", "access", "per_call")]
        return all(map(fnmatch.fnmatchcase, values, self.globs))


def number(word):
    part, _, whole = word.partition("/")
    return float(part) / float(whole or 1)


def read_gate(path):
    """([Limit], bytes that the text may grow by, or None)."""
    limits, text = [], None
    for count, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split("#")[0].split()
        try:
            if len(words) == 2 and words[0] == "text":
                text = int(words[1])
            elif len(words) in (6, 7):
                limits.append(Limit(count, tuple(words[:5]), number(words[5]),
                                    number(words[6]) if len(words) == 7 else None))
            elif words:
                raise ValueError
        except (ValueError, ZeroDivisionError):
            raise Failure("usage", f"{path}:{count}: not a line of the gate: {line}",
                          "its first lines say what a line has") from None
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
            used.add(limit.line)
            is_absolute = absolute and limit.absolute is not None
            at_most = limit.absolute if is_absolute else limit.ratio * row["base"]
            if index in judged and judged[index]["at_most"] <= at_most:
                continue
            judged[index] = {**row, "at_most": at_most, "limit": None if is_absolute else limit.ratio,
                             "good": row["series"] <= at_most * (1 + 1e-9)}
    unused = [f"line {limit.line}, '{' '.join(limit.globs)}', matches no figure"
              for limit in limits if limit.line not in used]
    return list(judged.values()), unused


# ------------------------------------------------------------------------ report

def name_of(row):
    return str(Key(*(row[field] for field in Key._fields)))


def print_table(rows, limits):
    print(f"    {'instructions per page':44} {'base':>9} {'series':>9} {'ratio':>7}"
          + (f" {'at most':>9}" if limits else ""))
    for row in rows:
        line = f"    {name_of(row):44} {row['base']:9.2f} {row['series']:9.2f} {row['ratio']:7.3f}"
        if limits and "at_most" in row:
            line += f" {row['at_most']:9.2f}" + ("" if row["good"] else "  OVER")
        print(line)


def print_rest(rows, is_slower=lambda row: row["ratio"] > 1.01, shown=5):
    """A line for each group, and the rows that have become slower."""
    if not rows:
        return
    groups = {}
    for row in rows:
        groups.setdefault((row["group"], row["layout"]), []).append(row["ratio"])
    print(f"    {'others: ratio':44} {'rows':>9} {'median':>9} {'best':>7} {'worst':>9}")
    for (group, layout), ratios in groups.items():
        print(f"    {group + ' ' + layout:44} {len(ratios):9} {statistics.median(ratios):9.3f} "
              f"{min(ratios):7.3f} {max(ratios):9.3f}")
    slower = sorted(filter(is_slower, rows), key=lambda row: -row["ratio"])
    for row in slower[:shown]:
        print(f"    slower: {name_of(row)}: {row['base']:.2f}, then {row['series']:.2f} ({row['ratio']:.3f})")
    if len(slower) > shown:
        print(f"    and {len(slower) - shown} more that are slower, see result.json")


def number_in(path):
    """What is in a file that may be empty, or missing."""
    text = path.read_text().strip() if path.exists() else ""
    return int(text) if text else None


def load_side(folder):
    """What is known of one kernel: for result.json."""
    run = json.loads((folder / "run.json").read_text())
    return {"commit": run["head"], "local_changes": run["local_changes"],
            "gup_text": number_in(folder / "text"), "locked_instructions": number_in(folder / "locks")}, run


def measured(results, wall, prefix=""):
    """What is known of the two, the rows of both, the tests that passed, and a guest."""
    folders = [sorted(results.glob(f"{prefix}{side}-*")) or [results / f"{prefix}{side}"] for side in SIDES]
    sides = [load_side(of_side[0]) for of_side in folders]
    found = [[figures_of(folder) for folder in of_side] for of_side in folders]
    for of_side in found:
        for other in of_side[1:]:
            compare(of_side[0], other)
    values = [{key: [one[key] for one in of_side] for key in of_side[0]} for of_side in found]
    rows = compare(*({key: min(all_of) for key, all_of in side.items()} for side in values))
    if wall:
        rows = [{**key._asdict(), **walltime.summary(values[0][key], values[1][key])} for key in values[0]]
    tests = sum(len(passed_tests(folder)) for of_side in folders for folder in of_side)
    return sides, rows, tests, folders[1][0]


def shown_rows(rows, gated, table):
    """Those that are shown one by one, and the others."""
    shown = gated or judge(rows, read_gate(table)[0], False)[0]
    shown = shown + [row for row in rows if row["group"] == "gup_test" or (row["layout"], row["access"]) == SHOWN]
    names = {name_of(row) for row in shown}
    return shown, [row for row in rows if name_of(row) not in names]


# The large folios of kernels without huge pages.
SHOWN = ("driver4", "write")


def conclude(results, said, summary, passed, more):
    """Write result.json and summary."""
    (results / "result.json").write_text(json.dumps({
        **more, "totals": {"passed": passed, "failed": len(said), "skipped": 0},
    }, indent=1) + "\n")
    (results / "summary").write_text(summary + "\n")
    for line in said:
        print(f"    FAILED: {line}")
    print(f"{passed} passed, {len(said)} failed", flush=True)
    return exit_codes()["bench" if said else "pass"]


def report_times(options):
    """Time has no limits."""
    results = options.results
    ((base, _), (series, run)), rows, tests, folder = measured(results, True)
    also = {name: measured(results, True, f"{name}-")[1] for name in options.also}
    for name, of_config in {run["config"]: rows, **also}.items():
        shown, rest = shown_rows(of_config, [], options.table)
        print(f"    configuration {name}:")
        walltime.print_table(shown, name_of)
        print_rest(rest, lambda row: walltime.told(row) == "slower")
        walltime.print_counts(of_config)
    clock = {"step": walltime.step(rows), "shortest": walltime.shortest(rows), "price": walltime.clock_price()}
    lock = next((walltime.lock_price(rows, of_config) for of_config in also.values()), None)
    walltime.print_clock(clock)
    if lock is not None:
        print(f"    to take and release a page table lock costs {lock:.1f} ns")
    print(f"    time, {run['accelerator_reason']}; medians, quartiles, and for the ratio a range")
    if run["accelerator"] == "tcg":
        print("    Under TCG this is the time of an emulator. It proves nothing about hardware.")
    return conclude(results, [], f"{len(rows)} figures, time has no limits", tests, {
        "verdict": "pass", "why": "", "config": run["config"], "unit": "nanoseconds per page",
        "accelerator": run["accelerator"], "cpu": walltime.cpu_name(), "base": base, "series": series,
        "qemu": (folder / "qemu-cmd").read_text().strip(), "gate": None, "wrong": [], "clock": clock,
        "lock_ns": lock, "rows": rows, "also": also})


def report(options):
    if options.wall:
        return report_times(options)
    results = options.results
    ((base, _), (series, run)), rows, tests, folder = measured(results, False)
    limits, more_text = read_gate(options.gate) if options.gate else ([], None)
    gated, wrong = judge(rows, limits, run["config"] in ABSOLUTE)
    wrong += [f"{name_of(row)} takes {row['series']:.2f} per page, at most {row['at_most']:.2f}"
              for row in gated if not row["good"]]
    if None in (base["gup_text"], series["gup_text"]):
        raise Failure("internal", f"{results}: nobody has measured the text of mm/gup.o")
    grown = series["gup_text"] - base["gup_text"]
    if more_text is not None and grown > more_text:
        wrong.append(f"the text of mm/gup.o has grown by {grown} bytes, at most {more_text}")

    shown, rest = shown_rows(rows, gated, options.table)
    print_table(shown, gated)
    print_rest(rest)
    print(f"    text of mm/gup.o without KUnit: {base['gup_text']} bytes, then {series['gup_text']} ({grown:+})"
          + (f", at most {more_text:+}" if more_text is not None else ""))
    without = "series has no section 'batch': no limit is applied"
    if not options.gate:
        print(f"    {without}")

    failed = len(wrong)
    passed = tests + sum(row["good"] for row in gated) + (more_text is not None and grown <= more_text)
    what = f"{wrong[0]}" + (f", and {failed - 1} more" if failed > 1 else "") if wrong else ""
    summary = (f"{what + '; ' if what else ''}{len(rows)} figures, "
               + (f"{len(gated)} with a limit, {failed} wrong" if options.gate else without))
    plot.draw(rows, results)
    return conclude(results, wrong, summary, passed, {
        "verdict": "bench" if wrong else "pass", "why": what, "config": run["config"],
        "unit": "instructions per page",
        "accelerator": run["accelerator"], "base": base, "series": series, "gup_text_grown": grown,
        "gup_text_is": "text of mm/gup.o as size(1) has it, reference configuration without KUnit",
        "qemu": (folder / "qemu-cmd").read_text().strip(),
        "gate": [{**row, "name": name_of(row)} for row in gated] if options.gate else None,
        "wrong": wrong, "rows": rows})


# ------------------------------------------------------------------------- docs

TITLES = {
    "layout": ("4096 pages in one call", "By kind of memory and access."),
    "call": ("The same pages in more calls", "For writing, by kind of memory and pages per call."),
    "touch": ("Pages that nobody has touched", "In one call, which has to make them."),
    "growth": ("More memory", "For writing, 1024 pages per call, by kind of memory and resident pages."),
    "gup_test": ("The kernel's own gup_test", "256 MiB, by size of the folios and pages per call. `-L` pins for long "
                 "by the slow path, `-a` pins and `-u` gets by the fast path; `put` is giving back."),
}


def doc_tables(rows):
    """Lines of a table for each group: a cell has base, series, and the ratio."""
    for group, (title, what) in TITLES.items():
        cells = {}
        for row in rows:
            if row["group"] == group:
                name = row["layout"] + {"layout": f", {row['access']}", "growth": f", {row['pages']}"}.get(
                    group, f", {row['per_call']}")
                cells.setdefault(name, {})[row["row"]] = row
        if not cells:
            continue
        heads = list(dict.fromkeys(name for of_name in cells.values() for name in of_name))
        yield from ("", f"## {title}", "", f"{what} Base, series, ratio.", "")
        yield "| | " + " | ".join(f"`{head}`" if group == "gup_test" else head for head in heads) + " |"
        yield "| --- |" + " ---: |" * len(heads)
        for name, of_name in cells.items():
            shown = [f"{walltime.figure(row['base'])}, {walltime.figure(row['series'])}, {row['ratio']:.2f}" if row else ""
                     for row in map(of_name.get, heads)]
            yield f"| {name} | " + " | ".join(shown) + " |"


def limits_table(gate):
    """Lines of a table of what has a limit in instructions, or of all that has one."""
    shown = [row for row in gate if row["limit"] is None] or gate
    yield from ("", "## What has a limit", "", "`kunit/bench-gate` has these limits, and more that are ratios.", "",
                "| | base | series | ratio | at most |", "| --- | ---: | ---: | ---: | ---: |")
    for row in shown:
        yield (f"| {row['name']} | {row['base']:.2f} | {row['series']:.2f} | {row['ratio']:.3f} "
               f"| {row['at_most']:.2f} |")


TABLE_PAGES = 512	# that a page table maps
BREATHE_PAGES = 32	# GUP_BREATHE of mm/gup.c


def stretches(rows):
    """Lines about how long interrupts are off, and a lock is held: bounds, made of the
    figures of calls for 4096 pages. A figure has what is around the walk in it as well."""
    by_key = {(row["layout"], row["row"]): row for row in rows
              if row["group"] == "layout" and row["access"] == "write"}
    yield from ("", "## The longest stretches", "",
                "Instructions, at most. GUP-fast has interrupts off during its walk, here for all 4096 pages. The slow",
                f"path holds the lock of a page table for one page in base, and in series for up to {TABLE_PAGES}; but after",
                f"every {BREATHE_PAGES}, or a folio, it gives the lock up if somebody waits for the CPU or, on a preemptible",
                "kernel, for the lock.", "",
                "| | base | series |", "| --- | ---: | ---: |")
    for layout in ("order0", "order4", "order9", "pmd"):
        row = by_key.get((layout, "fast_pin"))
        if row:
            yield (f"| {layout}, fast_pin: interrupts off | {row['base'] * row['pages']:.0f} "
                   f"| {row['series'] * row['pages']:.0f} |")
    for layout, order in (("order0", 0), ("order4", 4), ("order9", 9)):
        row = by_key.get((layout, "slow_pin"))
        if row:
            yield (f"| {layout}, slow_pin: lock held | {row['base']:.0f} | {row['series'] * TABLE_PAGES:.0f}, "
                   f"if somebody waits {row['series'] * max(BREATHE_PAGES, 1 << order):.0f} |")


def docs(options):
    result = json.loads((options.results / "result.json").read_text())
    if options.wall:
        text = "\n".join(walltime.document(result, TITLES, options.command)) + "\n"
        (ROOT / "Documentation/performance-time.md").write_text(text)
        print("       wrote Documentation/performance-time.md")
        return 0
    folder = ROOT / "Documentation/performance"
    folder.mkdir(exist_ok=True)
    pictures = plot.draw(result["rows"], folder)
    lines = [plot.SPDX, "<!-- Written by scripts/bench --docs: do not edit. -->", "# What a page costs", "",
             "Instructions of the guest per page, as QEMU counts them (`-icount`): the same on each machine, and",
             "from run to run. They know nothing of cache misses, or of what an atomic operation costs that others",
             "want, too. Base is the series up to its section tests, series is all of it. Made by", "",
             f"    {options.command}", "",
             f"on the configuration {result['config']}, on 1 CPU as QEMU has it without `-cpu`. Kinds of memory are",
             "anonymous unless they say otherwise: `order4` is folios of 16 pages, each page mapped by an entry of",
             "its own; `pmd` is 2 MiB mapped by one entry; in `mixed` the orders are, in `holes` only each second",
             "page is there and asked for by a call of its own; `_ro` is mapped read-only.", "",
             f"The text of mm/gup.o, without KUnit, has {result['base']['gup_text']} bytes in base and "
             f"{result['series']['gup_text']} in series ({result['gup_text_grown']:+})."]
    for name in pictures:
        lines += ["", f"![{PICTURES[name]}](performance/{name})"]
    if result["gate"]:
        lines += limits_table(result["gate"])
    lines += stretches(result["rows"])
    lines += doc_tables(result["rows"])
    (ROOT / "Documentation/performance.md").write_text("\n".join(lines) + "\n")
    print(f"       wrote Documentation/performance.md, {', '.join(pictures)}")
    return 0


PICTURES = {"layouts.svg": "Instructions per page by the order of the folios",
            "calls.svg": "Instructions per page by pages per call",
            "growth.svg": "Instructions per page by how much memory is resident"}


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("verb", choices=["report", "cpus", "locks", "docs"])
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--gate", type=pathlib.Path)
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--also", nargs="*", default=[], help="more configurations")
    parser.add_argument("--command", default="scripts/bench --docs")
    parser.add_argument("--table", type=pathlib.Path, default=ROOT / "kunit/bench-gate",
                        help="what is shown one by one")
    options = parser.parse_args()
    if options.verb == "locks":
        return walltime.locks(options.results)
    if options.verb == "cpus":
        return one_cpu(console(options.results), options.results / "console.log")
    return docs(options) if options.verb == "docs" else report(options)


if __name__ == "__main__":
    main(run)
