# SPDX-License-Identifier: GPL-2.0
"""What the guests of scripts/bench measured, for the console, result.json and Documentation/performance.md.

They have left it in the folders base and series of its results; if each ran more than once base-1, series-1,
base-2 and so on. The smallest of what each printed is compared; of time walltime.py says how.
"""

import json
import statistics

from gup import cli, documents, plot, walltime
from gup.cli import ROOT, Failure, text_of
from gup.figures import SIDES, compare, figures_of, judge, name_of, passed_tests, read_gate
from gup.walltime import figure

GATE = ROOT / "kunit/bench-gate"
# The configurations in which a limit in instructions counts, where the gate has one.
ABSOLUTE = ("kunit-default", "gup-test")


def gate_of(config):
    """A configuration may have limits of its own."""
    own = ROOT / f"configs/{config}/gate"
    return own if own.exists() else GATE


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


def load_run(folder):
    return json.loads((folder / "run.json").read_text())


def load_side(folder):
    """What is known of one kernel: for result.json. Its numbers may be empty, or missing."""
    text, locks = (json.loads(text_of(folder / name).strip() or "null") for name in ("text", "locks"))
    run = load_run(folder)
    return {"commit": run["head"], "local_changes": run["local_changes"],
            "gup_text": text, "locked_instructions": locks}


def measured(results, wall, prefix=""):
    """What result.json has of the two in any case, how many tests passed, and run.json of the series."""
    folders = [sorted(results.glob(f"{prefix}{side}-*")) or [results / f"{prefix}{side}"] for side in SIDES]
    found = [[figures_of(folder) for folder in of_side] for of_side in folders]
    for of_side in found:
        for other in of_side[1:]:
            compare(of_side[0], other)
    values = [{key: [one[key] for one in of_side] for key in of_side[0]} for of_side in found]
    rows = compare(*({key: min(all_of) for key, all_of in side.items()} for side in values))
    if wall:
        rows = [{**key._asdict(), **walltime.summary(values[0][key], values[1][key])} for key in values[0]]
    tests = sum(len(passed_tests(folder)) for of_side in folders for folder in of_side)
    base, series = (of_side[0] for of_side in folders)
    run = load_run(series)
    return {"config": run["config"], "accelerator": run["accelerator"], "base": load_side(base),
            "series": load_side(series), "qemu": text_of(series / "qemu-cmd").strip(), "rows": rows}, tests, run


def shown_rows(rows, gated, table):
    """Those that are shown one by one, and the others."""
    shown = gated or judge(rows, read_gate(table)[0], False)[0]
    shown = shown + [row for row in rows if row["group"] == "gup_test" or (row["layout"], row["access"]) == SHOWN]
    names = {name_of(row) for row in shown}
    return shown, [row for row in rows if name_of(row) not in names]


# The large folios of kernels without huge pages.
SHOWN = ("driver4", "write")


def conclude(results, found, wrong, passed, **more):
    """(class, what is wrong). Writes result.json."""
    kind = "bench" if wrong else "pass"
    why = (wrong or [""])[0] + (f", and {len(wrong) - 1} more" if len(wrong) > 1 else "")
    cli.save(results / "result.json", {
        "verdict": kind, "why": why, **found, **more, "wrong": wrong,
        "totals": {"passed": passed, "failed": len(wrong), "skipped": 0}})
    cli.indented([f"FAILED: {line}" for line in wrong])
    print(f"{passed} passed, {len(wrong)} failed", flush=True)
    return kind, why


def report_times(results, also=(), table=GATE):
    """The summary. Time has no limits. also: more configurations, whose guests have NAME- before
    the names of their folders."""
    found, tests, run = measured(results, True)
    rows = found["rows"]
    others = {name: measured(results, True, f"{name}-")[0]["rows"] for name in also}
    for name, of_config in {run["config"]: rows, **others}.items():
        shown, rest = shown_rows(of_config, [], table)
        print(f"    configuration {name}:")
        walltime.print_table(shown, name_of)
        print_rest(rest, lambda row: walltime.told(row) == "slower")
        print("    {faster} rows are faster, {slower} slower, {untold} not told apart: 1 is within the range".format(
            **walltime.counts(of_config)))
    clock = {"step": walltime.step(rows), "shortest": walltime.shortest(rows), "price": walltime.clock_price()}
    lock = next((walltime.lock_price(rows, of_config) for of_config in others.values()), None)
    print("    the guest's clock goes by {step} ns, the shortest time is {shortest} ns; reading the\n"
          "    host's clock takes at most {price} ns".format(**clock))
    if lock is not None:
        print(f"    to take and release a page table lock costs {lock:.1f} ns")
    print(f"    time, {run['accelerator_reason']}; medians, quartiles, and for the ratio a range")
    if run["accelerator"] == "tcg":
        print("    Under TCG this is the time of an emulator. It proves nothing about hardware.")
    conclude(results, found, [], tests, unit="nanoseconds per page", cpu=walltime.cpu_name(), gate=None, clock=clock,
             lock_ns=lock, also=others)
    return f"{len(rows)} figures, time has no limits"


def report(results, gate=None, table=GATE):
    """(class, summary). Prints what is gated and a summary of the rest, writes result.json, and draws
    what there is to draw. Without a gate nothing has a limit."""
    found, tests, run = measured(results, False)
    rows, base, series = found["rows"], found["base"], found["series"]
    limits, more_text = read_gate(gate) if gate else ([], None)
    gated, wrong = judge(rows, limits, run["config"] in ABSOLUTE)
    wrong += [f"{name_of(row)} takes {row['series']:.2f} per page, at most {row['at_most']:.2f}"
              for row in gated if not row["good"]]
    if None in (base["gup_text"], series["gup_text"]):
        raise Failure("internal", f"{results}: nobody has measured the text of mm/gup.o")
    grown = series["gup_text"] - base["gup_text"]
    if more_text is not None and grown > more_text:
        wrong.append(f"the text of mm/gup.o has grown by {grown} bytes, at most {more_text}")

    shown, rest = shown_rows(rows, gated, table)
    print_table(shown, gated)
    print_rest(rest)
    print(f"    text of mm/gup.o without KUnit: {base['gup_text']} bytes, then {series['gup_text']} ({grown:+})"
          + (f", at most {more_text:+}" if more_text is not None else ""))
    without = "series has no section 'batch': no limit is applied"
    if not gate:
        print(f"    {without}")

    passed = tests + sum(row["good"] for row in gated) + (more_text is not None and grown <= more_text)
    plot.draw(rows, results)
    kind, why = conclude(
        results, found, wrong, passed, unit="instructions per page", gup_text_grown=grown,
        gup_text_is="text of mm/gup.o as size(1) has it, reference configuration without KUnit",
        gate=[{**row, "name": name_of(row)} for row in gated] if gate else None)
    return kind, (f"{why + '; ' if why else ''}{len(rows)} figures, "
                  + (f"{len(gated)} with a limit, {len(wrong)} wrong" if gate else without))


# ----------------------------------------------------------------- documentation

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
                cells.setdefault(name, {})[row["row"]] = ", ".join(
                    [*(figure(row[side]) for side in SIDES), f"{row['ratio']:.2f}"])
        heads = list(dict.fromkeys(name for of_name in cells.values() for name in of_name))
        shown = [f"`{head}`" if group == "gup_test" else head for head in heads]
        if cells:
            yield from ("", f"## {title}", "", f"{what} Base, series, ratio.", "")
            yield from documents.table(f"| | {' | '.join(shown)} |",
                             ([name, *(of_name.get(head, "") for head in heads)] for name, of_name in cells.items()))


def limits(gate):
    """Lines of a table of what has a limit in instructions, or of all that has one."""
    shown = [row for row in gate if row["limit"] is None] or gate
    yield from ("", "", "## What has a limit", "", "`kunit/bench-gate` has these limits, and more that are ratios.", "")
    yield from documents.table("| | base | series | ratio | at most |", (
        [row["name"], *(f"{row[field]:.2f}" for field in SIDES), f"{row['ratio']:.3f}", f"{row['at_most']:.2f}"]
        for row in shown))


def of_calls(rows):
    """{(call, access, pages per call): {layout: row}} of what configs/calls measures."""
    found = {}
    for row in rows:
        if row["group"] == "calls":
            found.setdefault((row["row"], row["access"], row["per_call"]), {})[row["layout"]] = row
    return found


def calls_table(rows):
    found = of_calls(rows)
    layouts = list(dict.fromkeys(layout for of_call in found.values() for layout in of_call))
    yield from documents.table(f"| call | memory is | KiB per call | {' | '.join(layouts)} |", (
        [f"`{call}`", {"read": "read", "write": "written"}[access], pages * 4,
         *(f"{figure(row['base'])}, {figure(row['series'])}, {row['ratio']:.2f}" for row in of_call.values())]
        for (call, access, pages), of_call in found.items()), "| --- | --- | ---: |" + " ---: |" * len(layouts))


def calls_bars(rows):
    """For plot.bars(): percent of base that are left, and that are saved."""
    for (call, _, pages), of_call in of_calls(rows).items():
        for layout, row in of_call.items():
            left = round(100 * min(row["ratio"], 1), 1)
            yield f"{call},{pages * 4}_KiB,{layout}", left, round(100 - left, 1)


TABLE_PAGES = 512	# that a page table maps
LOCK_PAGES = 32	# GUP_LOCK_PAGES of mm/gup.c


def stretches(rows):
    """Rows about how long interrupts are off, and a lock is held: bounds, made of the
    figures of calls for 4096 pages. A figure has what is around the walk in it as well."""
    by_key = {(row["layout"], row["row"]): row for row in rows if row["group"] == "layout" and row["access"] == "write"}
    for layout in ("order0", "order4", "order9", "pmd"):
        if row := by_key.get((layout, "fast_pin")):
            yield f"{layout}, fast_pin: interrupts off", *(f"{row[side] * row['pages']:.0f}" for side in SIDES)
    for layout, order in (("order0", 0), ("order4", 4), ("order9", 9)):
        if row := by_key.get((layout, "slow_pin")):
            held, waited = (f"{row['series'] * pages:.0f}" for pages in (TABLE_PAGES, max(LOCK_PAGES, 1 << order)))
            yield f"{layout}, slow_pin: lock held", f"{row['base']:.0f}", f"{held}, if somebody waits {waited}"


def write(results, command):
    """Of the result.json in a folder, which this command made."""
    result = json.loads((results / "result.json").read_text())
    if result["unit"].startswith("nanoseconds"):
        documents.fill("performance-time.md", command=command, **walltime.document(result, TITLES))
        return
    folder = documents.FOLDER / "performance"
    folder.mkdir(exist_ok=True)
    if result["config"] == "calls":
        plot.bars(list(calls_bars(result["rows"])), ("left of base, in percent", "saved"), folder / "system-calls.svg")
        documents.fill("performance-calls.md", command=command, table=calls_table(result["rows"]))
        return
    pictures = plot.draw(result["rows"], folder)
    documents.fill(
        "performance.md", command=command, config=result["config"], grown=f"{result['gup_text_grown']:+}",
        **{side: result[side]["gup_text"] for side in SIDES}, pages=TABLE_PAGES, breathe=LOCK_PAGES,
        pictures="".join(f"\n\n![{title}](performance/{name})" for name, title in pictures),
        limits=limits(result["gate"]) if result["gate"] else "", tables=tables(result["rows"]),
        stretches=documents.table("| | base | series |", stretches(result["rows"])))
