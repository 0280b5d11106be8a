# SPDX-License-Identifier: GPL-2.0
"""verdict.py RESULTS: judge one run, write result.json, print the verdict.

RESULTS holds what the run left: run.json (what was asked for), guest.json (how the
guest ended), console.log, kunit.json (kunit.py parse --json) and stages. A run passes
only if everything that must be there is there; nothing passes by being absent.
"""

import json
import pathlib
import re
import subprocess
import sys

import splat
from common import FUNCTION, ROOT, exit_codes

TAINT_TEST = 1 << 18  # which panic_on_taint= leaves out


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
    path = ROOT / "kunit/kcsan-explained"
    pairs = [line.split(":", 1) for line in path.read_text().splitlines()
             if line.strip() and not line.startswith("#")]
    return {glob.strip(): reason.strip() for glob, reason in pairs}


def judge(run, guest, lines, kunit):
    """(class, text, details) for a run. Details are lines to show."""
    suites = {}
    for group in (kunit or {}).get("sub_groups", []):
        suites[group["name"]] = count(group)
    for case in (kunit or {}).get("test_cases", []):
        # A suite that crashed before its first test has no group of its own.
        suites[case["name"]] = {"passed": 0, "failed": 1, "skipped": 0,
                                "failures": [case["status"]], "skips": []}
    if run.get("config") == "kcsan":
        lines, foreign, known = splat.judge_races(lines, own_functions(run["tree"]), explained_races())
        run["races"] = {"outside": sorted(set(foreign)), "explained": sorted(set(known))}
    complaints = splat.splats(lines)
    text = [splat.plain(line) for line in lines]
    started = any(line.strip() == "KTAP version 1" for line in text)
    plan = next((int(m[1]) for m in (re.match(r"1\.\.(\d+)$", l) for l in text) if m), None)
    finished = any("reboot: Restarting system" in line or "reboot: machine restart" in line
                   for line in text)
    cpus = next((int(m[1]) for m in (re.search(r"Brought up \d+ nodes?, (\d+) CPUs?", l)
                                     for l in text) if m), None)
    armed = next((int(m[1], 16) for m in (re.search(r"panic_on_taint: bitmask=0x([0-9a-f]+)", l)
                                          for l in text) if m), None)
    limits = guest["limits"]

    def outcome():
        last = next((line for line in reversed(text) if line.strip()), "")
        if guest["end"] == "nothing":
            return "boot", f"the guest printed nothing for {limits['first']:g} s", []
        if guest["end"] == "exit" and not any(text):
            return "boot", f"QEMU ended with status {guest['status']} and no output", []
        if complaints:
            number, kind, what = complaints[0]
            if kind != "panic" or started:
                return ("splat", f"{what} (console.log line {number}, {kind}"
                        + (f", {len(complaints) - 1} more" if len(complaints) > 1 else "") + ")",
                        splat.excerpt(lines, number))
            return "boot", f"{what} (console.log line {number})", splat.excerpt(lines, number)
        if guest["end"] == "silent":
            return "timeout", f"no output for {limits['silent']:g} s; the last line was: {last}", []
        if guest["end"] == "limit":
            return "timeout", f"not done after {limits['total']:g} s; the last line was: {last}", []
        if guest["status"] != 0:
            return "boot", f"QEMU ended with status {guest['status']}; the last line was: {last}", []
        if not started:
            return "boot", f"the guest ended before its tests began; the last line was: {last}", []
        if cpus != run["cpus"]:
            return "boot", f"{cpus} CPUs came up in the guest, not {run['cpus']}", []
        if run["panic_on_taint"] and (armed is None or armed & TAINT_TEST or not armed):
            return "boot", "the kernel did not take panic_on_taint=, so its taint is unknown", []
        if not finished:
            return "boot", f"the guest ended before its tests were done; the last line was: {last}", []
        silent = [pattern for pattern in run.get("expected_lines", [])
                  if not any(re.search(pattern, line) for line in text)]
        if silent:
            return "boot", f"the console has no line '{silent[0]}': see configs/{run['config']}.expect", []
        if kunit is None:
            return "test", "kunit.py parse wrote no result", []
        return tests()

    def tests():
        if run["expected_suites"] and not suites:
            return "test", "no suite ran", []
        missing = [name for name in run["expected_suites"] if name not in suites]
        if missing:
            return "test", "did not run: " + ", ".join(missing), []
        strangers = [name for name in suites if name not in run["expected_suites"]]
        if strangers:
            return "test", "ran, but is not in the tree's sources: " + ", ".join(strangers), []
        if plan != len(run["expected_suites"]):
            return "test", f"the kernel planned {plan} suites, not {len(run['expected_suites'])}", []
        for field, word in (("failures", "failed"), ("skips", "skipped")):
            names = [f"{suite}.{name}" for suite, counts in suites.items()
                     for name in counts[field]]
            if names:
                return ("test", f"{len(names)} {word}, first: {names[0]}",
                        [f"{word}: {name}" for name in names[:20]] + expectations(text))
        empty = [name for name, counts in suites.items() if not counts["passed"]]
        if empty:
            return "test", "has no test: " + ", ".join(empty), []
        return "pass", "", []

    return (*outcome(), suites)


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


def main():
    results = pathlib.Path(sys.argv[1])

    def load(name):
        path = results / name
        return json.loads(path.read_text()) if path.exists() else None

    run, guest = load("run.json"), load("guest.json")
    with open(results / "console.log", encoding="utf-8", errors="replace") as log:
        lines = log.readlines()
    verdict, what, details, suites = judge(run, guest, lines, load("kunit.json"))
    totals = {key: sum(suite[key] for suite in suites.values())
              for key in ("passed", "failed", "skipped")}
    if verdict == "splat":
        details = decode(details, run)
    for line in details:
        print(f"    {line}")
    stages = [line.split() for line in (results / "stages").read_text().splitlines()]
    (results / "result.json").write_text(json.dumps({
        **run, "verdict": verdict, "why": what, "totals": totals, "suites": suites, "guest": guest,
        "stages": {name: float(seconds) for name, seconds in stages},
    }, indent=1) + "\n")
    for sort, titles in run.get("races", {}).items():
        print(f"    KCSAN: {len(titles)} different data races "
              + {"outside": "that do not touch mm/gup.c", "explained": "explained in kunit/kcsan-explained"}[sort])
    counts = f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped"
    (results / "summary").write_text(
        f"{what + '; ' if what else ''}{len(suites)} suites, {counts}, {run['accelerator']}, "
        f"guest {guest['seconds']:.1f} s\n")
    return exit_codes()[verdict]


if __name__ == "__main__":
    sys.exit(main())
