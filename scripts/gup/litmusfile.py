# SPDX-License-Identifier: GPL-2.0
"""The files of kunit/litmus/: tests with their variants, the functions that they model, and what was observed.

A test is a file that herd7 takes as it is. Its head says what it models and lists its variants, which are edits of lines
that stand as comments at these lines:

    smp_rmb();                      // -NAME          the line is left out in variant NAME
    r1 = READ_ONCE(*x);             // NAME: r1 = 1;  another one stands in its place
    // +NAME: r1 = READ_ONCE(*x);                     a line that only NAME has; NAME,OTHER: both have it
"""

import hashlib
import re

from gup import cli
from gup.cli import ROOT, Failure

FOLDER = ROOT / "kunit/litmus"
FUNCTIONS, OBSERVED = FOLDER / "functions", FOLDER / "observed"
VERDICTS = ("Never", "Sometimes")
NOT_RUN = "not-run"
C_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
PLAIN = re.compile(r"(?m)^\s*\*\w+ = .*|= \*\w+;")
EDIT = re.compile(r"(-|\+?)([\w-]+(?:,[\w-]+)*)(?:: (.*))?")


class Test:
    """expected: {name of the test or of a variant: verdict}; models: [(file, function)]"""

    def __init__(self, path):
        self.path, self.text = path, path.read_text(encoding="utf-8")
        self.name = re.match(r"\w+ (\S+)\n", self.text)[1]
        head = self.text.split("*)")[0]
        self.models = [(file, function) for file, functions in re.findall(r"(?m)^ \* Models: (\S+) (.+)$", head)
                       for function in functions.split()]
        self.expected = dict.fromkeys([self.name], "".join(re.findall(r"(?m)^ \* Expected: (\w+)$", head)))
        self.expected.update((f"{self.name}{name}", verdict) for name, verdict in
                             re.findall(r"(?m)^ \* (\+\S+): (\w+); \S", head))
        self.in_c = self.text.startswith("C ")

    def edits(self):
        """[names of variants that a line is marked for]"""
        for line in self.text.split("*)", 1)[1].splitlines():
            for mark in line.split("//")[1:]:
                for one in [mark] if ":" in mark else mark.split():
                    match = EDIT.fullmatch(one.strip())
                    if not match:
                        raise Failure("check", f"{self.path.name}: not an edit: //{mark}")
                    yield from match[2].split(",")

    def variant(self, full):
        """Text of the test or of one of its variants, without marks."""
        name = full[len(self.name) + 1:]
        head, body = self.text.split("*)", 1)
        lines = [changed(line, name) for line in body.splitlines()]
        return head.replace(f" {self.name}\n", f" {full}\n", 1) + "*)" + "\n".join(
            line for line in lines if line is not None) + "\n"


def changed(line, variant):
    """In a variant; None if it is not there."""
    code, *marks = line.split("//")
    indent = code[:len(code) - len(code.lstrip())]
    for mark in marks:
        for one in [mark] if ":" in mark else mark.split():
            kind, names, new = EDIT.fullmatch(one.strip()).groups()
            if variant in names.split(","):
                return None if kind == "-" else indent + new
    return code.rstrip() if code.strip() or not marks else None


def load():
    tests = [Test(path) for path in sorted(FOLDER.rglob("*.litmus"))]
    if not tests:
        raise Failure("check", "kunit/litmus/ has no tests")
    return tests


def observed():
    """{name: (verdict, executions with the outcome, without, what herd7 said of it)}"""
    return {name: (verdict, int(one), int(other), herd) for name, verdict, one, other, herd in
            cli.matched(OBSERVED, r"(\S+) (\w+) (\d+|0) (\d+|0) (\S+)", "'TEST VERDICT WITH WITHOUT HERD7'", "check")}


def hashes():
    """{(file, function): hash}"""
    return {(file, function): value for file, function, value in
            cli.matched(FUNCTIONS, r"(\S+) (\w+) ([0-9a-f]{12})", "'FILE FUNCTION HASH'", "check")}


def wrong():
    """What can be said without a kernel."""
    tests, known, seen = load(), hashes(), observed()
    for test in tests:
        where = str(test.path.relative_to(ROOT))
        if test.name != test.path.stem:
            yield f"{where}: names another test, {test.name}"
        if not test.models:
            yield f"{where}: no line 'Models: FILE FUNCTION ...'"
        variants = {name[len(test.name) + 1:] for name in test.expected} - {""}
        for name in sorted(variants ^ set(test.edits())):
            yield f"{where}: variant {name} is not in the head, or no line is marked for it"
        for line in PLAIN.findall(test.text) if test.in_c else ():
            yield f"{where}: '{line.strip()}' is a plain access, and nobody looks for data races"
        if test.expected[test.name] == "Never" and "Sometimes" not in test.expected.values() and test.in_c:
            yield f"{where}: no variant shows that the outcome can be seen at all"
        for name, verdict in test.expected.items():
            if verdict not in VERDICTS:
                yield f"{where}: '{verdict}' of {name} is none of {' '.join(VERDICTS)}"
            elif name in seen and seen[name][0] != verdict:
                yield f"{where}: {name} is to be {verdict}, and was observed as {seen[name][0]}"
    names = {name for test in tests if test.in_c for name in test.expected}
    for name in sorted(names ^ set(seen)):
        yield f"kunit/litmus/observed: {name} is not there, or is no test: scripts/litmus --accept"
    for file, function in sorted({one for test in tests for one in test.models} ^ set(known)):
        yield f"kunit/litmus/functions: {file} {function} is not there, or no test models it: scripts/litmus --accept"


# ------------------------------------------------------------------ functions of the kernel

def definitions(text, name):
    """Of a function in a C file: its text without comments, as often as it is defined."""
    text = C_COMMENT.sub(" ", text)
    for match in re.finditer(rf"(?m)^(?:[A-Za-z_][^;{{}}()\n#=]*\n)?(?:[A-Za-z_][^;{{}}()\n#=]*[\s*])?{name}\(", text):
        depth, end = 0, match.end() - 1
        while end < len(text):
            depth += (text[end] == "(") - (text[end] == ")")
            end += 1
            if not depth:
                break
        body = re.compile(r"\s*\{.*?^\}", re.S | re.M).match(text, end)
        if body:
            yield " ".join(text[match.start():body.end()].split())


def hash_of(tree, file, function):
    """12 digits, or None if there is no such function."""
    found = list(definitions(cli.text_of(tree / file), function))
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:12] if found else None


def changed_functions(tree):
    """[(file, function, hash now, names of the tests that model it)]"""
    known = hashes()
    users = {}
    for test in load():
        for one in test.models:
            users.setdefault(one, []).append(test.name)
    for (file, function), tests in sorted(users.items()):
        now = hash_of(tree, file, function)
        if now is None or now != known.get((file, function)):
            yield file, function, now, tests


def not_modelled(tree):
    """What scripts/check shows."""
    for file, function, now, tests in changed_functions(tree):
        what = "has changed" if now else "is not there"
        yield (f"{file}: {function}() {what}, which is modelled by {', '.join(tests)}: look whether "
               "they still do, then scripts/litmus --accept")
