# SPDX-License-Identifier: GPL-2.0
"""lacks.py: what kunit/um-lacks says that a run on User Mode Linux cannot have."""

import re

from common import ROOT, Failure


def um_lacks(path=ROOT / "kunit/um-lacks"):
    """(kinds, cells, {test: reason}) that a run on UML cannot have."""
    kinds, alone, skipped = set(), set(), {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"(kinds|cell|skipped) (\S[^:]*): (\S.*)", line)
        if not match:
            raise Failure("usage", f"{path}:{number}: wants 'kinds NAMES: reason', 'cell CLAUSE "
                          "KIND: reason' or 'skipped TEST: reason'")
        if match[1] == "kinds":
            kinds.update(match[2].split())
        elif match[1] == "cell":
            alone.add(tuple(match[2].split()))
        else:
            skipped[match[2]] = match[3]
    return kinds, alone, skipped
