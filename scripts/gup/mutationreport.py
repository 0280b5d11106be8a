# SPDX-License-Identifier: GPL-2.0
"""Documentation/mutation.md and its picture, of the verdicts in Documentation/mutation/results.tsv."""

import collections

from gup import documents, operators, plot
from gup.arch import MUTATED
from gup.cli import ROOT, Failure, matched

PICTURE = ROOT / "Documentation/mutation/functions.svg"
REASONS = ROOT / "kunit/mutation-reasons"
ORIGINAL = "original"
UNREACHED = "no test comes there"
SAME = "same"  # as the original was, when it was compiled
DROPPED = {
    "no program": "it does not compile, or calls what nothing defines",
    "same object": "the compiler makes the same of it as of the original",
    "duplicate": "the compiler makes the same of it as of another mutant",
}
# The best verdict of all architectures counts, and the first of these is the best.
CLASSES = {
    "killed": "a test failed, and said which expectation did not hold",
    "warned": "no test failed, but the kernel warned",
    "crashed": "an oops, a panic, or a test that ended without a word",
    "hung": "the guest went silent",
    "equivalent": "it does what the original does, for the reason in `kunit/mutation-reasons`",
    "unreachable": "it cannot be seen here, for the reason there: a barrier, a window between two reads, hardware",
    "survived": "all tests passed",
    "not tried": "there is no verdict yet",
}


def reasons(rows):
    """{key: class}. A line for what is no more, or has been told by a test, is stale."""
    found = {}
    for key, kind in matched(REASONS, r"(\S+) (equivalent|unreachable) \S+ \S+ \S.*",
                             "'KEY equivalent REASON' or 'KEY unreachable REASON'", "check"):
        if key not in rows or rows[key]["class"] not in ("survived", "not tried"):
            is_now = rows[key]["class"] if key in rows else "made by no operator"
            raise Failure("check", f"kunit/mutation-reasons: {key} is {is_now}", "remove the line")
        found[key] = kind
    return found


def classify(rows):
    """A field "class" for each, but for those that need a reason. A verdict counts where the mutant is a
    program of its own; only what is none on each architecture is dropped."""
    original, seen = rows.get(ORIGINAL), {}
    for key, row in rows.items():
        own = {name: row[f"{name}_object"] for name in MUTATED}
        differs = [name for name in MUTATED if own[name] not in ("", "none", SAME, original[f"{name}_object"])]
        verdicts = {row[name] for name in MUTATED if row[name] and (name in differs or not own[name])}
        if not differs and all(own.values()):
            row["class"] = "no program" if set(own.values()) == {"none"} else "same object"
        elif differs and seen.setdefault(tuple(own.values()), key) != key:
            row["class"] = "duplicate"
        else:
            row["class"] = next((name for name in CLASSES if name in verdicts), "survived" if any(verdicts) else "not tried")
    return rows


def contradictions(rows, name):
    """Keys of what has another verdict than what is the same program, by the same tests: one of both is wrong.
    The original survives."""
    verdicts, found = {}, []
    for key, row in rows.items():
        made = row[f"{name}_object"]
        if made not in ("", "none") and row[name]:
            told = "survived" if row[name] in ("survived", "skips") else "told"
            right = "survived" if made in (SAME, rows[ORIGINAL][f"{name}_object"]) else told
            if verdicts.setdefault((made, row[f"{name}_tests"]), right) != told:
                found.append(key)
    return found


def score(rows, without=("equivalent",)):
    """How many of a hundred are told by a test or a warning, of those that differ from the original."""
    counts = collections.Counter(row["class"] for row in rows)
    of = sum(counts[name] for name in CLASSES if name not in (*without, "not tried"))
    return f"{100 * (counts['killed'] + counts['warned']) / of:.1f}" if of else ""


def table(rows, field):
    """Lines: a row for each value of the field, in the order of the file."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row[field]].append(row)
    cells = []
    for name, of_name in groups.items():
        counts = collections.Counter(row["class"] for row in of_name)
        numbers = [len(of_name), sum(counts[one] for one in DROPPED), *(counts[one] for one in CLASSES)]
        cells.append([f"`{name}`", *(number or "" for number in numbers), score(of_name)])
    return documents.table(f"| {field} | mutants | dropped | {' | '.join(CLASSES)} | score |", cells)


def draw(rows):
    """A bar for each function, of what became of its mutants."""
    groups = collections.defaultdict(collections.Counter)
    for row in rows:
        kind = {"killed": 0, "warned": 0, "crashed": 1, "hung": 1, "survived": 2}.get(row["class"])
        if kind is not None:
            groups[row["function"]][kind] += 1
    plot.bars([(name, *(counts[kind] for kind in range(3))) for name, counts in groups.items()],
              ("told", "crash or hang only", "survived"), PICTURE)


def untried(rows, original):
    """{architecture: of those that no other one told, and that are a program of their own there as far as is known}"""
    left = [row for row in rows if row["class"] in ("survived", "crashed", "hung", "not tried")]
    return {name: sum(not row[name] and row[f"{name}_object"] not in ("none", SAME, original[f"{name}_object"] or "none")
                      for row in left) for name in MUTATED}


def write_all(rows):
    """The document; returns {key: row} with classes, and a summary."""
    by_key = classify(rows)
    for key, kind in reasons(by_key).items():
        by_key[key]["class"] = kind
    rows = [row for key, row in by_key.items() if key != ORIGINAL]
    by_operator = sorted(rows, key=lambda row: [*operators.TABLE, row["operator"]].index(row["operator"]))
    counts = collections.Counter(row["class"] for row in rows)
    documents.fill(
        "mutation.md", mutants=len(rows), functions=len({row["function"] for row in rows}), score=score(rows),
        tried=sum(any(row[name] for name in MUTATED) for row in rows),
        score_without=score(rows, ("equivalent", "unreachable")),
        of_tests=", ".join(f"{number} by {tests} on {name}" for name in MUTATED for tests, number in collections.Counter(
            row[f"{name}_tests"] for row in rows if row[name]).most_common()),
        unreached=sum(row["class"] == "survived" and {row[f"{name}_by"] for name in MUTATED if row[name]} == {UNREACHED}
                      for row in rows),
        uncompiled=sum(not any(row[f"{name}_object"] for name in MUTATED) for row in rows),
        untried=", ".join(f"{number} on {name}" for name, number in untried(rows, by_key[ORIGINAL]).items()),
        classes=documents.table("| class | mutants | |", (
            [name, counts[name], what] for name, what in (DROPPED | CLASSES).items()), "| --- | ---: | --- |"),
        operators=documents.table("| operator | what | in the literature |", (
            [f"`{name}`", documents.cell(what), known] for name, (_, what, known) in operators.TABLE.items()), " --- |"),
        by_operator=table(by_operator, "operator"), by_function=table(rows, "function"))
    draw(rows)
    return by_key, f"{len(rows)} mutants: " + ", ".join(f"{counts[name]} {name}" for name in DROPPED | CLASSES if counts[name])
