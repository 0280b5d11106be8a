# SPDX-License-Identifier: GPL-2.0
"""What kunit/um-lacks says that a run on User Mode Linux cannot have."""

import collections

from gup.cli import ROOT, matched

# What a run on UML cannot have; of tests, which are skipped or slow, the reasons.
Lacks = collections.namedtuple("Lacks", "kinds cells skipped slow")


def um_lacks(path=ROOT / "kunit/um-lacks"):
    lacks = Lacks(set(), set(), {}, {})
    for kind, what, reason in matched(
            path, r"(kinds|cell|skipped|slow) (\S[^:]*): (\S.*)", "'kinds NAMES: reason', 'cell CLAUSE KIND: reason', "
            "'skipped TEST: reason' or 'slow TEST: reason'"):
        if kind == "kinds":
            lacks.kinds.update(what.split())
        elif kind == "cell":
            lacks.cells.add(tuple(what.split()))
        else:
            getattr(lacks, kind)[what] = reason
    return lacks
