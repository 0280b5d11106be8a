# SPDX-License-Identifier: GPL-2.0
"""What a console says of each test, and is its KTAP report whole?

kunit.py reads results and goes on where something is missing: it takes a torn line for a
result of another name, a suite without a plan for one of any length, and of two reports
the first. So the shape is checked here, by itself and strictly: each group of results
(the report, a suite in it, a parameterised test in that) has a plan, results numbered from
1 to its end, and a result of its own that agrees with them.
"""

import itertools
import re

from gup.splat import MESSAGE, STAMP, plain

HEADER = re.compile(r"( *)KTAP version 1$")
SUBTEST = re.compile(r"( *)# Subtest: (.*)$")
PLAN = re.compile(r"( *)1\.\.(\d+)$")
RESULT = re.compile(r"( *)(not ok|ok) (\d+)(?: -)?(?: ([^#]*?))?(?: # (SKIP)?.*)?$")
# The beginning of a line of the report and then a kernel message, or the other way round.
BEGINNING = r"(?:(?:not )?ok \d|1\.\.\d|KTAP|# Subtest)"
TORN = re.compile(rf" *{BEGINNING}.*{MESSAGE}|.*\S.*{MESSAGE} +{BEGINNING}")
LEVELS = ("the report", "the suite", "the test")
PARAMETERS = 2  # the level whose plan may be unknown: rows may be made one by one


class Broken(Exception):
    """What is wrong with the report."""


def must(good, what):
    if not good:
        raise Broken(what)


class Group:
    """What came below one header so far."""

    def __init__(self, level):
        self.level, self.name, self.plan, self.results, self.bad = level, None, None, 0, False

    def __str__(self):
        return LEVELS[self.level] + (f" {self.name}" if self.name else "")

    def add(self, number, word):
        must(self.plan is not None or self.level >= PARAMETERS, f"{self} has results and no plan")
        must(number == self.results + 1, f"{self} has result {number} where {self.results + 1} was due")
        must(self.plan is None or number <= self.plan, f"{self} has more results than the {self.plan} planned")
        self.results += 1
        self.bad = self.bad or word == "not ok"

    def end(self, name, word, skipped):
        """Its own result came."""
        must(self.name in (None, name), f"{self} ended with the result of '{name}'")
        must(self.plan is not None or self.level >= PARAMETERS, f"{self} has no plan")
        must(self.plan in (None, self.results), f"{self} has {self.results} results of {self.plan}")
        must(self.results or skipped, f"{self} has no result")
        must(self.bad == (word == "not ok"), f"{self} is '{word}', unlike its results")


class Report:
    """Fed with the lines of a console, one by one; counts results that have none below."""

    def __init__(self):
        self.groups, self.whole, self.stamped = [], False, None
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def feed(self, line):
        text, stamped = plain(line), bool(STAMP.match(line))
        if self.stamped is None and HEADER.fullmatch(text):
            self.stamped = stamped
        must(self.whole or not TORN.match(text), f"a kernel message tore a line of the report: {text.strip()}")
        # What programs of the guest print has no stamp, if the kernel's lines have one.
        if stamped != self.stamped:
            return
        for pattern, take in ((HEADER, self.header), (SUBTEST, self.subtest), (PLAN, self.take_plan),
                              (RESULT, self.result)):
            match = pattern.fullmatch(text)
            if match:
                take(len(match[1]) // 4, *match.groups()[1:])

    def header(self, level):
        must(not self.whole, "a second report begins, of which kunit.py reads nothing")
        must(level == len(self.groups) <= PARAMETERS, f"a header is not where one is due: {self.where()}")
        self.groups.append(Group(level))

    def where(self):
        return f"{self.groups[-1]} has no result yet" if self.groups else "nothing has begun"

    def subtest(self, level, name):
        if level == len(self.groups) - 1:
            self.groups[-1].name = name

    def take_plan(self, level, number):
        due = level == len(self.groups) - 1 and self.groups[-1].plan is None and not self.groups[-1].results
        must(due, f"a plan is not where one is due: {self.where()}")
        self.groups[-1].plan = int(number)
        self.end_of_report()

    def result(self, level, word, number, name, skipped):
        must(not self.whole, f"result {number} ({name}) comes behind the end of the report")
        below = len(self.groups) - 1 - level
        must(below in (0, 1), f"result {number} ({name}) is not where one is due: {self.where()}")
        group = self.groups.pop() if below else None
        if group:
            group.end(name, word, skipped)
        if not group or not group.results:
            self.counts["skipped" if skipped else "passed" if word == "ok" else "failed"] += 1
        self.groups[-1].add(int(number), word)
        self.end_of_report()

    def end_of_report(self):
        if len(self.groups) == 1 and self.groups[0].results == self.groups[0].plan:
            self.groups, self.whole = [], True


def read(lines):
    """(counts of results, what is wrong or None)."""
    report = Report()
    for number, line in enumerate(lines, 1):
        try:
            report.feed(line)
        except Broken as broken:
            return report.counts, f"{broken} (console.log line {number})"
    if report.stamped is None:
        return report.counts, "there is no report"
    if not report.whole:
        return report.counts, f"the report ends early: {report.where()}"
    return report.counts, None


# ------------------------------------------------------------------- what tests say

BEGAN = re.compile(r" *# Subtest: (.*)")
ENDED = re.compile(r" *(not ok|ok) \d+ ([^#]*)(# SKIP)?")
SAID = re.compile(r"(EXPECTATION|ASSERTION) FAILED")


def told(lines):
    """(names from the suite on, "ok", "not ok" or "skip", has it tests below, what was said since the one before)
    of each result of a console, as good as that is; at last (names, None, False, what was said) of where it ends."""
    stack, said = [], []
    for line in map(plain, lines):
        began, ended = BEGAN.match(line), ENDED.match(line)
        if began:
            stack, said = [*stack, began[1].strip()], []
        elif ended:
            name = ended[2].strip()
            group = stack[-1:] == [name]
            stack = stack[:-1] if group else stack
            yield [*stack, name], "skip" if ended[3] else ended[1], group, said
            said = []
        else:
            said.append(line.strip())
    yield stack, None, False, said


def what_was_said(lines):
    """{test: lines of KUnit} for each test that failed by an expectation. A guest that dies
    in a test gives no result for it: what it said until then is kept under its case."""
    found = {}
    for path, word, _, said in told(lines):
        said = list(itertools.dropwhile(lambda text: not SAID.search(text), said))
        case = re.match(r"# (\w+): ", said[0]) if said else None
        if said and word == "not ok":
            found[".".join(path)] = said
        elif case and path and not word:
            found[f"{path[0]}.{case[1]}"] = said
    return found
