# SPDX-License-Identifier: GPL-2.0
"""Documentation/performance.md and its pictures, and performance-time.md."""

import json

from gup import documents, plot, walltime
from gup.documents import table
from gup.figures import SIDES
from gup.walltime import figure

TITLES = {
    "layout": ("4096 pages in one call", "By kind of memory and access."),
    "call": ("The same pages in more calls", "For writing, by kind of memory and pages per call."),
    "touch": ("Pages that nobody has touched", "In one call, which has to make them."),
    "growth": ("More memory", "For writing, 1024 pages per call, by kind of memory and resident pages."),
    "gup_test": ("The kernel's own gup_test", "256 MiB, by size of the folios and pages per call. `-L` pins for long "
                 "by the slow path, `-a` pins and `-u` gets by the fast path; `put` is giving back."),
}


def tables(rows):
    """Lines of a table for each group: a cell has base, series, and the ratio."""
    for group, (title, what) in TITLES.items():
        cells = {}
        for row in rows:
            if row["group"] == group:
                name = row["layout"] + {"layout": f", {row['access']}", "growth": f", {row['pages']}"}.get(
                    group, f", {row['per_call']}")
                cells.setdefault(name, {})[row["row"]] = f"{figure(row['base'])}, {figure(row['series'])}, {row['ratio']:.2f}"
        heads = list(dict.fromkeys(name for of_name in cells.values() for name in of_name))
        shown = [f"`{head}`" if group == "gup_test" else head for head in heads]
        if cells:
            yield from ("", f"## {title}", "", f"{what} Base, series, ratio.", "")
            yield from table(f"| | {' | '.join(shown)} |",
                             ([name, *(of_name.get(head, "") for head in heads)] for name, of_name in cells.items()))


def limits(gate):
    """Lines of a table of what has a limit in instructions, or of all that has one."""
    shown = [row for row in gate if row["limit"] is None] or gate
    yield from ("", "", "## What has a limit", "", "`kunit/bench-gate` has these limits, and more that are ratios.", "")
    yield from table("| | base | series | ratio | at most |", (
        [row["name"], *(f"{row[field]:.2f}" for field in SIDES), f"{row['ratio']:.3f}", f"{row['at_most']:.2f}"]
        for row in shown))


TABLE_PAGES = 512	# that a page table maps
BREATHE_PAGES = 32	# GUP_BREATHE of mm/gup.c


def stretches(rows):
    """Rows about how long interrupts are off, and a lock is held: bounds, made of the
    figures of calls for 4096 pages. A figure has what is around the walk in it as well."""
    by_key = {(row["layout"], row["row"]): row for row in rows if row["group"] == "layout" and row["access"] == "write"}
    for layout in ("order0", "order4", "order9", "pmd"):
        if row := by_key.get((layout, "fast_pin")):
            yield f"{layout}, fast_pin: interrupts off", *(f"{row[side] * row['pages']:.0f}" for side in SIDES)
    for layout, order in (("order0", 0), ("order4", 4), ("order9", 9)):
        if row := by_key.get((layout, "slow_pin")):
            held, waited = (f"{row['series'] * pages:.0f}" for pages in (TABLE_PAGES, max(BREATHE_PAGES, 1 << order)))
            yield f"{layout}, slow_pin: lock held", f"{row['base']:.0f}", f"{held}, if somebody waits {waited}"


def write(results, command):
    """Of the result.json in a folder, which this command made."""
    result = json.loads((results / "result.json").read_text())
    if result["unit"].startswith("nanoseconds"):
        documents.fill("performance-time.md", command=command, **walltime.document(result, TITLES))
        return
    folder = documents.FOLDER / "performance"
    folder.mkdir(exist_ok=True)
    pictures = plot.draw(result["rows"], folder)
    documents.fill(
        "performance.md", command=command, config=result["config"], grown=f"{result['gup_text_grown']:+}",
        **{side: result[side]["gup_text"] for side in SIDES}, pages=TABLE_PAGES, breathe=BREATHE_PAGES,
        pictures="".join(f"\n\n![{title}](performance/{name})" for name, title in pictures),
        limits=limits(result["gate"]) if result["gate"] else "", tables=tables(result["rows"]),
        stretches=table("| | base | series |", stretches(result["rows"])))
