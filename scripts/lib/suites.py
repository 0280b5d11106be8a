# SPDX-License-Identifier: GPL-2.0
"""suites.py TREE [GLOB]: the suites that a run of the tree must show.

Read from the sources, so that a suite that is not built or not run is missed. Each
file mm/tests/gup_*_kunit.c must define one. A suite is slow, and left out of normal
runs by "kunit.filter=speed>slow", if it or all its cases are marked so.
"""

import fnmatch
import pathlib
import re
import sys

from common import Failure, main

SLOW = r"KUNIT_SPEED_(VERY_)?SLOW"


def suites(tree):
    """{name: slow} of the suites of the series."""
    found = {}
    for path in sorted(pathlib.Path(tree, "mm/tests").glob("gup_*_kunit.c")):
        source = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S)
        blocks = re.findall(r"struct kunit_suite \w+ = \{(.*?)\n\};", source, re.S)
        names = [re.search(r'\.name\s*=\s*"(\w+)"', block) for block in blocks]
        if not blocks or not all(names):
            raise Failure("test", f"{path} defines no kunit_suite with a .name",
                          "each gup_*_kunit.c must; call a file without one otherwise")
        for block, name in zip(blocks, names):
            table = re.search(r"\.test_cases\s*=\s*(\w+)", block)
            cases = re.search(r"struct kunit_case %s\[\] = \{(.*?)\n\};" % table[1], source, re.S)
            kinds = re.findall(r"\bKUNIT_CASE\w*(?=\()", cases[1]) if cases else []
            all_slow = bool(kinds) and all(
                kind == "KUNIT_CASE_SLOW" for kind in kinds) or bool(
                kinds) and len(re.findall(SLOW, cases[1])) == len(kinds)
            found[name[1]] = bool(re.search(SLOW, block)) or all_slow
    return found


def select(found, glob):
    """The names of normal (not slow) suites that a kunit.filter_glob matches."""
    normal = [name for name, slow in found.items() if not slow]
    if glob is None:
        return normal
    chosen = [name for name in normal if fnmatch.fnmatchcase(name, glob.split(".")[0])]
    if not chosen:
        raise Failure("usage", f"no suite matches '{glob}'",
                      "there are: " + (", ".join(normal) or "none in this tree"))
    return chosen


def run():
    for name in select(suites(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None):
        print(name)
    return 0


if __name__ == "__main__":
    main(run)
