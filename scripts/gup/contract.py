# SPDX-License-Identifier: GPL-2.0
"""Writes Documentation/tests.md, the table of clauses, kinds of mappings and tests, from a run of all
suites. RESULTS is the folder of that run: build/results/latest if it is not given.

Each test says in the log which clauses it is for, by GUP_TEST() of mm/tests/gup_kunit.h: "C1 C2", "C18: user_end".
A clause holds for the kind that the name of the parameter begins with, and for those that follow a "+" in its
string, "*" for all that the test names; after a ":" for these alone. Each cell must hold a test or have its
reason in kunit/empty-cells, and nothing else may stand there.
"""

import fnmatch
import json
import pathlib
import re

from gup import cli, documents, lacks
from gup.cli import BUILD, ROOT, Failure
from gup.ktap import told

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

GROUP = re.compile(r"(C\d+(?: C\d+)*)(?: ?([+:]) ([*\w]+(?: \w+)*))?")


def group(said):
    """(clauses, sign, kinds) of a line of a test."""
    match = GROUP.fullmatch(said)
    if not match:
        raise Failure("check", f"not 'C1 C2', 'C1 + KIND' or 'C1: KIND': {said}", "mend GUP_TEST() of that test")
    return match[1].split(), match[2], (match[3] or "").split()


def read(console):
    """{(suite, test): [(parameter, groups)]} of all that passed."""
    tests = {}
    for path, word, has_tests, said in told(console.splitlines(True)):
        if word == "ok" and len(path) > 1 and not has_tests:
            says = filter(None, (re.fullmatch(r"# \w+: (C\d.*)", line) for line in said))
            suite, test, parameter = [*path, ""][:3]
            tests.setdefault((suite, test), []).append((parameter, [group(match[1]) for match in says]))
    return tests


def kinds_of(name):
    """The kind that the name of a parameter begins with: "anon", "anon, page_table"."""
    first = name.split(",")[0]
    return [first] if first in KINDS else []


def cells(tests):
    """{(clause, kind): {names of tests}}"""
    table, problems = {}, []
    for (suite, test), results in tests.items():
        where, some = f"{suite}.{test}", False
        for parameter, said in results:
            everywhere = {*kinds_of(parameter), *(kind for _, _, named in said for kind in named)} - {"*"}
            for clauses, sign, named in said:
                kinds = named if sign == ":" else everywhere if named == ["*"] else [*kinds_of(parameter), *named]
                some = some or bool(kinds)
                problems += [f"{where}: '{kind}' is no kind" for kind in kinds if kind not in KINDS]
                problems += [f"{where}: {clause} is no clause" for clause in clauses if clause not in CLAUSES]
                for clause in clauses:
                    for kind in kinds:
                        table.setdefault((clause, kind), set()).add(f"{suite}.{test.removeprefix(suite + '_')}")
        if not some:
            problems.append(f"{where}: says no clause, or neither its parameters nor GUP_TEST() name a kind")
    return table, list(dict.fromkeys(problems))


def read_reasons():
    """[(clause glob, kind glob, reason)] and the letters they get in the table."""
    return [(clauses.split(","), re.split(r"[, ]+", kinds.strip()), reason)
            for clauses, kinds, reason in cli.matched(REASONS, r"(\S+) (\S[^:]*): (\S.*)", "'CLAUSES KINDS: reason'")]


def check_um(tests):
    """What a run on UML leaves out without a reason."""
    missing, alone, _, _ = lacks.of("um")
    table, _ = cells(tests)
    reasons = read_reasons()
    problems = [f"no test on um: {clause} on {kind}" for kind in KINDS if kind not in missing
                for clause in CLAUSES
                if (clause, kind) not in {*table, *alone} and reason_of(reasons, clause, kind) is None]
    return problems + [f"kunit/lacks/um: '{kind}' is no kind" for kind in sorted(missing - set(KINDS))]


def reason_of(reasons, clause, kind):
    for index, (clauses, kinds, _) in enumerate(reasons):
        if any(fnmatch.fnmatchcase(clause, c) for c in clauses) and \
                any(fnmatch.fnmatchcase(kind, k) for k in kinds):
            return index
    return None


def letter(index):
    return (chr(ord("a") + index // 26 - 1) if index >= 26 else "") + chr(ord("a") + index % 26)


def row_of(kind, table, reasons):
    """(clause, what its cell has, the reason why it has no test or None) of each clause."""
    for clause in CLAUSES:
        tests, why = table.get((clause, kind)), reason_of(reasons, clause, kind)
        yield clause, str(len(tests)) if tests else "?" if why is None else letter(why), None if tests else why


def tests_of(table):
    """Lines: for each clause which tests are for which kinds."""
    for clause, title in CLAUSES.items():
        groups = {}
        for kind in KINDS:
            names = tuple(sorted(table.get((clause, kind), ())))
            if names:
                groups.setdefault(names, []).append(kind)
        yield from ("", f"## {clause} {title}", "")
        yield from documents.table("| kinds | tests |", (
            [", ".join(kinds), ", ".join(f"`{name}`" for name in names)] for names, kinds in groups.items()), " --- |")


def render(table, reasons, tests):
    """The document, and what is wrong with it."""
    rows = {kind: list(row_of(kind, table, reasons)) for kind in KINDS}
    problems = [f"no test and no reason: {clause} on {kind}" for kind, row in rows.items()
                for clause, cell, _ in row if cell == "?"]
    used = {why for row in rows.values() for _, _, why in row}
    problems += [f"{REASONS.name}: no cell is empty for '{','.join(clauses)} {' '.join(kinds)}: {reason}'"
                 for index, (clauses, kinds, reason) in enumerate(reasons) if index not in used]
    return documents.filled(
        "tests.md", tests=len(tests), results=sum(len(results) for results in tests.values()),
        cells=documents.table(f"| kind | {' | '.join(CLAUSES)} |", (
            [kind, *(cell for _, cell, _ in row)] for kind, row in rows.items()), " --- |"),
        reasons=[f"- {letter(index)}: {reason}" for index, (_, _, reason) in enumerate(reasons)],
        clauses=tests_of(table)), problems


def whole(results):
    """Is it a run of scripts/boot without options that passed?"""
    found = json.loads((results / "result.json").read_text())
    return (found["verdict"], found["config"], found["glob"], found["selection"]) == ("pass", "reference", "", "")


def make(results, check=False, on_um=False):
    """Of a run. Writes nothing with check, or on_um."""
    tests = read(cli.text_of(results / "console.log"))
    if not any(said for runs in tests.values() for _, said in runs):
        raise Failure("test", f"{results} has no test that says its clauses")
    if on_um:
        return report(check_um(tests))
    table, problems = cells(tests)
    text, more = render(table, read_reasons(), tests)
    if check:
        diff = documents.difference(TABLE, text)
        cli.indented(diff, 20)
        if diff:
            raise Failure("check", "Documentation/tests.md is not what the tests say", "run scripts/contract")
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
               "empty that kunit/lacks/um does not name")


def main(options):
    if not (options.results / "kunit.json").is_file():
        raise cli.usage(f"{options.results} holds no results of the suites", "run scripts/boot first")
    make(options.results, options.check, options.um)
    return "Documentation/tests.md " + ("is current" if options.check else "has no cell that um leaves empty"
                                        if options.um else "was written")
