# SPDX-License-Identifier: GPL-2.0
"""counts.py kunit JSON...: "passed failed skipped" of results of kunit.py --json.

counts.py um CPUS JSON: the same of a run on User Mode Linux, of which kunit/um-lacks says what
it skips: what it skips besides, and what it does not skip, has failed.

counts.py expect RESULT FILE: a run on a kernel without the fixes. FILE has lines of a
glob and a number: so many tests of this name must fail, and all others must pass.
Prints the same three numbers, where a failure that was expected counts as passed.
"""

import fnmatch
import json
import pathlib
import sys

import verdict
from common import Failure, main
from lacks import um_lacks


def kunit(paths):
    totals = [0, 0, 0]
    for path in paths:
        found = json.loads(pathlib.Path(path).read_text())
        counted = verdict.count(found)
        for index, key in enumerate(verdict.COUNTS):
            totals[index] += counted[key]
        # kunit.py's status is 0 where it met errors, and where all was skipped.
        totals[1] += found.get("misc", {}).get("errors", 0) + (not counted["passed"])
    return totals


def um(cpus, path):
    lacks = um_lacks()
    named = {name for name, reason in {**lacks.skipped, **lacks.slow}.items()
             if cpus == "1" or not reason.startswith("one CPU")}
    skipped = {f"{suite}.{name}" for suite, counts in
               verdict.suites_of(json.loads(pathlib.Path(path).read_text())).items() for name in counts["skips"]}
    wrong = [f"skipped, and kunit/um-lacks does not say so: {name}" for name in sorted(skipped - named)]
    wrong += [f"not skipped, but kunit/um-lacks says so: {name}" for name in sorted(named - skipped)]
    for line in wrong:
        print(f"    {line}", file=sys.stderr)
    passed, failed, _ = kunit([path])
    return [passed, failed + len(wrong), len(skipped & named)]


def expect(result_path, list_path):
    result = json.loads(pathlib.Path(result_path).read_text())
    lines = [line.split("#")[0].split() for line in pathlib.Path(list_path).read_text().splitlines()]
    globs = {line[0]: int(line[1]) for line in lines if line}
    if not globs:
        raise Failure("check", f"{list_path} names no test")
    wrong = []
    if result["verdict"] != "test" or not result["suites"]:
        wrong.append(f"the run ended with '{result['verdict']}: {result['why']}', not with failed tests")
    if result.get("broken"):
        wrong.append(result["broken"])
    missing = [name for name in result["expected_suites"] if name not in result["suites"]]
    wrong += [f"did not run: {name}" for name in missing]
    failures = [f"{suite}.{name}" for suite, counts in result["suites"].items()
                for name in counts["failures"]]
    skips = [f"{suite}.{name}" for suite, counts in result["suites"].items() for name in counts["skips"]
             if f"{suite}.{name}" not in result.get("expected_skips", [])]
    wrong += [f"skipped: {name}" for name in skips]
    wrong += [f"fails, and is not expected to: {name}" for name in failures
              if not any(fnmatch.fnmatchcase(name, glob) for glob in globs)]
    expected = {glob: len(fnmatch.filter(failures, glob)) for glob in globs}
    wrong += [f"{expected[glob]} tests failed, not {number}: {glob}" for glob, number in globs.items()
              if expected[glob] != number]
    for line in wrong:
        print(f"    {line}", file=sys.stderr)
    good = result["totals"]["passed"] + sum(expected.values())
    return [good, len(wrong), 0]


def run():
    if sys.argv[1] == "kunit":
        totals = kunit(sys.argv[2:])
    else:
        totals = {"um": um, "expect": expect}[sys.argv[1]](*sys.argv[2:])
    print(*totals)
    return 0


if __name__ == "__main__":
    main(run)
