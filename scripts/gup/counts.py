# SPDX-License-Identifier: GPL-2.0
"""What scripts/check and scripts/test count: checks, and [passed, failed, skipped] of results."""

import json
import pathlib

from gup import cli, lacks, verdict


class Checks:
    """What can fail is counted, and one that fails does not end the run."""

    def __init__(self):
        self.passed, self.failed, self.failures = 0, 0, []

    def add(self, name, wrong, most=30):
        """wrong: lines to show; none is good."""
        if not wrong:
            self.passed += 1
            return
        self.failed += 1
        self.failures.append(name)
        print(f"  FAILED: {name}")
        cli.indented(wrong, most)

    def run(self, name, function):
        """function() returns what is wrong, or cannot do its work."""
        try:
            found = function()
        except (cli.Failure, OSError, UnicodeError) as error:
            found = [str(error)]
        self.add(name, found)

    def conclude(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        if self.failed:
            raise cli.End("check", f"{self.failures[0]}, and {len(self.failures) - 1} more")


def kunit(path):
    """Of kunit.py --json. Its status is 0 where it met errors, and where all was skipped."""
    found = json.loads(pathlib.Path(path).read_text())
    counted = verdict.count(found)
    errors = found.get("misc", {}).get("errors", 0) + (not counted["passed"])
    return [counted["passed"], counted["failed"] + errors, counted["skipped"]]


def um(cpus, path):
    """The same on User Mode Linux, of which kunit/lacks/um says what it skips: what it skips
    besides, and what it does not skip, has failed."""
    found = lacks.of("um")
    named = {name for name, reason in {**found.skipped, **found.slow}.items()
             if cpus == 1 or not reason.startswith("one CPU")}
    skipped = set(verdict.leaves(json.loads(pathlib.Path(path).read_text()))["SKIP"])
    wrong = [f"skipped, and kunit/lacks/um does not say so: {name}" for name in sorted(skipped - named)]
    wrong += [f"not skipped, but kunit/lacks/um says so: {name}" for name in sorted(named - skipped)]
    cli.indented(wrong)
    passed, failed, _ = kunit(path)
    return [passed, failed + len(wrong), len(skipped & named)]
