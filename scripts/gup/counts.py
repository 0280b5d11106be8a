# SPDX-License-Identifier: GPL-2.0
"""[passed, failed, skipped] of results, as scripts/test counts them."""

import json
import pathlib

from gup import cli, verdict
from gup.lacks import um_lacks


def kunit(path):
    """Of kunit.py --json. Its status is 0 where it met errors, and where all was skipped."""
    found = json.loads(pathlib.Path(path).read_text())
    counted = verdict.count(found)
    errors = found.get("misc", {}).get("errors", 0) + (not counted["passed"])
    return [counted["passed"], counted["failed"] + errors, counted["skipped"]]


def um(cpus, path):
    """The same on User Mode Linux, of which kunit/um-lacks says what it skips: what it skips
    besides, and what it does not skip, has failed."""
    lacks = um_lacks()
    named = {name for name, reason in {**lacks.skipped, **lacks.slow}.items()
             if cpus == 1 or not reason.startswith("one CPU")}
    skipped = set(verdict.leaves(json.loads(pathlib.Path(path).read_text()))["SKIP"])
    wrong = [f"skipped, and kunit/um-lacks does not say so: {name}" for name in sorted(skipped - named)]
    wrong += [f"not skipped, but kunit/um-lacks says so: {name}" for name in sorted(named - skipped)]
    cli.indented(wrong)
    passed, failed, _ = kunit(path)
    return [passed, failed + len(wrong), len(skipped & named)]
