# SPDX-License-Identifier: GPL-2.0
"""The suites that a run of the tree must show.

Read from the sources, so that a suite that is not built or not run is missed, and a name
that nothing has is known before the build. Each file mm/tests/gup_*_kunit.c must define
one. A test is slow, and left out of normal runs by "kunit.filter=speed>slow", if it or its
suite is marked so, and a suite if all its tests are.
"""

import collections
import fnmatch
import pathlib
import re

from gup.cli import Failure

SLOW = r"KUNIT_SPEED_(VERY_)?SLOW"
CASE = re.compile(r"\b(?:KUNIT|GUP)_CASE(\w*)\(\s*(\w+)([^()]*)\)")


# What GUP_SUITE() of mm/tests/gup_kunit.h defines, as far as it matters here.
SUITE = r'struct kunit_suite \1_suite = {\n\t.name = "\1",\n\t.test_cases = \1_cases,\n};'

# cases: {name: slow}, or None where the table of them was not found.
Suite = collections.namedtuple("Suite", "slow cases")


def is_slow(kind, arguments, source):
    """Of a KUNIT_CASE: its attributes stand in it, or in a variable that it names."""
    if kind == "_SLOW" or re.search(SLOW, arguments):
        return True
    return any(re.search(r"struct kunit_attributes %s = \{[^}]*%s" % (name, SLOW), source)
               for name in re.findall(r"\w+", arguments))


def read_suite(block, source):
    table = re.search(r"\.test_cases\s*=\s*(\w+)", block)
    text = table and re.search(r"struct kunit_case %s\[\] = \{(.*?)\n\};" % table[1], source, re.S)
    cases = text and {case[2]: is_slow(case[1], case[3], source) for case in CASE.finditer(text[1])}
    return Suite(bool(re.search(SLOW, block) or (cases and all(cases.values()))), cases)


def suites(tree):
    """{name: Suite} of the suites of the series."""
    found = {}
    for path in sorted(pathlib.Path(tree, "mm/tests").glob("gup_*_kunit.c")):
        source = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S)
        source = re.sub(r"^GUP_SUITE\((\w+)\);", SUITE, source, flags=re.M)
        blocks = re.findall(r"struct kunit_suite \w+ = \{(.*?)\n\};", source, re.S)
        names = [re.search(r'\.name\s*=\s*"(\w+)"', block) for block in blocks]
        if not blocks or not all(names):
            raise Failure("test", f"{path} defines no kunit_suite with a .name",
                          "each gup_*_kunit.c must; call a file without one otherwise")
        found |= {name[1]: read_suite(block, source) for block, name in zip(blocks, names)}
    return found


def select(found, glob):
    """The names of normal (not slow) suites that a kunit.filter_glob takes a test of."""
    normal = {name: suite for name, suite in found.items() if not suite.slow}
    if glob is None:
        return list(normal)
    suite_glob, dot, test_glob = glob.partition(".")  # at the first dot, as the kernel does
    named = [name for name in normal if fnmatch.fnmatchcase(name, suite_glob)]
    if not named:
        raise Failure("usage", f"no suite matches '{glob}'", "there are: " + (", ".join(normal) or "none in this tree"))
    if not dot:
        return named
    tests = {name: [test for test, slow in (normal[name].cases or {}).items() if not slow] for name in named}
    chosen = [name for name in named if normal[name].cases is None or fnmatch.filter(tests[name], test_glob)]
    if not chosen:
        raise Failure("usage", f"no test matches '{glob}' (a row of a parameterised test has no filter)",
                      f"in {', '.join(named)} there are: {', '.join(sum(tests.values(), []))}")
    return chosen
