# SPDX-License-Identifier: GPL-2.0
"""The seeded bugs of kunit/mutants/, which are patches with a header: kunit/mutants/README."""

import pathlib
import re
import shutil
import tempfile

from gup import source
from gup.cli import ROOT, Failure, note, write
from gup.git import Git
from gup.kernel import Kernel
from gup.packages import need
from gup.refresh import DIFF
from gup.workspace import Workspace

MUTANTS = ROOT / "kunit/mutants"


def prepared_tree():
    """The whole series, not in build/tree: that may hold local changes."""
    return Workspace(source.choose(), prefix=True).prepare(
        refuse_local="mutants are to differ from the series by one bug")


def prepared_kernel(options, *groups):
    """The reference configuration of it, not built yet; groups: of packages.py that the verb needs as well."""
    need("fetch", "build", *groups, *options.arch.packages)
    return Kernel(prepared_tree(), "reference", options.arch, options.jobs)


class Mutant:
    """A patch with a header: fields, a blank line, an explanation."""

    ONE, MANY = ("Subject", "Brings-back", "Runs", "Where"), ("Killed-by",)

    def __init__(self, path):
        self.path, self.name = path, path.stem
        head, mark, diff = path.read_text().partition("\ndiff --git ")
        self.head, self.diff = head + "\n", mark[1:] + diff
        fields, _, self.explanation = head.partition("\n\n")
        self.fields = {}
        for line in fields.splitlines():
            key, colon, value = line.partition(": ")
            if not colon or key not in self.ONE + self.MANY or not value.strip():
                self.complain(f"'{line}' is no field of a mutant")
            if key in self.fields and key in self.ONE:
                self.complain(f"two lines '{key}:'")
            self.fields.setdefault(key, []).append(value.strip())
        for key in ("Subject", "Brings-back", "Killed-by"):
            if key not in self.fields:
                self.complain(f"no line '{key}:'")
        if len(self.explanation.split()) < 4:
            self.complain("no explanation")
        self.subject, self.brings_back = (self.fields[key][0] for key in ("Subject", "Brings-back"))
        self.globs = self.fields["Killed-by"]
        for glob in self.globs:
            if not re.fullmatch(r"[\w*?]+\.[\w*?]+(\..+)?", glob):
                self.complain(f"'Killed-by: {glob}' is not suite.test or suite.test.parameter")
        runs = re.fullmatch(r"(?:([1-9]\d*)/)?([1-9]\d*)", self.fields.get("Runs", ["1"])[0])
        if not runs or int(runs[1] or 1) > int(runs[2]):
            self.complain("'Runs:' is N, or K/N for K of N boots")
        self.needed, self.runs = int(runs[1] or 1), int(runs[2])
        self.where = self.fields.get("Where", [""])[0]
        self.hunks = list(hunks(self.diff))
        self.files = sorted({path for path, _ in self.hunks})
        if not self.hunks:
            self.complain("no diff")

    def complain(self, what):
        raise Failure("check", f"kunit/mutants/{self.path.name}: {what}",
                      "kunit/mutants/README says what a mutant looks like")

    def out_of_place(self, git, head):
        """Why the context of a hunk does not say where it belongs, or None."""
        for number, (path, before) in enumerate(self.hunks, 1):
            lines = git.run("show", f"{head}:{path}", check=False).stdout.decode().splitlines()
            size = len(before)
            places = sum(lines[i:i + size] == before for i in range(len(lines) - size + 1))
            if places > 1:
                return f"{path}, hunk {number} of {len(self.hunks)} fits in {places} places"
        return None


def hunks(diff):
    """(file, its lines before the change) of each hunk."""
    path, before = None, None
    for line in diff.splitlines():
        if line.startswith("diff --git "):
            before = None
        elif before is None and line.startswith("--- "):
            path = line[4:].removeprefix("a/")
        elif line.startswith("@@ "):
            before = []
            yield path, before
        elif before is not None and line[:1] in ("", " ", "-"):
            before.append(line[1:])


def load():
    found = [Mutant(path) for path in sorted(MUTANTS.glob("*.patch"))]
    if not found:
        raise Failure("check", "kunit/mutants/ holds no mutant", "restore it: git checkout -- kunit/mutants")
    return found


def keep_line_numbers(git, repo):
    """A warning has the number of its line. Where lines behind a change keep theirs, a kernel
    in which the changed code is not is the same."""
    for path in git.text("diff", "--cached", "--name-only").split():
        lines = pathlib.Path(repo, path).read_text().splitlines(True)
        ranges = re.findall(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@",
                            git.text("diff", "--cached", "--unified=0", "--", path), re.M)
        for old, gone, new, added in reversed([[int(n or 1) for n in found] for found in ranges]):
            if gone != added:
                lines.insert(new + max(added - 1, 0), f"#line {old + max(gone, 1)}\n")
        pathlib.Path(repo, path).write_text("".join(lines))


# ----------------------------------------------------------------------- refresh

CONTEXT, MOST_CONTEXT = 3, 40


def put(git, mutant):
    """Apply it to git's index, exactly or with less context: how it went, or None."""
    for less in ([], ["-C2"], ["-C1"]):
        if git.good("apply", "--cached", "--whitespace=nowarn", *less, str(mutant.path)):
            return f"fuzz: only {less[0][2:]} lines of context match, look at it" if less else ""
    return None


def exported(git, mutant, head, tree):
    """Its diff, with as much context as says where each hunk belongs."""
    for context in range(CONTEXT, MOST_CONTEXT + 1):
        text = git.run("diff-tree", *DIFF, f"--unified={context}", head, tree).stdout.decode()
        # Without blob ids, which change whenever a file does.
        mutant.diff = "".join(line for line in text.splitlines(True) if not line.startswith("index "))
        mutant.hunks = list(hunks(mutant.diff))
        if not mutant.out_of_place(git, head):
            break
    return (mutant.head + mutant.diff).encode()


def refresh(repo, head):
    """Export them against another head."""
    failed, changed = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        clean, index = pathlib.Path(scratch, "clean"), pathlib.Path(scratch, "index")
        Git(repo, GIT_INDEX_FILE=str(clean)).run("read-tree", head)
        git = Git(repo, GIT_INDEX_FILE=str(index))
        for mutant in load():
            shutil.copy(clean, index)
            how = put(git, mutant)
            if how is None:
                failed.append(mutant.name)
                note(f"{mutant.name}: does not apply, not even with fuzz")
                continue
            if how:
                note(f"{mutant.name}: {how}")
            if write(mutant.path, exported(git, mutant, head, git.text("write-tree"))):
                changed += 1
                note(f"wrote kunit/mutants/{mutant.path.name}")
    if not changed:
        note("nothing to change")
    if failed:
        raise Failure("apply", f"{len(failed)} mutants do not apply, first: {failed[0]}",
                      "make their change again by hand, at the same place of the new code")
