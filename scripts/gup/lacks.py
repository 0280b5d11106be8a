# SPDX-License-Identifier: GPL-2.0
"""What kunit/um-lacks says that a run on User Mode Linux cannot have."""

import collections
import re

from gup.cli import ROOT, Failure

# What a run on UML cannot have; of tests, which are skipped or slow, the reasons.
Lacks = collections.namedtuple("Lacks", "kinds cells skipped slow")


def um_lacks(path=ROOT / "kunit/um-lacks"):
    lacks = Lacks(set(), set(), {}, {})
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"(kinds|cell|skipped|slow) (\S[^:]*): (\S.*)", line)
        if not match:
            raise Failure("usage", f"{path}:{number}: wants 'kinds NAMES: reason', 'cell CLAUSE "
                          "KIND: reason', 'skipped TEST: reason' or 'slow TEST: reason'")
        if match[1] == "kinds":
            lacks.kinds.update(match[2].split())
        elif match[1] == "cell":
            lacks.cells.add(tuple(match[2].split()))
        else:
            getattr(lacks, match[1])[match[2]] = match[3]
    return lacks
