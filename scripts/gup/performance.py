# SPDX-License-Identifier: GPL-2.0
"""Documentation/performance.md and its pictures, and performance-time.md."""

import json

from gup import plot, walltime
from gup.cli import ROOT, note

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
    by_key = {(row["layout"], row["row"]): row for row in rows if row["group"] == "layout" and row["access"] == "write"}
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


def write(results, command, wall=False):
    """Of the result.json in a folder, which this command made."""
    result = json.loads((results / "result.json").read_text())
    if wall:
        text = "\n".join(walltime.document(result, TITLES, command)) + "\n"
        (ROOT / "Documentation/performance-time.md").write_text(text)
        note("wrote Documentation/performance-time.md")
        return
    folder = ROOT / "Documentation/performance"
    folder.mkdir(exist_ok=True)
    pictures = plot.draw(result["rows"], folder)
    lines = [plot.SPDX, "<!-- Written by scripts/bench --docs: do not edit. -->", "# What a page costs", "",
             "Instructions of the guest per page, as QEMU counts them (`-icount`): the same on each machine, and",
             "from run to run. They know nothing of cache misses, or of what an atomic operation costs that others",
             "want, too. Base is the series up to its section tests, series is all of it. Made by", "",
             f"    {command}", "",
             f"on the configuration {result['config']}, on 1 CPU as QEMU has it without `-cpu`. Kinds of memory are",
             "anonymous unless they say otherwise: `order4` is folios of 16 pages, each page mapped by an entry of",
             "its own; `pmd` is 2 MiB mapped by one entry; in `mixed` the orders are, in `holes` only each second",
             "page is there and asked for by a call of its own; `_ro` is mapped read-only.", "",
             f"The text of mm/gup.o, without KUnit, has {result['base']['gup_text']} bytes in base and "
             f"{result['series']['gup_text']} in series ({result['gup_text_grown']:+})."]
    for name, title in pictures:
        lines += ["", f"![{title}](performance/{name})"]
    lines += limits_table(result["gate"]) if result["gate"] else []
    lines += [*stretches(result["rows"]), *doc_tables(result["rows"])]
    (ROOT / "Documentation/performance.md").write_text("\n".join(lines) + "\n")
    note(f"wrote Documentation/performance.md, {', '.join(name for name, _ in pictures)}")
