# SPDX-License-Identifier: GPL-2.0
"""Runs the litmus tests of kunit/litmus/: what orders the lockless walk of GUP-fast and what it races with.

By herd7 where it is in PATH, and otherwise by gup/lkmm.py, which takes the same memory model from the kernel's
tools/memory-model, for the tests in C. What comes out must be what the test says, and what is in kunit/litmus/observed.
"""

import fnmatch
import pathlib
import re
import shutil
import subprocess

from gup import cli, litmusfile, source
from gup.cat import Unsupported
from gup.cli import Failure, note
from gup.git import Git
from gup.litmusfile import FUNCTIONS, NOT_RUN, OBSERVED
from gup.lkmm import FOLDER, Checker
from gup.workspace import Workspace

EXCLUDE = ("--herd7 --own", "--accept --write")
# Litmus tests of the kernel that gup/lkmm.py does not take: spin_is_locked() and "filter".
NOT_TAKEN = {"MP+polockmbonce+poacquiresilsil", "MP+polockonce+poacquiresilsil", "RM-broken", "RM-fixed"}
OBSERVATION = re.compile(r"^Observation (\S+) (Never|Sometimes|Always) (\d+) (\d+)$", re.M)
LICENCE = "# SPDX-License-Identifier: GPL-2.0\n"


def options(parser):
    parser.add_argument("only", nargs="*", metavar="TEST", help="a test, or several: share-*; a variant: share-pin-ro+no-rmb")
    cli.option(parser, "--herd7", "fail if herd7 is not in PATH")
    cli.option(parser, "--own", "by gup/lkmm.py, although there is herd7")
    cli.option(parser, "--accept", "you have looked at the functions that have changed, and at what is observed now: write "
               "kunit/litmus/functions and kunit/litmus/observed")
    cli.option(parser, "--write DIR", "write each test and variant into a file of its own, for herd7", pathlib.Path)


def chosen(tests, only):
    """[(test, name of it or of a variant)]"""
    names = [(test, name) for test in tests for name in test.expected]
    for glob in only:
        if not fnmatch.filter((name for _, name in names), glob):
            raise cli.usage(f"there is no litmus test {glob}")
    return [(test, name) for test, name in names if not only or any(fnmatch.fnmatchcase(name, glob) for glob in only)]


class Herd:
    """herd7 from PATH. A test of instructions needs none of the kernel's files."""

    name = "herd7"

    def __init__(self, kernel):
        self.folder = cli.scratch()
        for name in ("bell", "cat", "cfg", "def"):
            (self.folder / f"linux-kernel.{name}").write_text(kernel(f"{FOLDER}/linux-kernel.{name}"))
        (self.folder / "lock.cat").write_text(kernel(f"{FOLDER}/lock.cat"))

    def observe(self, name, text, in_c):
        path = self.folder / f"{name}.litmus"
        path.write_text(text)
        words = ["-conf", "linux-kernel.cfg"] if in_c else []
        done = subprocess.run(["herd7", *words, path.name], cwd=self.folder, capture_output=True, text=True, check=False)
        found = OBSERVATION.search(done.stdout)
        if done.returncode or not found or found[1] != name:
            raise Failure("check", f"herd7 does not take {name}: " + (done.stderr or done.stdout).strip()[:300])
        return found[2], int(found[3]), int(found[4])


class Own:
    """gup/lkmm.py."""

    name = "gup/lkmm.py"

    def __init__(self, kernel):
        self.checker = Checker(kernel)

    def observe(self, name, text, in_c):
        if not in_c:
            return None
        try:
            return self.checker.observe(text)
        except Unsupported as reason:
            raise Failure("check", f"gup/lkmm.py does not take {name}: {reason}") from reason


def files_of(tree):
    """Gives the files of the memory model."""
    return lambda name: (tree / name).read_text(encoding="utf-8")


def misjudged(tree):
    """Tests of the kernel that say another result than gup/lkmm.py, or that it does not take and should."""
    checker, judged = Checker(files_of(tree)), 0
    for path in sorted([*tree.glob(f"{FOLDER}/litmus-tests/*.litmus"), *tree.glob("Documentation/litmus-tests/*/*.litmus")]):
        result = re.search(r"Result: (\w+)", path.read_text())
        try:
            found = checker.observe(path.read_text())
            judged += 1
            if path.stem in NOT_TAKEN or not result or found[0] != result[1]:
                yield f"{path.stem}: {' '.join(map(str, found))}, and {result and result[1]} is what the kernel says"
        except Unsupported as reason:
            if path.stem not in NOT_TAKEN:
                yield f"{path.stem}: {reason}"
    if judged < 40:
        yield f"{judged} of the kernel's litmus tests were judged, 40 at least were expected"


def compare(name, found, expected, known):
    """What is wrong, or None."""
    if not found[1] + found[2]:
        return f"{name}: has no execution at all, so Never says nothing"
    if found[0] != expected:
        return f"{name}: {' '.join(map(str, found))}, and {expected} is expected"
    if known and found != known[:3]:
        return f"{name}: {' '.join(map(str, found))}, and {' '.join(map(str, known[:3]))} was observed"
    return None


def run(instrument, tests, known):
    """({name: what was observed}, [names that were not run], [what is wrong])"""
    found, left, problems = {}, [], []
    for test, name in tests:
        result = instrument.observe(name, test.variant(name), test.in_c)
        if result is None:
            left.append(name)
            continue
        found[name] = result
        wrong = compare(name, result, test.expected[name], known.get(name))
        problems += [wrong] if wrong else []
    return found, left, problems


def write(folder, tests):
    folder.mkdir(parents=True, exist_ok=True)
    for test, name in tests:
        (folder / f"{name}.litmus").write_text(test.variant(name))
    return f"{len(tests)} files in {folder}, for herd7 -conf linux-kernel.cfg in {FOLDER} of the kernel"


def table(found, known, instrument):
    """kunit/litmus/observed. What herd7 has said of a test stays for as long as nothing else is observed."""
    lines = [LICENCE, "# What scripts/litmus observes: verdict, allowed executions with the outcome and without; and\n"
             "# what of it herd7 has seen: its version, or that it was not run. Written by scripts/litmus --accept.\n"]
    for name, result in sorted(found.items()):
        old = known.get(name)
        herd = instrument.version if instrument.name == "herd7" else old[3] if old and old[:3] == result else NOT_RUN
        lines.append(f"{name} {' '.join(map(str, result))} {herd}\n")
    return "".join(lines)


def accept(tree, found, known, instrument):
    """Functions as they are now. What they are to be is not known, so that is all that is asked."""
    for file, function, now, tests in litmusfile.changed_functions(tree):
        note(f"{file}: {function}(), modelled by {', '.join(tests)}")
        if not now:
            raise Failure("check", f"{file} has no function {function}()", f"mend the heads of {', '.join(tests)}")
    models = sorted({one for test in litmusfile.load() for one in test.models})
    cli.write(FUNCTIONS, LICENCE + "# Functions that kunit/litmus/ models, and hashes of their texts without comments in\n"
              "# a tree that has the series. Written by scripts/litmus --accept.\n" + "".join(
                  f"{file} {function} {litmusfile.hash_of(tree, file, function)}\n" for file, function in models))
    cli.write(OBSERVED, table(found, known, instrument))


def instrument_of(options, kernel):
    found = shutil.which("herd7")
    if options.herd7 and not found:
        raise Failure("environment", "herd7 is not in PATH", "build herdtools7; without --herd7 gup/lkmm.py is used")
    if not found or options.own:
        return Own(kernel)
    herd = Herd(kernel)
    said = subprocess.run(["herd7", "-version"], capture_output=True, text=True, check=False).stdout
    herd.version = "herd7-" + (said.split(",")[0].split() or ["unknown"])[0]
    return herd


def main(options):
    tests, known = chosen(litmusfile.load(), options.only), litmusfile.observed()
    if options.write:
        return write(options.write, tests)
    if options.accept and options.only:
        raise cli.usage("--accept is for all tests")
    the_source = source.choose()
    git = Git(the_source.store)
    instrument = instrument_of(options, lambda name: git.run("show", f"{the_source.base}:{name}").stdout.decode())
    cli.stage("litmus", f"{len(tests)} tests and variants by {instrument.name}")
    found, left, problems = run(instrument, tests, {} if options.accept else known)
    if left:
        note(f"not run, they are for herd7: {', '.join(left)}")
    if options.accept and not problems:
        accept(Workspace(the_source, prefix=True).prepare().tree, found, known, instrument)
    cli.indented(problems)
    if problems:
        raise cli.End("check", f"{problems[0]}, and {len(problems) - 1} more")
    sees = sum(1 for name in found if known.get(name, [NOT_RUN])[-1] != NOT_RUN)
    return (f"{len(found)} litmus tests and variants by {instrument.name}, {sees} of them also seen by herd7, "
            f"{len(left)} not run")
