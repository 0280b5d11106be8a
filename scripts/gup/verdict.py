# SPDX-License-Identifier: GPL-2.0
"""Judges one run: of() writes result.json and summary.

A folder holds what the run left: run.json (what was asked for), guest.json (how the
guest ended), console.log, kunit.json (kunit.py parse --json). A run passes
only if everything that must be there is there; nothing passes by being absent.
"""

import json
import pathlib
import re
import subprocess

from gup import cli, junit, ktap, lacks, splat
from gup.arch import ARCHES
from gup.cli import ROOT, indented, note, now

TAINT_TEST = 1 << 18  # which panic_on_taint= leaves out
COUNTS = ("passed", "failed", "skipped")
# A line of C that begins a function, whose name may have the line for itself.
FUNCTION = re.compile(r"(?:[A-Za-z_].*?\b)??([A-Za-z_]\w*)\(")


def leaves(group):
    """(passed, failed, skipped) names of the tests under a kunit.json group."""
    result = {"PASS": [], "SKIP": [], "FAIL": [], "ERROR": []}
    for case in group.get("test_cases", []):
        result[case["status"]].append(case["name"])
    for sub in group.get("sub_groups", []):
        for status, names in leaves(sub).items():
            result[status] += [f"{sub['name']}.{name}" for name in names]
    return result


def count(group):
    names = leaves(group)
    passed, failed, skipped = names["PASS"], names["FAIL"] + names["ERROR"], names["SKIP"]
    return {"passed": len(passed), "failed": len(failed), "skipped": len(skipped), "failures": failed, "skips": skipped}


def suites_of(kunit):
    """{suite: counts} of kunit.json."""
    suites = {group["name"]: count(group) for group in kunit.get("sub_groups", [])}
    for case in kunit.get("test_cases", []):
        # A suite that crashed before its first test has no group of its own.
        suites[case["name"]] = {"passed": 0, "failed": 1, "skipped": 0, "failures": [case["status"]], "skips": []}
    return suites


def own_functions(tree):
    """What is defined in mm/gup.c and in the suites."""
    names = set()
    for path in [pathlib.Path(tree, "mm/gup.c"), *pathlib.Path(tree, "mm/tests").glob("gup_*.c")]:
        if path.exists():
            found = map(FUNCTION.match, path.read_text().splitlines())
            names |= {match[1] for match in found if match}
    return names


def explained_races():
    """{glob of a report's title: reason} from kunit/kcsan-explained."""
    return dict(cli.matched(ROOT / "kunit/kcsan-explained", r"([^:]+): *(\S.*)", "'TITLE: reason'"))


class Run:
    """What a run left."""

    def __init__(self, run, guest, lines, kunit):
        self.run, self.guest, self.lines = run, guest, lines
        self.text = [splat.plain(line) for line in lines]
        self.last = "the last line was: " + next((l for l in reversed(self.text) if l.strip()), "")
        self.complaints = splat.splats(lines)
        self.started = any(line.strip() == "KTAP version 1" for line in self.text)
        self.arch = ARCHES[run.get("arch", "x86_64")]
        self.finished = bool(self.said(self.arch.end))
        # A kernel that can have no more than one does not say so.
        self.cpus = self.number(r"Brought up \d+ nodes?, (\d+) CPUs?") or 1
        self.armed = self.number(r"panic_on_taint: bitmask=0x([0-9a-f]+)", 16)
        self.may_skip = {name for name in lacks.of(self.arch.name, run.get("config", "reference")).skipped
                         if name.split(".")[0] in run["expected_suites"]}
        self.plan = self.number(r"^1\.\.(\d+)$")
        self.kunit, self.suites = kunit, suites_of(kunit or {})
        self.counted, self.broken = ktap.read(lines)

    def said(self, pattern):
        return next((m for m in (re.search(pattern, line) for line in self.text) if m), None)

    def number(self, pattern, base=10):
        match = self.said(pattern)
        return int(match[1], base) if match else None

    def names(self, field):
        names = [f"{suite}.{name}" for suite, counts in self.suites.items() for name in counts[field]]
        return [name for name in names if field != "skips" or name not in self.may_skip]

    def skipped(self):
        return {f"{suite}.{name}" for suite, counts in self.suites.items() for name in counts["skips"]}

    def totals(self):
        return {key: sum(suite[key] for suite in self.suites.values()) for key in COUNTS}

    def bad(self, field, word):
        names = self.names(field)
        return names and f"{len(names)} {word}, first: {names[0]}"

    def complaint(self):
        number, kind, what = self.complaints[0]
        more = f", {len(self.complaints) - 1} more" if len(self.complaints) > 1 else ""
        return f"{what} (console.log line {number}, {kind}{more})"

    def findings(self):
        """(class of the exit code, what is wrong or nothing), in the order in which one explains the
        next: the first that says something is the verdict. None may pass by being absent, and
        kunit.py's status is not among them: it is 0 for many a log that is no pass."""
        run, guest, end, wanted = self.run, self.guest, self.guest["end"], self.run["expected_suites"]
        yield "boot", end == "nothing" and f"the guest printed nothing for {guest['silence_allowed']:g} s"
        ended = f"{self.arch.machine} ended with status {guest['status']}"
        yield "boot", end == "exit" and not any(self.text) and f"{ended} and no output"
        # A panic before the tests is no finding of theirs.
        early = self.complaints and self.complaints[0][1] == "panic" and not self.started
        yield "boot" if early else "splat", self.complaints and self.complaint()
        yield "timeout", end == "silent" and f"nothing new for {guest['silence_allowed']:g} s; {self.last}"
        yield "timeout", end == "flood" and f"the guest prints without an end; {self.last}"
        yield "boot", guest["status"] != 0 and f"{ended}; {self.last}"
        yield "boot", not self.started and f"the guest ended before its tests began; {self.last}"
        yield "boot", self.cpus != run["cpus"] and f"{self.cpus} CPUs came up in the guest, not {run['cpus']}"
        unknown = run["panic_on_taint"] and (not self.armed or self.armed & TAINT_TEST)
        yield "boot", unknown and "the kernel did not take panic_on_taint=, so its taint is unknown"
        yield "boot", not self.finished and f"the guest ended before its tests were done; {self.last}"
        silent = next((pattern for pattern in run.get("expected_lines", []) if not self.said(pattern)), None)
        yield "boot", silent and f"the console has no line '{silent}': see configs/{run['config']}/expect"
        yield "test", self.broken and f"no whole report: {self.broken}"
        yield "test", self.kunit is None and "kunit.py parse wrote no result"
        yield "test", wanted and not self.suites and "no suite ran"
        missing = [name for name in wanted if name not in self.suites]
        yield "test", missing and f"did not run: {', '.join(missing)}"
        strangers = [name for name in self.suites if name not in wanted]
        yield "test", strangers and f"ran, but is not in the tree's sources: {', '.join(strangers)}"
        yield "test", self.plan != len(wanted) and f"the kernel planned {self.plan} suites, not {len(wanted)}"
        yield "test", self.bad("failures", "failed")
        yield "test", self.bad("skips", "skipped")
        whole = not run.get("glob") and not run.get("selection")
        ran = whole and sorted(self.may_skip - self.skipped())
        yield "test", ran and f"kunit/lacks names as skipped what was not: {', '.join(ran)}"
        empty = [name for name, counts in self.suites.items() if not counts["passed"]
                 and not ({f"{name}.{skip}" for skip in counts["skips"]} or {None}) <= self.may_skip]
        yield "test", empty and f"has no test: {', '.join(empty)}"
        # Of a report without a suite kunit.py says that nothing ran, which may be right.
        errors = self.suites and self.kunit.get("misc", {}).get("errors", 0)
        yield "test", errors and f"kunit.py met {errors} errors in the report, see kunit.txt"
        totals = self.totals()
        what = f"the console has {words(self.counted)}, and kunit.py says {words(totals)}"
        yield "test", self.counted != totals and what


def words(counts):
    return ", ".join(f"{counts[key]} {key}" for key in COUNTS)


def details(run, verdict):
    """Lines to show of what is wrong."""
    if run.complaints:
        return splat.excerpt(run.lines, run.complaints[0][0])
    if verdict != "test" or run.broken:
        return []
    for field, word in (("failures", "failed"), ("skips", "skipped")):
        names = run.names(field)
        if names:
            said = [lines[:8] for lines in ktap.what_was_said(run.lines).values()]
            more = [f"and {len(said) - 3} more, see console.log"] if len(said) > 3 else []
            return [*(f"{word}: {name}" for name in names[:20]), *sum(said[:3], []), *more]
    return []


def judge(run, guest, lines, kunit):
    """(class, text, details, {suite: counts}) for a run. Details are lines to show."""
    if run.get("config") == "kcsan":
        lines, foreign, known = splat.judge_races(lines, own_functions(run["tree"]), explained_races())
        run["races"] = {"outside": sorted(set(foreign)), "explained": sorted(set(known))}
    left = Run(run, guest, lines, kunit)
    run["broken"] = left.broken
    run["expected_skips"] = sorted(left.skipped() & left.may_skip)
    for verdict, what in left.findings():
        if what:
            return verdict, what, details(left, verdict), left.suites
    return "pass", "", [], left.suites


def decode(excerpt, run):
    """The excerpt through the kernel's decode_stacktrace.sh, if vmlinux is there."""
    vmlinux = pathlib.Path(run["out"], "vmlinux")
    script = pathlib.Path(run["tree"], "scripts/decode_stacktrace.sh")
    if not excerpt or not vmlinux.exists() or not script.exists():
        return excerpt
    try:
        result = subprocess.run([str(script), str(vmlinux), run["tree"]], timeout=60, check=False,
                                input="\n".join(excerpt) + "\n", capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        return excerpt
    return result.stdout.splitlines() or excerpt


def of(folder):
    """(class, summary) of the run that a folder holds."""
    names = ("run.json", "guest.json", "kunit.json")
    run, guest, kunit = (json.loads(cli.text_of(folder / name) or "null") for name in names)
    lines = cli.text_of(folder / "console.log").splitlines()
    kind, what, shown, suites = judge(run, guest, lines, kunit)
    totals = {key: sum(suite[key] for suite in suites.values()) for key in COUNTS}
    indented(decode(shown, run) if kind == "splat" else shown)
    for sort, titles in run.get("races", {}).items():
        note(f"KCSAN: {len(titles)} different data races "
             + {"outside": "that do not touch mm/gup.c", "explained": "explained in kunit/kcsan-explained"}[sort])
    cli.save(folder / "result.json", {
        **run, "verdict": kind, "why": what, "totals": totals, "suites": suites, "guest": guest, "stages": now.stages})
    summary = (f"{what + '; ' if what else ''}{len(suites)} suites, {words(totals)}, {run['accelerator']}, "
               f"guest {guest['seconds']:.1f} s")
    (folder / "summary").write_text(summary + "\n")
    results = {group["name"]: leaves(group) for group in (kunit or {}).get("sub_groups", [])}
    (folder / "junit.xml").write_text(junit.text(results, ktap.what_was_said(lines), kind, what, guest["seconds"]))
    return kind, summary
