# SPDX-License-Identifier: GPL-2.0
"""What kunit/lacks/NAME says that a run on an architecture cannot have, or with a configuration."""

import collections

from gup.arch import ARCHES
from gup.cli import ROOT, matched

FOLDER = ROOT / "kunit/lacks"
# What a run cannot have; of tests, which are skipped or slow, the reasons.
Lacks = collections.namedtuple("Lacks", "kinds cells skipped slow")


def of(name, config="reference", folder=FOLDER):
    """Of this architecture, of the family that it belongs to, and of the configuration. What has no file
    lacks nothing."""
    lacks = Lacks(set(), set(), {}, {})
    for path in dict.fromkeys((folder / ARCHES[name].folder, folder / name, folder / config)):
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
