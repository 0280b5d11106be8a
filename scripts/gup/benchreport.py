# SPDX-License-Identifier: GPL-2.0
"""What the guests of scripts/bench measured: the folders base and series of its results; if each ran
more than once base-1, series-1, base-2 and so on. The smallest of what each printed is compared; of
time walltime.py says how.
"""

import json
import statistics

from gup import cli, plot, walltime
from gup.cli import ROOT, Failure, text_of
from gup.figures import SIDES, compare, figures_of, judge, name_of, passed_tests, read_gate

GATE = ROOT / "kunit/bench-gate"
# The configurations in which a limit in instructions counts, where the gate has one.
ABSOLUTE = ("kunit-default", "gup-test")


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
