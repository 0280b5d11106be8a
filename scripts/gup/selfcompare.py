# SPDX-License-Identifier: GPL-2.0
"""What two guests made of the kernel's own selftests, base against series.

The folder of a guest has plan, guest.json, console.log (kernel) and tests.log (tests). A run passes
only if all that passes on the base is there and passes on the series; nothing passes by being absent.
"""

import collections
import itertools
import json
import pathlib
import re

from gup import cli, splat
from gup.documents import filled, table

RESULTS = ("pass", "fail", "skip", "xfail")
GOOD = ("pass", "xfail")
MOST = 30  # lines about one thing that are shown
PROGRAM = "(exit status)"  # the case that a program is by itself


# ------------------------------------------------------------------------------- one log

CASE = re.compile(r"(ok|not ok) (\d+)\b *(?:- )?(.*)$")
DIRECTIVE = re.compile(r"(?:^|\s)# *(SKIP|XFAIL|XPASS|error)\b:? *(.*)$", re.I)
# What was measured, and so is another name each time.
MEASURED = re.compile(r"\d+(?= \([\d.]+%\), extra thread faults)|(?<=\()[\d.]+(?=%\), extra)"
                      r"|(?<=, extra thread faults )\d+")
PLAN = re.compile(r"1\.\.(\d+)( # SKIP\b.*)?$")


class Run:
    """One command: its status and its cases, {name: result}."""

    def __init__(self, command):
        self.command, self.status = command, None
        self.cases, self.reasons, self.plan, self.said = {}, {}, None, ""

    def line(self, text):
        plan, case = PLAN.match(text), CASE.match(text)
        if plan:
            self.plan = int(plan[1])
            self.said = (plan[2] or "").removeprefix(" # SKIP").strip()
        if text.startswith("Bail out! "):
            self.said = text.removeprefix("Bail out! ").strip()
        if case:
            self.case(case[3].strip(), "pass" if case[1] == "ok" else "fail")

    def case(self, name, result):
        directive, reason = DIRECTIVE.search(name), ""
        if directive:
            name = name[:directive.start()].strip() or directive[2].strip()
        if directive and directive[1].upper() in ("SKIP", "XFAIL") and result == "pass":
            result, reason = directive[1].lower(), directive[2].strip()
        else:  # two spaces and more: what was measured
            name = re.sub(r"\s+# .*$", "", name)
        self.add(name, result, reason)

    def add(self, name, result, reason):
        name = MEASURED.sub("N", name) or "(no name)"
        unique = next(n for n in (name if i == 1 else f"{name} ({i})" for i in itertools.count(1))
                      if n not in self.cases)
        self.cases[unique] = result
        if reason:
            self.reasons[unique] = reason

    def finish(self, status):
        """The exit status is a result where there is no other, or where it is worse."""
        self.status = status
        results = list(self.cases.values())
        if status in ("timeout", "unkillable"):
            self.add(PROGRAM, "fail", f"{status} in the guest")
        elif not results:
            word = {"0": "pass", "4": "skip"}.get(status, "fail")
            self.add(PROGRAM, word, self.said or (f"status {status}" if word == "fail" else ""))
        elif status not in ("0", "4") and "fail" not in results:
            self.add(PROGRAM, "fail", self.said or f"status {status}, although no case failed")
        elif self.plan is not None and len(results) != self.plan and "fail" not in results:
            self.add(PROGRAM, "fail", f"{len(results)} cases, although {self.plan} were planned")


def parse(text):
    """({command: Run} of what ended, command that did not end or None, pins or None, done)."""
    runs, current, pins, done = {}, None, None, False
    for line in text.splitlines():
        line = line.rstrip("\r")
        if line.startswith("@@ START "):
            current = Run(line.split(None, 3)[3])
        elif line.startswith("@@ END ") and current:
            current.finish(line.split()[3])
            runs[current.command] = current
            current = None
        elif line.startswith("@@ PINS "):
            pins = [int(number) for number in line.split()[2:] if number.isdigit()]
        elif line.startswith("@@ DONE "):
            done = True
        elif current:
            current.line(line)
    return runs, current and current.command, pins, done


# ----------------------------------------------------------------------------- one guest

class Guest:
    """What one guest left in its folder."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.name = folder.name
        self.end = json.loads((folder / "guest.json").read_text())
        self.wanted = [line.split(None, 2)[2] for line in (folder / "plan").read_text().splitlines()]
        self.console = cli.text_of(folder / "console.log").splitlines()
        runs, self.torn, self.pins, self.done = parse(cli.text_of(folder / "tests.log"))
        # A guest of the base may have run more than what is wanted this time.
        self.runs = {command: run for command, run in runs.items() if command in self.wanted}
        self.splats = splat.splats(self.console)

    def ended(self):
        """(class, why) if it did not run to its end, or ("pass", "")."""
        if not self.runs and not self.torn:
            last = next((splat.plain(line) for line in reversed(self.console) if line.strip()), "nothing")
            return "boot", f"the guest of the {self.name} ran no test; the last line was: {last}"
        where = f"in {self.torn}" if self.torn else f"after {len(self.runs)} of {len(self.wanted)} tests"
        if self.end["end"] in ("silent", "flood", "nothing"):
            return "timeout", f"the guest of the {self.name} hung {where}"
        if not self.done:
            return "splat" if self.splats else "boot", f"the guest of the {self.name} died {where}"
        missing = [command for command in self.wanted if command not in self.runs]
        if missing:
            return "test", f"the guest of the {self.name} did not run: {', '.join(missing[:3])}"
        return "pass", ""

    def complaints(self):
        """{text without what changes from boot to boot: (line number, text)}."""
        found = {}
        for number, kind, text in self.splats:
            found.setdefault((kind, normal(text)), (number, text))
        return found


def normal(text):
    """A splat without numbers, processes and addresses."""
    text = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b", "X", text)
    return re.sub(r"\d+", "N", text)


# ---------------------------------------------------------------------------- comparing

def compare(base, series, flaky=()):
    """(worse, same, other): lines about cases of two {command: Run}.

    worse is what fails a run: what passes on the base and does not on the series, what is
    on the base only, and what fails on the series only; but not of the commands in flaky.
    other is what is better on the series, or flaky."""
    worse, same, other = [], [], []
    for command in list(base) + [command for command in series if command not in base]:
        if command not in series:
            worse.append(f"{command}: did not run on the series")
            continue
        old = base[command].cases if command in base else {}
        new, reasons = series[command].cases, series[command].reasons
        for name in list(old) + [name for name in new if name not in old]:
            was, now = old.get(name), new.get(name)
            reason = f" ({reasons[name]})" if reasons.get(name) else ""
            what = f"{command}: {name}: {was or 'not there'} on the base, {now or 'not there'} on the series{reason}"
            if now == "fail" and was == "fail":
                same.append(f"{command}: {name}: fails on both{reason}")
            elif now == "fail" or (now is None and name != PROGRAM) or (was in GOOD and now not in GOOD):
                (other if command in flaky else worse).append(what)
            elif was == "fail" or (was == "skip" and now in GOOD):
                other.append(what)
    return worse, same, other


def counts(runs, commands):
    """{result: number} over the cases of these commands."""
    found = collections.Counter(result for command in commands if command in runs
                                for result in runs[command].cases.values())
    return {result: found[result] for result in RESULTS}


def not_passed(runs, line, result):
    """Lines about what a line of the list skipped, or failed, with a count for what repeats."""
    seen = collections.Counter()
    for command in line.commands:
        run = runs.get(command)
        for name, value in (run.cases.items() if run else ()):
            if value == result:
                reason = run.reasons.get(name, "")
                name = re.sub(r" \(\d+\)$", "", name)
                seen[name if reason in ("", name) else f"{name}: {reason}"] += 1
    return [f"{what} ({number} times)" if number > 1 else what for what, number in seen.items()]


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def count_rows(guests, lines):
    totals = [collections.Counter() for _ in guests]
    for line in lines:
        numbers = [counts(guest.runs, line.commands) for guest in guests]
        for total, of_guest in zip(totals, numbers):
            total.update(of_guest)
        yield [cell(line.text), *(of_guest[result] for of_guest in numbers for result in RESULTS)]
    yield ["all", *(total[result] for total in totals for result in RESULTS)]


def table_of(guests, lines, result):
    """What failed, or was skipped, and where."""
    rows = []
    for line in lines:
        old, new = (not_passed(guest.runs, line, result) for guest in guests)
        for what in dict.fromkeys(old + new):
            where = "both" if what in old and what in new else "base" if what in old else "series"
            rows.append([cell(line.text), where + ", now and then" * line.flaky, cell(what)])
    return table("| test | on | case, and what it says |", rows, " --- |") if rows else "Nothing."


def markdown(run, guests, lines):
    """Documentation/selftests.md."""
    head = "| test | base: pass | fail | skip | xfail | series: pass | fail | skip | xfail |"
    return filled("selftests.md", **run, counts=table(head, count_rows(guests, lines)),
                  **{result: table_of(guests, lines, result) for result in ("fail", "skip")})


def judge(base, series, flaky=()):
    """(class, why, details) of two guests."""
    details = []
    for guest in (base, series):
        verdict, why = guest.ended()
        if verdict != "pass":
            number = guest.splats[0][0] if guest.splats else 0
            return verdict, why, splat.excerpt(guest.console, number) if number else []
    worse, same, other = compare(base.runs, series.runs, flaky)
    details += [f"on both:  {line}" for line in same] + [f"no worse: {line}" for line in other]
    details += [f"worse:    {line}" for line in worse[:MOST]]
    if len(worse) > MOST:
        details.append(f"worse:    and {len(worse) - MOST} more, see result.json")
    known = base.complaints()
    fresh = [value for key, value in series.complaints().items() if key not in known]
    for _, text in known.values():
        details.append(f"base, kernel: {text}")
    for guest in (base, series):
        details.append(f"{guest.name}: pins acquired and released: {guest.pins}")
    if fresh:
        number, text = fresh[0]
        return "splat", f"{text} (series, console.log line {number})", details + splat.excerpt(series.console, number)
    if worse:
        return "test", f"{len(worse)} worse than on the base, first: {worse[0]}", details
    if not series.pins or len(series.pins) != 2:
        return "test", "the guest of the series did not say how many pages are pinned", details
    if series.pins[0] != series.pins[1]:
        return "test", "on the series {} pages were pinned and {} unpinned".format(*series.pins), details
    if not any(counts(series.runs, series.runs)[result] for result in GOOD):
        return "test", "no test passed", details
    return "pass", "", details


def conclude(folder, run, lines):
    """(class, summary) of the guests in folder/base and folder/series; run: what the table says of
    it. Writes selftests.md and result.json."""
    base, series = Guest(folder / "base"), Guest(folder / "series")
    flaky = {command for line in lines if line.flaky for command in line.commands}
    verdict, why, details = judge(base, series, flaky)
    cli.indented(details)
    totals = {guest.name: counts(guest.runs, guest.runs) for guest in (base, series)}
    (folder / "selftests.md").write_text(markdown(run, (base, series), lines))
    cli.save(folder / "result.json", {
        **run, "verdict": verdict, "why": why, "totals": totals, "worse": compare(base.runs, series.runs, flaky)[0],
        "pins": {guest.name: guest.pins for guest in (base, series)},
        "cases": {guest.name: {command: {"status": r.status, **r.cases} for command, r in guest.runs.items()}
                  for guest in (base, series)}})
    said = "; ".join(f"{name}: " + ", ".join(f"{total[result]} {result}" for result in RESULTS)
                     for name, total in totals.items())
    return verdict, f"{why + '; ' if why else ''}{len(series.runs)} programs, {said}"
