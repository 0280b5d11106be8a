# SPDX-License-Identifier: GPL-2.0
"""Writes Documentation/tests.md, the table of clauses, kinds of mappings and tests, from the
comments of the suites in build/tree and from a run of all of them. RESULTS is the folder of that
run: build/results/latest if it is not given.

Clauses come from the comments above the tests; kinds from the names of the parameters that the run
had, or from "Kinds: a, b." in the comment of a test without such parameters. A clause that a test
shows on some of its kinds only is followed by these in a line of its own: "C1, C2 only: a, b."
Each cell must hold a test or have its reason in kunit/empty-cells, and nothing else may stand there.
"""

import difflib
import fnmatch
import json
import pathlib
import re

from gup import cli, source
from gup.cli import BUILD, ROOT, Failure
from gup.lacks import um_lacks
from gup.packages import need
from gup.workspace import Workspace

USAGE = "scripts/contract [--check|--um] [RESULTS]"
EXCLUDE = ("--check --um",)

TABLE = ROOT / "Documentation/tests.md"
REASONS = ROOT / "kunit/empty-cells"

CLAUSES = {
    "C1": "count", "C2": "partial", "C3": "zero or negative", "C4": "errno", "C5": "references",
    "C6": "pages NULL", "C7": "vmas", "C8": "vmas NULL", "C9": "lock",
    "C10": "the page accessed", "C11": "lifetime",
    "C12": "read", "C13": "write", "C14": "force", "C15": "force, shared", "C16": "another mm",
    "C17": "fast", "C18": "unaligned", "C19": "bounds", "C20": "no page to give",
}

KINDS = """anon anon_large anon_thp anon_thp_split anon_thp_partial zero huge_zero
    shmem_shared shmem_private shmem_cowed shmem_thp file_shared file_large file_private file_cowed
    hugetlb_shared hugetlb_private hugetlb_pud driver_large swapped migrating uffd_wp soft_dirty prot_none
    vm_io pfnmap secretmem guard hwpoison shadow_stack pkey gate growsdown vmas hole table_end
    user_end""".split()

# What gup_take() and gup_expect() compare after each call, whatever it was made for.
IMPLIED = ["C5", "C9", "C10"]
CHECKED = re.compile(r"\bgup_(take|expect)\(")

FUNCTION = re.compile(r"(?:/\*((?:(?!\*/).)*)\*/\n)?(?:static )?void (gup_\w+)\(struct kunit \*test\)\n\{\n(.*?)^\}\n", re.S | re.M)


class Test:
    """One test function: its suite, clauses, kinds that its comment names."""

    def __init__(self, suite, name, comment, body):
        self.suite, self.name = suite, name
        comment = re.sub(r"\s+", " ", re.sub(r"\n\s*\*", " ", comment or ""))
        head = re.match(r"\s*((?:C\d+(?:, | and )?)+)", comment)
        self.clauses = re.findall(r"C\d+", head[1]) if head else []
        self.named = [kind for kinds in re.findall(r"Kinds: ([\w, ]+)\.", comment)
                      for kind in re.findall(r"\w+", kinds)]
        self.only = {clause: re.findall(r"\w+", kinds)
                     for clauses, kinds in re.findall(r"(C\d+(?:, C\d+)*) only: ([\w, ]+)\.", comment)
                     for clause in clauses.split(", ")}
        self.says = bool(self.clauses)
        if CHECKED.search(body):
            self.clauses += [clause for clause in IMPLIED if clause not in self.clauses]


def cases(source, config):
    """Names of the cases in a suite's table that a normal run of this .config has."""
    wanted, skipping = [], False
    for line in re.sub(r"\\\n|(?<=,)\n\t\s+", " ", source).splitlines():
        if re.match(r"#if(def)? ", line):
            # Only conditions in which all are wanted are used here.
            skipping = any(f"{name}=y" not in config for name in re.findall(r"CONFIG_\w+", line))
        elif line.startswith(("#else", "#endif")):
            skipping = False
        case = re.match(r"\tKUNIT_CASE\w*\((\w+)", line)
        slow = re.match(r"\tKUNIT_CASE(_SLOW\(|\w*_ATTR\(.*(_slow\)|SPEED_(VERY_)?SLOW))", line)
        if case and not skipping and not slow:
            wanted.append(case[1])
    return wanted


def read_tests(tree, config=()):
    """{(suite, test): Test} of all cases in the suites' tables."""
    tests = {}
    for text in (path.read_text() for path in sorted(pathlib.Path(tree, "mm/tests").glob("gup_*.c"))):
        suite = re.search(r'struct kunit_suite \w+ = \{\s*\.name = "(\w+)"', text)
        if not suite:
            continue
        bodies = {name: (comment, body) for comment, name, body in FUNCTION.findall(text)}
        for name in cases(text, config):
            comment, body = bodies.get(name, ("", ""))
            tests[suite[1], name] = Test(suite[1], name, comment, body)
    return tests


def parameters(results):
    """{(suite, test): [names of parameters that passed]}."""
    found = {}

    def walk(group, path):
        for case in group.get("test_cases", []):
            full = [*path, case["name"]]
            if case["status"] == "PASS" and len(full) >= 2:
                found.setdefault((full[0], full[1]), []).append(full[2] if len(full) > 2 else "")
        for sub in group.get("sub_groups", []):
            walk(sub, [*path, sub["name"]])

    walk(json.loads((results / "kunit.json").read_text()), [])
    return found


def kinds_of(name):
    """The kind that the name of a parameter begins with: "anon", "anon, page_table"."""
    first = name.split(",")[0]
    return [first] if first in KINDS else []


def cells(tests, ran):
    """{(clause, kind): [Test]}."""
    table, problems = {}, []
    for key, test in tests.items():
        where = f"{test.suite}.{test.name}"
        if key not in ran:
            problems.append(f"{where} is in the sources and did not pass in the run")
            continue
        if not test.says:
            problems.append(f"{where}: the comment does not begin with its clauses (C1 ...)")
        kinds = {kind for name in ran[key] for kind in kinds_of(name)} | set(test.named)
        for kind in kinds - set(KINDS):
            problems.append(f"{where}: '{kind}' is no kind")
        if not kinds:
            problems.append(f"{where}: neither its parameters nor its comment (Kinds: ...) name a kind")
        for clause in test.only:
            if clause not in test.clauses:
                problems.append(f"{where}: '{clause} only', but it does not begin with {clause}")
            for kind in set(test.only[clause]) - kinds:
                problems.append(f"{where}: '{clause} only' names {kind}, which it has not")
        for clause in test.clauses:
            if clause not in CLAUSES:
                problems.append(f"{where}: {clause} is no clause that a test can have")
            for kind in kinds & set(test.only.get(clause, kinds)):
                table.setdefault((clause, kind), []).append(test)
    return table, problems


def read_reasons():
    """[(clause glob, kind glob, reason)] and the letters they get in the table."""
    found = []
    for number, line in enumerate(REASONS.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"(\S+) (\S[^:]*): (\S.*)", line)
        if not match:
            raise Failure("usage", f"{REASONS}:{number}: wants 'CLAUSES KINDS: reason'")
        found.append((match[1].split(","), re.split(r"[, ]+", match[2].strip()), match[3]))
    return found


def check_um(tests, ran):
    """What a run on UML leaves out without a reason."""
    lacks, alone, skipped, _ = um_lacks()
    problems = [f"{suite}.{name} did not pass" for suite, name in tests
                if (suite, name) not in ran and f"{suite}.{name}" not in skipped]
    there = {key: test for key, test in tests.items() if key in ran}
    table, _ = cells(there, ran)
    reasons = read_reasons()
    problems += [f"no test on um: {clause} on {kind}" for kind in KINDS if kind not in lacks
                 for clause in CLAUSES
                 if (clause, kind) not in {*table, *alone} and reason_of(reasons, clause, kind) is None]
    problems += [f"kunit/um-lacks: '{kind}' is no kind" for kind in sorted(lacks - set(KINDS))]
    return problems


def reason_of(reasons, clause, kind):
    for index, (clauses, kinds, _) in enumerate(reasons):
        if any(fnmatch.fnmatchcase(clause, c) for c in clauses) and \
                any(fnmatch.fnmatchcase(kind, k) for k in kinds):
            return index
    return None


def letter(index):
    return (chr(ord("a") + index // 26 - 1) if index >= 26 else "") + chr(ord("a") + index % 26)


def render(table, reasons, tests, ran):
    problems, used = [], set()
    lines = ["<!-- SPDX-License-Identifier: GPL-2.0 -->",
             "<!-- Made by scripts/contract from the sources and a run; do not edit. -->",
             "# Clauses, kinds and tests", "",
             f"{len(tests)} tests with {sum(len(names) for names in ran.values())} results. The clauses "
             "are those of [contract.md](contract.md). A number",
             "says how many tests there are for a clause on a kind, a letter why there are none. "
             "C5, C9 and", "C10 are compared after every call that goes through gup_take() or "
             "gup_expect().", "",
             "| kind | " + " | ".join(CLAUSES) + " |", "| --- |" + " --- |" * len(CLAUSES)]
    for kind in KINDS:
        row = []
        for clause in CLAUSES:
            here = table.get((clause, kind))
            why = reason_of(reasons, clause, kind)
            if here:
                row.append(str(len(here)))
            elif why is None:
                problems.append(f"no test and no reason: {clause} on {kind}")
                row.append("?")
            else:
                used.add(why)
                row.append(letter(why))
        lines.append(f"| {kind} | " + " | ".join(row) + " |")
    for index, (clauses, kinds, reason) in enumerate(reasons):
        if index not in used:
            problems.append(f"{REASONS.name}: no cell is empty for '{','.join(clauses)} "
                            f"{' '.join(kinds)}: {reason}'")
    lines += ["", "Why cells are empty:", ""]
    lines += [f"- {letter(index)}: {reason}" for index, (_, _, reason) in enumerate(reasons)]
    for clause, title in CLAUSES.items():
        lines += ["", f"## {clause} {title}", "", "| kinds | tests |", "| --- | --- |"]
        groups = {}
        for kind in KINDS:
            names = tuple(sorted(f"{t.suite}.{t.name.removeprefix(t.suite + '_')}"
                                 for t in table.get((clause, kind), [])))
            if names:
                groups.setdefault(names, []).append(kind)
        lines += [f"| {', '.join(kinds)} | {', '.join(f'`{name}`' for name in names)} |"
                  for names, kinds in groups.items()]
    return "\n".join(lines) + "\n", problems


def whole(results):
    """Is it a run of scripts/boot without options that passed?"""
    found = json.loads((results / "result.json").read_text())
    return (found["verdict"], found["config"], found["glob"], found["selection"]) == ("pass", "reference", "", "")


def make(tree, results, check=False, on_um=False):
    """Of the suites in a tree and a run of them. Writes nothing with check, or on_um."""
    dotconfig = results / ".config"
    config = dotconfig.read_text().splitlines() if dotconfig.exists() else ()
    tests, ran = read_tests(tree, config), parameters(results)
    if not tests:
        raise Failure("test", f"{tree} holds no suite of the series")
    if on_um:
        return report(check_um(tests, ran))
    table, problems = cells(tests, ran)
    text, more = render(table, read_reasons(), tests, ran)
    if check:
        old = TABLE.read_text() if TABLE.exists() else ""
        diff = list(difflib.unified_diff(old.splitlines(), text.splitlines(), "Documentation/tests.md",
                                         "what the sources say", lineterm="", n=0))
        cli.indented(diff, 20)
        if diff:
            raise Failure("check", "Documentation/tests.md is not what the sources say", "run scripts/contract")
    elif not whole(results):
        raise Failure("usage", f"{results} is no run of all suites of the whole series that passed",
                      "scripts/boot makes one")
    elif not problems + more:
        TABLE.write_text(text)
    return report(problems + more)


def report(problems):
    cli.indented(problems)
    if problems:
        raise Failure("check", f"{len(problems)} problems with the table, first: {problems[0]}")


def options(parser):
    parser.add_argument("results", nargs="?", metavar="RESULTS", type=pathlib.Path, default=BUILD / "results/latest")
    cli.option(parser, "--check", "write nothing; fail if the table is not current")
    cli.option(parser, "--um", "RESULTS is a run of scripts/boot --arch um: write nothing; fail if it leaves a cell "
               "empty that kunit/um-lacks does not name")


def main(options):
    if not (options.results / "kunit.json").is_file():
        raise cli.usage(f"{options.results} holds no results of the suites", "run scripts/boot first")
    need("fetch")
    workspace = Workspace(source.choose()).prepare()
    make(workspace.tree, options.results, options.check, options.um)
    return "Documentation/tests.md " + ("is current" if options.check else "has no cell that um leaves empty"
                                        if options.um else "was written")
