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

from gup import cli, ktap, splat
from gup.arch import ARCHES
from gup.cli import ROOT, indented, note, now
from gup.lacks import um_lacks

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
    return {"passed": len(names["PASS"]), "failed": len(names["FAIL"] + names["ERROR"]),
            "skipped": len(names["SKIP"]), "failures": names["FAIL"] + names["ERROR"],
            "skips": names["SKIP"]}


def suites_of(kunit):
    """{suite: counts} of kunit.json."""
    suites = {group["name"]: count(group) for group in kunit.get("sub_groups", [])}
    for case in kunit.get("test_cases", []):
        # A suite that crashed before its first test has no group of its own.
        suites[case["name"]] = {"passed": 0, "failed": 1, "skipped": 0, "failures": [case["status"]], "skips": []}
    return suites


def expectations(text, most=3):
    """What KUnit said about the first expectations that failed."""
    shown = []
    starts = [i for i, line in enumerate(text) if re.search(r"(EXPECTATION|ASSERTION) FAILED", line)]
    for start in starts[:most]:
        shown.append(text[start].strip())
        for line in text[start + 1:start + 8]:
            if re.match(r"\s*(# |(not )?ok |KTAP)", line):
                break
            shown.append("  " + line.strip())
    if len(starts) > most:
        shown.append(f"and {len(starts) - most} more, see console.log")
    return shown


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
    pairs = [line.split(":", 1) for line in cli.lines_of(ROOT / "kunit/kcsan-explained")]
    return {glob.strip(): reason.strip() for glob, reason in pairs}


class Run:
    """What a run left, in the words of CHECKS."""

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
        self.may_skip = {name for name in (um_lacks().skipped if run.get("arch") == "um" else ())
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

    def not_skipped(self):
        """What kunit/um-lacks says that a run of everything skips, and that ran."""
        whole = not self.run.get("glob") and not self.run.get("selection")
        return sorted(self.may_skip - self.skipped()) if whole else []

    def complaint(self, before_the_tests):
        """A panic before the tests is no finding of theirs."""
        if not self.complaints:
            return None
        number, kind, what = self.complaints[0]
        if before_the_tests != (kind == "panic" and not self.started):
            return None
        more = f", {len(self.complaints) - 1} more" if len(self.complaints) > 1 else ""
        return f"{what} (console.log line {number}, {kind}{more})"

    def taint_unknown(self):
        return self.run["panic_on_taint"] and (not self.armed or self.armed & TAINT_TEST)

    def silent(self):
        return next((p for p in self.run.get("expected_lines", []) if not self.said(p)), None)

    def missing(self):
        return [name for name in self.run["expected_suites"] if name not in self.suites]

    def strangers(self):
        return [name for name in self.suites if name not in self.run["expected_suites"]]

    def empty(self):
        return [name for name, counts in self.suites.items() if not counts["passed"]
                and not ({f"{name}.{skip}" for skip in counts["skips"]} or {None}) <= self.may_skip]

    def errors(self):
        """Of a report without a suite kunit.py says that nothing ran, which may be right."""
        return self.suites and self.kunit.get("misc", {}).get("errors", 0)

    def totals(self):
        return {key: sum(suite[key] for suite in self.suites.values()) for key in COUNTS}

    def bad(self, field, word):
        names = self.names(field)
        return names and f"{len(names)} {word}, first: {names[0]}"


def words(counts):
    return ", ".join(f"{counts[key]} {key}" for key in COUNTS)


# (class of the exit code, what is wrong or nothing), in the order in which one explains the
# next: the first that says something is the verdict. None may pass by being absent, and
# kunit.py's status is not among them: it is 0 for many a log that is no pass.
CHECKS = [
    ("boot", lambda r: r.guest["end"] == "nothing"
     and f"the guest printed nothing for {r.guest['silence_allowed']:g} s"),
    ("boot", lambda r: r.guest["end"] == "exit" and not any(r.text)
     and f"{r.arch.machine} ended with status {r.guest['status']} and no output"),
    ("boot", lambda r: r.complaint(before_the_tests=True)),
    ("splat", lambda r: r.complaint(before_the_tests=False)),
    ("timeout", lambda r: r.guest["end"] == "silent" and f"nothing new for {r.guest['silence_allowed']:g} s; {r.last}"),
    ("timeout", lambda r: r.guest["end"] == "flood" and f"the guest prints without an end; {r.last}"),
    ("boot", lambda r: r.guest["status"] != 0 and f"{r.arch.machine} ended with status {r.guest['status']}; {r.last}"),
    ("boot", lambda r: not r.started and f"the guest ended before its tests began; {r.last}"),
    ("boot", lambda r: r.cpus != r.run["cpus"] and f"{r.cpus} CPUs came up in the guest, not {r.run['cpus']}"),
    ("boot", lambda r: r.taint_unknown() and "the kernel did not take panic_on_taint=, so its taint is unknown"),
    ("boot", lambda r: not r.finished and f"the guest ended before its tests were done; {r.last}"),
    ("boot", lambda r: r.silent() and f"the console has no line '{r.silent()}': "
     f"see configs/{r.run['config']}/expect"),
    ("test", lambda r: r.broken and f"no whole report: {r.broken}"),
    ("test", lambda r: r.kunit is None and "kunit.py parse wrote no result"),
    ("test", lambda r: r.run["expected_suites"] and not r.suites and "no suite ran"),
    ("test", lambda r: r.missing() and "did not run: " + ", ".join(r.missing())),
    ("test", lambda r: r.strangers() and "ran, but is not in the tree's sources: " + ", ".join(r.strangers())),
    ("test", lambda r: r.plan != len(r.run["expected_suites"])
     and f"the kernel planned {r.plan} suites, not {len(r.run['expected_suites'])}"),
    ("test", lambda r: r.bad("failures", "failed")),
    ("test", lambda r: r.bad("skips", "skipped")),
    ("test", lambda r: r.not_skipped() and "kunit/um-lacks names as skipped what was not: "
     + ", ".join(r.not_skipped())),
    ("test", lambda r: r.empty() and "has no test: " + ", ".join(r.empty())),
    ("test", lambda r: r.errors() and f"kunit.py met {r.errors()} errors in the report, see kunit.txt"),
    ("test", lambda r: r.counted != r.totals()
     and f"the console has {words(r.counted)}, and kunit.py says {words(r.totals())}"),
]


def details(run, verdict):
    """Lines to show of what is wrong."""
    if run.complaints:
        return splat.excerpt(run.lines, run.complaints[0][0])
    if verdict != "test" or run.broken:
        return []
    for field, word in (("failures", "failed"), ("skips", "skipped")):
        names = run.names(field)
        if names:
            return [f"{word}: {name}" for name in names[:20]] + expectations(run.text)
    return []


def judge(run, guest, lines, kunit):
    """(class, text, details, {suite: counts}) for a run. Details are lines to show."""
    if run.get("config") == "kcsan":
        lines, foreign, known = splat.judge_races(lines, own_functions(run["tree"]), explained_races())
        run["races"] = {"outside": sorted(set(foreign)), "explained": sorted(set(known))}
    left = Run(run, guest, lines, kunit)
    run["broken"] = left.broken
    run["expected_skips"] = sorted(left.skipped() & left.may_skip)
    for verdict, check in CHECKS:
        what = check(left)
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
    run, guest, kunit = (json.loads(cli.text_of(folder / name) or "null") for name in ("run.json", "guest.json", "kunit.json"))
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
    return kind, summary
