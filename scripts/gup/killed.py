# SPDX-License-Identifier: GPL-2.0
"""Did the tests that a mutant names fail, and did they say why?

A test that failed has said which expectation does not hold. One that ended in an oops, a panic, a
hang or a warning alone has not: that is a crash, and kills nothing.
"""

import fnmatch

from gup import splat, verdict
from gup.ktap import what_was_said

# What judge() says of a boot, the worst first.
STATES = ("fails", "crashes", "absent", "passes")


def matches(name, glob):
    return fnmatch.fnmatchcase(name, glob) or fnmatch.fnmatchcase(name, glob + ".*")


def kernel_glob(glob):
    """What the kernel can filter by: it knows nothing of parameters."""
    return ".".join(glob.split(".")[:2])


def judge(lines, guest, kunit, glob):
    """{state, tests, lines}: did the tests of a glob pass, fail, or crash?"""
    names = {status: [] for status in ("PASS", "SKIP", "FAIL", "ERROR")}
    for status, leaves in verdict.leaves(kunit or {}).items():
        names[status] = [name for name in leaves if matches(name, glob)]
    said = what_was_said(lines)
    failed = [name for name in names["FAIL"] + names["ERROR"] if name in said]
    ended = guest["end"] == "exit" and any("reboot: " in line for line in lines)
    if not failed and not ended and glob == kernel_glob(glob):
        # Which parameter it died in is not known.
        failed = [name for name in list(said)[-1:] if name.count(".") == 1 and fnmatch.fnmatchcase(name, glob)]
    if failed:
        return {"state": "fails", "tests": failed, "lines": said[failed[0]][:8]}
    crashed = [name for name in names["FAIL"] + names["ERROR"] if name not in said]
    complaints = splat.splats(lines)
    if complaints:
        number, kind, what = complaints[0]
        return {"state": "crashes", "tests": crashed, "lines": [
            f"{kind}: {what}", *splat.excerpt(lines, number, 6)[1:]]}
    if not ended:
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
        return {"state": "crashes", "tests": crashed,
                "lines": [f"the guest did not end ({guest['end']}), last: {splat.plain(last)}"]}
    if crashed:
        return {"state": "crashes", "tests": crashed, "lines": ["no expectation of it failed"]}
    if names["SKIP"] or not names["PASS"]:
        what = f"skipped: {names['SKIP'][0]}" if names["SKIP"] else f"no test '{glob}' ran"
        return {"state": "absent", "tests": [], "lines": [what]}
    return {"state": "passes", "tests": names["PASS"],
            "lines": [f"fails, but is not named: {name}" for name in list(said)[:3]]}


def worst(found):
    return min(found, key=lambda one: STATES.index(one["state"]))
