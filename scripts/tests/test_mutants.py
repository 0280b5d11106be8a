# SPDX-License-Identifier: GPL-2.0
"""scripts/mutants against a fake kernel and a fake QEMU: verdicts, what is kept, refresh."""

import contextlib
import io
import itertools
import json
import pathlib
import re
import shutil
import sys
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import (CODES, GOOD, HANG, HEAD, ROOT, TAIL, Result, SandboxTest, fingerprint,  # noqa: E402
                     git, ktap, kunit_parse, programs, write_files)

from gup import cli, mutantfile, mutants, series  # noqa: E402
from gup.ktap import what_was_said  # noqa: E402
from gup.git import Git  # noqa: E402

# A qemu that looks into the kernel: what it prints is decided by the symbol in it.
QEMU = """\
[ "$1" != --version ] || exit 0
for word; do
	[ "$before" != -kernel ] || kernel=$word
	case $word in *filter_glob=*) glob=${word##*filter_glob=} ;; esac
	before=$word
done
echo "${glob%% *}" >> "$FAKE_BOOTS"
for file in "$FAKE_CONSOLES"/*; do
	grep -aqw "${file##*/}" "$kernel" || continue
	if [ -d "$file" ]; then
		# One console for each boot; the last one stays.
		set -- "$file"/*
		cat "$1"
		[ $# = 1 ] || rm "$1"
		exit
	fi
	cat "$file"
	[ "$FAKE_HANG" != "${file##*/}" ] || exec @HANG@
	exit
done
cat "$FAKE_CONSOLE"
""".replace("@HANG@", HANG)
SAID = "    # one: EXPECTATION FAILED at mm/tests/x.c:7\n    Expected count == 0, but\n        count == 16\n"
WARNING = "WARNING: mm/gup.c:7 at gup+0x1/0x2\n"
ALPHA_FAILS = {**GOOD, "gup_alpha": {"one": "not ok", "two": "ok"}}


def failing(suites=None, said=SAID):
    """A console on which the first failing test says why."""
    return HEAD + re.sub(r"(.*    not ok)", lambda m: said + m[1], ktap(suites or ALPHA_FAILS), count=1) + TAIL


class MutantsTest(SandboxTest):
    def prepare(self):
        (self.repo / "kunit/mutants").mkdir()
        (self.top / "consoles").mkdir()
        programs(self.bin, {"qemu-system-x86_64": QEMU})
        self.good("boot", "--only", "3")  # builds in the tree that mutants are put into
        shutil.rmtree(self.repo / "build/results")
        self.boots()

    def enter(self, top):
        super().enter(top)
        self.environment.update(FAKE_CONSOLES=str(self.top / "consoles"), FAKE_BOOTS=str(self.top / "boots"))

    def mutant(self, name, symbol, *killed_by, before="int memory;", **fields):
        """One that renames the only symbol of mm/memory.c."""
        symbol = symbol if symbol == "if" else f"bug_{symbol}"
        fields = {"Subject": f"The bug of {name}", "Brings-back": "C3",
                  **{key.replace("_", "-"): value for key, value in fields.items()}}
        head = "".join(f"{key}: {value}\n" for key, value in fields.items() if value)
        head += "".join(f"Killed-by: {glob}\n" for glob in killed_by or ("gup_alpha.one",))
        path = self.repo / f"kunit/mutants/{name}.patch"
        path.write_text(head + "\nThis is why it is a bug.\n\ndiff --git a/mm/memory.c b/mm/memory.c\n"
                        "--- a/mm/memory.c\n+++ b/mm/memory.c\n@@ -1,2 +1,2 @@\n"
                        f" // SPDX-License-Identifier: GPL-2.0\n-{before}\n+int {symbol};\n")
        return path

    def symbol(self, symbol, console):
        (self.top / "consoles" / f"bug_{symbol}").write_text(console)

    def killed(self, name="killed"):
        self.symbol(name, failing())
        return self.mutant(name, name)

    def survivor(self, name="survivor"):
        return self.mutant(name, name)

    def boots(self):
        """The globs that were booted since the last call."""
        path = self.top / "boots"
        globs = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return globs

    def outcome(self):
        return json.loads((self.results() / "result.json").read_text())

    def results(self):
        return max((self.repo / "build/results").glob("*-mutants*"), key=lambda path: path.stat().st_ctime_ns)

    def verdicts(self):
        return {mutant["name"]: mutant["verdict"] for mutant in self.outcome()["mutants"]}

    def snapshot(self):
        return {path.name: path.read_bytes() for path in (self.repo / "kunit/mutants").iterdir()}

    def clean(self):
        self.assertEqual(git(self.repo / "build/prefix/tree", "status", "--porcelain"), "")


class Runs(MutantsTest):
    def test_killed_and_nothing_else_is_touched(self):
        self.good("tree", "apply")
        (self.tree() / "mm/memory.c").write_text("int mine;\n")
        before = fingerprint(self.tree()), (self.repo / "build/state").read_text()
        self.killed()
        result = self.good("mutants")
        self.assertRegex(result.last, r"^PASS: 1 mutants: 1 killed \(\d+ s, log: .*-mutants\)$")
        self.assertIn("\n1 passed, 0 failed\n", result.output)
        (found,) = self.outcome()["mutants"]
        self.assertEqual(found["tests"], ["gup_alpha.one"])
        self.assertIn("count == 16", found["lines"])
        self.assertEqual(self.boots(), ["gup_alpha.one"] * 2)  # without it, and with it
        self.clean()
        self.assertEqual((fingerprint(self.tree()), (self.repo / "build/state").read_text()), before)

    def test_a_hang_is_a_crash(self):
        self.symbol("hangs", HEAD + ktap({"gup_alpha": {"two": "ok"}}))
        self.mutant("hangs", "hangs")
        self.bad("test", "mutants", "--timeout", "2", names=["crash only", "did not end (silent)"], FAKE_HANG="bug_hangs")

    def test_does_not_build(self):
        self.mutant("broken", "if")
        self.killed("fine")
        result = self.bad("build", "mutants", "--keep-going", names=["did not build", "error:", "mm/memory.c"])
        self.assertEqual(self.verdicts(), {"broken": "did not build", "fine": "killed"})
        self.assertIn("1 killed, 1 did not build", result.last)

    def test_stops_at_the_first_one_that_survives(self):
        self.survivor("a")
        self.killed("b")
        result = self.bad("test", "mutants", names=["1 survived, 1 not run", "C3: The bug of a", "gup_alpha.one"])
        self.assertNotIn("killed  ", result.output)
        self.assertIn("\n0 passed, 1 failed\n", result.output)
        self.clean()
        self.assertEqual(self.outcome()["not_run"], ["b"])

    def test_refresh_changes_nothing_the_second_time(self):
        self.killed()
        self.good("mutants", "--refresh")
        before = self.snapshot()
        result = self.good("mutants", "--refresh")
        self.assertIn("nothing to change", result.output)
        self.assertEqual(self.snapshot(), before)
        self.assertNotIn(b"\nindex ", before["killed.patch"])
        self.assertIn(b"This is why it is a bug.", before["killed.patch"])


class InsideTest(MutantsTest):
    """A run of mutants without its verb: nothing is built or started, and the symbol in mm/memory.c
    decides what a guest would have printed."""

    def script(self, verb, *words):
        with contextlib.redirect_stdout(io.StringIO()) as said, \
                mock.patch.object(mutantfile, "MUTANTS", self.repo / "kunit/mutants"), \
                mock.patch.object(mutants, "KEPT", self.cache / "mutants"), mock.patch.object(cli.now, "verb", verb):
            try:
                kind, summary = self.run_all(cli.parse(verb, mutants, words))
            except cli.Failure as failure:
                print(failure.step)
                kind, summary = failure.kind, failure.what
        return Result(CODES[kind], f"{said.getvalue()}{f'FAIL({kind})' if CODES[kind] else 'PASS'}: {summary}")

    def run_all(self, options):
        self.tree_of = self.repo / "build/prefix/tree"
        if options.refresh:
            mutantfile.refresh(self.tree_of, git(self.tree_of, "rev-parse", "HEAD"))
            return "pass", ""
        chosen = mutants.selected(options)
        if options.list:
            mutants.show(chosen)
            return "pass", ""
        number = len(list((self.repo / "build").glob("results/*")))
        results = self.repo / f"build/results/{number}-mutants"
        results.mkdir(parents=True)
        git(self.tree_of, "update-index", "-q", "--refresh")  # the tree is a copy
        run = mutants.Run(chosen, "key", options.arch, results, options.again)
        run.boot = self.guest
        if options.changed:
            run.mutants = run.missing
        run.without()
        for one in run.missing:
            if run.put(one, Git(self.tree_of), self.tree_of):
                run.attempt(one)
            git(self.tree_of, "reset", "-q", "--hard")
            if not run.is_good(one) and not options.keep_going:
                break
        return run.conclude()

    def guest(self, directory, glob):
        """In place of QEMU above."""
        directory.mkdir(parents=True)
        with open(self.top / "boots", "a", encoding="utf-8") as boots:
            boots.write(mutants.kernel_glob(glob) + "\n")
        symbol = re.search(r"bug_\w+|$", (self.tree_of / "mm/memory.c").read_text())[0]
        found = self.top / "consoles" / symbol if symbol else self.top / "console"
        console = directory / "console.log"
        if found.is_dir():
            first, *more = sorted(found.iterdir())
            shutil.copy(first, console)
            if more:
                first.unlink()
        else:
            shutil.copy(found if found.exists() else self.top / "console", console)
        result = directory / "kunit.json"
        kunit_parse(self.tree_of, console, result)
        return (console.read_text().splitlines(True), {"end": "exit", "status": 0, "seconds": 0},
                json.loads(result.read_text()) if result.exists() else None)


class Verdicts(InsideTest):
    def test_a_warning_alone_is_a_crash(self):
        self.symbol("warns", HEAD + ktap(GOOD, WARNING) + TAIL)
        self.mutant("warns", "warns")
        self.bad("test", "mutants", names=["crash only", "WARNING: mm/gup.c:7"])

    def test_a_test_that_faulted_is_a_crash(self):
        self.symbol("faults", failing(said="    # one: try faulted: last line seen mm/tests/x.c:7\n"))
        self.mutant("faults", "faults")
        self.bad("test", "mutants", names=["crash only", "gup_alpha.one"])

    def test_a_failure_before_a_crash_counts(self):
        self.symbol("both", failing().replace(TAIL, WARNING + "Kernel panic - not syncing: x\n"))
        self.mutant("both", "both")
        self.good("mutants")

    def test_a_guest_that_dies_after_an_expectation_failed(self):
        text = failing()
        self.symbol("dies", text[:text.index("    not ok")] + "BUG: kernel NULL pointer dereference\n"
                    "Kernel panic - not syncing: x\n")
        self.mutant("dies", "dies")
        self.good("mutants")
        self.assertEqual(self.outcome()["mutants"][0]["tests"], ["gup_alpha.one"])

    def test_another_test_does_not_count(self):
        self.symbol("other", failing())
        self.mutant("other", "other", "gup_beta.one")
        self.bad("test", "mutants", names=["survived", "fails, but is not named: gup_alpha.one"])

    def test_each_of_several_has_to_fail(self):
        self.symbol("some", failing())
        self.mutant("some", "some", "gup_alpha.one", "gup_beta.one")
        self.bad("test", "mutants", names=["survived", "passed: gup_beta.one\n"])
        self.assertEqual(self.boots(), ["gup_alpha.one", "gup_beta.one"] * 2)

    def test_one_of_several_is_enough_of_a_race(self):
        self.symbol("some", failing())
        self.mutant("some", "some", "gup_beta.one", "gup_alpha.one", "gup_alpha.two", Runs="1/2")
        self.good("mutants")
        self.assertEqual(self.boots()[6:], ["gup_beta.one", "gup_beta.one", "gup_alpha.one"])

    def test_a_parameter(self):
        def console(second):
            lines = ("KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: gup_alpha\n    1..1\n"
                     "        KTAP version 1\n        # Subtest: one\n        ok 1 small\n%s 2 very large\n"
                     "    ok 1 one\nok 1 gup_alpha\n") % second
            return HEAD + lines + TAIL
        (self.top / "console").write_text(console("        ok"))
        self.symbol("large", console(SAID + "        not ok").replace("    ok 1 one\nok 1", "    not ok 1 one\nnot ok 1"))
        self.mutant("large", "large", "gup_alpha.one.very large")
        self.good("mutants")
        self.assertEqual(self.boots(), ["gup_alpha.one"] * 2)
        self.mutant("small", "large", "gup_alpha.one.small")
        self.bad("test", "mutants", names=["1 killed, 1 survived", "not named: gup_alpha.one.very large"])
        self.boots()
        self.mutant("small", "large", "gup_alpha.one.small", "gup_alpha.one.very*")
        self.bad("test", "mutants", names=["1 killed, 1 survived", "passed: gup_alpha.one.small\n"])
        self.assertEqual(self.boots(), ["gup_alpha.one"] * 2)

    def test_does_not_apply(self):
        self.mutant("stale", "stale", before="int something_else;")
        self.bad("apply", "mutants", names=["does not apply", "mm/memory.c"])
        self.assertEqual(self.boots(), ["gup_alpha.one"])

    def test_no_such_suite_and_no_such_test(self):
        self.mutant("suite", "x", "gup_gamma.one")
        self.mutant("test", "y", "gup_alpha.three")
        self.killed("known")
        self.bad("test", "mutants", "--keep-going", names=["no such test", "no test 'gup_gamma.one' ran"])
        self.assertEqual(self.verdicts(), {"suite": "no such test", "test": "no such test", "known": "killed"})

    def test_a_test_that_fails_without_it_proves_nothing(self):
        (self.top / "console").write_text(failing())
        self.killed()
        self.bad("test", "mutants", names=["without a mutant: gup_alpha.one fails", "fails without"])
        self.console(GOOD)
        self.good("mutants")  # and nothing of that was kept

    def test_a_test_that_is_skipped_proves_nothing(self):
        self.console({**GOOD, "gup_alpha": {"one": "skip", "two": "ok"}})
        self.killed()
        self.bad("test", "mutants", names=["no such test", "skipped: gup_alpha.one"])

    def consoles(self, symbol, *which):
        folder = self.top / f"consoles/bug_{symbol}"
        folder.mkdir()
        for number, one in enumerate(which):
            (folder / str(number)).write_text(failing() if one else HEAD + ktap(GOOD) + TAIL)

    def test_runs(self):
        self.consoles("race", 0, 1, 0, 1, 0)
        self.mutant("race", "race", Runs="2/4")
        self.good("mutants")
        self.assertEqual(len(self.boots()), 4 + 4)
        self.consoles("rare", 0, 1, 0, 0)
        self.mutant("rare", "rare", Runs="2/4")
        self.bad("test", "mutants", names=["1 killed, 1 survived"])
        self.assertEqual(self.outcome()["mutants"][1]["runs"], ["passes", "fails", "passes", "passes"])


class BadInput(MutantsTest):
    def test_options(self):
        self.killed()
        self.bad("usage", "mutants", "--colour", names=["--colour", "--help"])
        self.bad("usage", "mutants", "--only", names=["--only"])
        self.bad("usage", "mutants", "--only", "x*", names=["no mutant matches 'x*'", "--list"])
        self.bad("usage", "mutants", "--jobs", "0", names=["--jobs"])
        for part in ("3/2", "0/2", "1", "x/2"):
            self.bad("usage", "mutants", "--part", part, names=[part])
        self.assertIn("usage: scripts/mutants", self.good("mutants", "--help").output)

    def test_list_needs_no_kernel(self):
        self.killed("b")
        self.survivor("a")
        shutil.rmtree(self.repo / "build")
        output = self.good("mutants", "--list").output
        self.assertLess(output.index("The bug of a"), output.index("The bug of b"))
        self.assertIn("gup_alpha.one", output)
        self.assertFalse((self.repo / "build").exists())


class BadFiles(InsideTest):
    def test_headers(self):
        for wrong, complaint in (({"Subject": ""}, "Subject:"), ({"Killed_of": "x.y"}, "Killed-of"),
                                 ({"Runs": "3/2"}, "Runs:"), ({"Runs": "many"}, "Runs:")):
            self.mutant("wrong", "x", **wrong)
            self.bad("check", "mutants", "--list", names=["kunit/mutants/wrong.patch", complaint, "README"])
        path = self.mutant("wrong", "x", "gup_alpha")
        self.bad("check", "mutants", "--list", names=["gup_alpha", "suite.test"])
        path.write_text(self.mutant("wrong", "x").read_text().split("diff --git")[0])
        self.bad("check", "mutants", "--list", names=["no diff"])
        path.unlink()
        self.bad("check", "mutants", "--list", names=["holds no mutant"])


class KeptTest(MutantsTest):
    """Where all have a verdict."""

    def prepare(self):
        self.killed("a")
        self.killed("b")
        self.good("mutants")
        self.boots()


class Kept(KeptTest):
    def test_nothing_runs_twice(self):
        result = self.good("mutants")
        self.assertIn("2 mutants (2 kept): 2 killed", result.last)
        self.assertNotIn(" build  ", result.output)
        self.assertEqual(self.boots(), [])
        self.assertTrue(all(mutant["kept"] for mutant in self.outcome()["mutants"]))

    def test_a_fresh_clone_has_them_too(self):
        shutil.rmtree(self.repo / "build")
        self.killed("c")
        self.assertIn("3 mutants (2 kept): 3 killed", self.good("mutants").last)
        self.assertTrue((self.repo / "build/prefix/o/reference/.config").exists())

    def test_another_series_runs_all(self):
        patch = self.repo / "patches/beta.patch"
        patch.write_text(patch.read_text().replace("gup_beta", "gup_gamma"))
        self.assertIn("1 mutants: 1 killed", self.good("mutants", "--only", "a").last)

    def test_another_configuration_runs_all(self):
        with open(self.repo / "configs/fragments/mm.config", "a", encoding="utf-8") as fragment:
            fragment.write("CONFIG_OTHER=y\n")
        self.assertIn("1 mutants: 1 killed", self.good("mutants", "--only", "a").last)

    def test_a_mutant_that_an_interrupted_run_has_left(self):
        tree = self.repo / "build/prefix/tree"
        (tree / "mm/memory.c").write_text("half")
        (tree / ".git/index.lock").write_text("")
        (tree.parent / "mutant").touch()
        self.good("mutants", "--again", "--only", "a")
        self.clean()

    def test_edits_are_not_lost(self):
        edited = self.repo / "build/prefix/tree/mm/memory.c"
        edited.write_text("mine")
        self.bad("tree", "mutants", "--again", names=["build/prefix"])
        self.assertEqual(edited.read_text(), "mine")


class KeptInside(InsideTest):
    def prepare(self):
        self.killed("a")
        self.killed("b")
        self.good("mutants")
        self.boots()

    def test_again(self):
        self.good("mutants", "--again", "--only", "a")
        self.assertEqual(len(self.boots()), 2)

    def test_what_changed_runs(self):
        path = self.repo / "kunit/mutants/a.patch"
        path.write_text(path.read_text().replace("why it is", "why this is"))
        result = self.good("mutants", "--changed")
        self.assertIn("1 mutants: 1 killed", result.last)
        self.assertEqual(self.boots(), ["gup_alpha.one"])  # what passes without is known
        self.assertIn("0 mutants: nothing to run", self.good("mutants", "--changed").last)

    def test_a_survivor_stays_one_and_fails_again(self):
        self.survivor("c")
        self.bad("test", "mutants")
        self.boots()
        self.bad("test", "mutants", names=["2 killed, 1 survived"])
        self.assertEqual(self.boots(), [])

    def test_parts(self):
        for name in "cdefg":
            self.killed(name)

        def part(which):
            return re.findall(r"^(\w) ", self.good("mutants", "--list", "--part", which).output, re.M)
        self.assertEqual(sorted(part("1/3") + part("2/3") + part("3/3")), list("abcdefg"))
        self.assertEqual(part("auto/3"), part("auto/3"))
        self.assertIn(part("auto/3"), [part("1/3"), part("2/3"), part("3/3")])


class Interrupted(MutantsTest):
    def test_in_a_boot(self):
        self.killed("a")
        self.symbol("b", HEAD)
        self.mutant("b", "b")
        self.killed("c")
        log = lambda: list((self.repo / "build/results").glob("*/b/boot1/console.log"))  # noqa: E731
        self.interrupt("mutants", when=lambda: log() and log()[0].stat().st_size, FAKE_HANG="bug_b")
        self.boots()
        self.symbol("b", failing())
        result = self.good("mutants")
        self.assertIn("3 mutants (1 kept): 3 killed", result.last)
        self.assertEqual(len(self.boots()), 2)
        self.clean()

    def test_its_tree_is_good_for_others(self):
        self.symbol("b", HEAD)
        self.mutant("b", "b")
        log = lambda: list((self.repo / "build/results").glob("*/b/boot1/console.log"))  # noqa: E731
        self.interrupt("mutants", when=lambda: log() and log()[0].stat().st_size, FAKE_HANG="bug_b")
        self.good("boot", "--topics", "tests")
        self.clean()


class Refresh(InsideTest):
    def drift(self, text):
        """Another mm/memory.c in the series."""
        tree = self.repo / "build/prefix/tree"
        write_files(tree, {"mm/memory.c": text})
        git(tree, "commit", "-q", "-a", "-m", "drift")

    def test_with_fuzz_which_is_said(self):
        path = self.killed()
        self.drift("// SPDX-License-Identifier: GPL-2.0-only\n\nint memory;\n\nint more;\n")
        text = path.read_text().replace("@@ -1,2 +1,2 @@\n // SPDX-License-Identifier: GPL-2.0\n",
                                        "@@ -1,3 +1,3 @@\n // SPDX-License-Identifier: GPL-2.0\n \n")
        path.write_text(text.replace("int bug_killed;\n", "int bug_killed;\n \n").replace("-1,3 +1,3", "-1,4 +1,4"))
        self.bad("apply", "mutants")
        self.assertIn("killed: fuzz:", self.good("mutants", "--refresh").output)
        self.assertIn("GPL-2.0-only", path.read_text())
        before = self.snapshot()
        self.assertNotIn("fuzz", self.good("mutants", "--refresh").output)
        self.assertEqual(self.snapshot(), before)
        self.good("mutants")

    def test_one_that_is_lost_is_named_and_left(self):
        path = self.mutant("lost", "lost", before="int something_else;")
        before = path.read_text()
        other = self.killed()
        other.write_text(other.read_text().replace("@@ -1,2 +1,2 @@", "@@ -1,2 +1,2 @@ old"))
        self.bad("apply", "mutants", "--refresh", names=["1 mutants do not apply, first: lost"])
        self.assertEqual(path.read_text(), before)
        self.assertNotIn("@@ old", other.read_text())

    def test_a_hunk_that_fits_twice_gets_more_context(self):
        twice = "int f(void)\n{\n\treturn 0;\n}\n\nint g(void)\n{\n\treturn 0;\n}\n"
        self.drift("// SPDX-License-Identifier: GPL-2.0\nint memory;\n\n" + twice)
        path = self.killed()
        head = path.read_text().split("@@")[0]
        path.write_text(head + "@@ -10,3 +10,4 @@\n {\n \treturn 0;\n }\n+int bug_killed;\n")
        self.bad("apply", "mutants", names=["fits in 2 places", "--refresh"])
        self.good("mutants", "--refresh")
        self.assertIn(" int g(void)\n", path.read_text())
        self.good("mutants")


class OnLess(InsideTest):
    """On an architecture that does not run all tests."""

    def on_um(self, *options):
        return self.script("mutants", "--arch", "um", *options)

    def test_what_does_not_run_there_is_no_failure(self):
        self.console({**GOOD, "gup_alpha": {"one": "ok", "two": "skip"}})
        self.killed("fine")
        self.symbol("mixed", failing())
        self.mutant("mixed", "mixed", "gup_alpha.one", "gup_alpha.two", "gup_alpha.one.huge")
        self.mutant("neither", "neither", "gup_alpha.one.huge", "gup_alpha.two")
        result = self.on_um()
        self.assertEqual(result.last, "PASS: 3 mutants: 2 killed, 1 not on um")
        self.assertIn("2 passed, 0 failed", result.output)
        self.assertRegex(result.output, r"not on um .* neither +no test 'gup_alpha.one.huge' ran; skipped: gup_alpha.two")
        self.boots()
        self.assertIn("3 mutants (3 kept)", self.on_um().last)
        self.assertEqual(self.boots(), [])

    def test_lines_behind_a_change_keep_their_numbers(self):
        tree = pathlib.Path(self.repo, "build/prefix/tree")
        path, old = tree / "mm/gup.c", (tree / "mm/gup.c").read_text().splitlines()
        for change in ((1, 1, ["more", "lines"]), (2, 4, []), (3, 3, ["more"]), (5, 7, ["less"]), (2, 3, ["same"])):
            first, last, lines = change
            path.write_text("\n".join([*old[:first], *lines, *old[last:]]) + "\n")
            git(tree, "add", "mm/gup.c")
            mutantfile.keep_line_numbers(Git(tree), tree)
            numbered, number = {}, 1
            for line in path.read_text().splitlines():
                directive = re.match(r"#line (\d+)", line)
                numbered[number], number = line, int(directive[1]) if directive else number + 1
            self.assertEqual([numbered[n] for n in range(last + 1, len(old) + 1)], old[last:], change)
            self.assertEqual("#line" in path.read_text(), len(lines) != last - first, change)

    def test_a_survivor_is_one_there_as_well(self):
        self.survivor()
        self.assertIn("1 survived", self.on_um().last)


class TheRealOnes(unittest.TestCase):
    def test_they_are_well_formed(self):
        found = mutantfile.load()
        self.assertGreaterEqual(len(found), 50)
        for mutant in found:
            self.assertRegex(mutant.name, r"^[ch]\d\d-[a-z0-9-]+$")
            self.assertRegex(mutant.brings_back, r"\bC\d+\b|\b[0-9a-f]{12}\b", mutant.name)
        subjects = [mutant.subject for mutant in found]
        self.assertEqual(len(subjects), len(set(subjects)))

    def test_the_readme_names_mutants_that_exist(self):
        names = {mutant.name for mutant in mutantfile.load()}
        text = (ROOT / "kunit/mutants/README").read_text()
        mentioned = set(re.findall(r"\bh\d\d-[a-z0-9-]+", text))
        self.assertLessEqual(mentioned, names)
        self.assertEqual({name for name in names if name.startswith("h")}, mentioned)


class Units(unittest.TestCase):
    def test_hunks(self):
        diff = ("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@ f\n a\n--- b\n+c\n@@ -9 +9 @@\n-d\n+e\n"
                "diff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -1 +1,2 @@\n f\n+g\n")
        self.assertEqual(list(mutantfile.hunks(diff)), [("x", ["a", "-- b"]), ("x", ["d"]), ("y", ["f"])])

    def test_what_was_said_belongs_to_the_next_result(self):
        text = failing({"s": {"a": "ok", "one": "not ok", "b": "not ok"}}).splitlines()
        said = what_was_said(text)
        self.assertEqual(list(said), ["s.one"])
        self.assertEqual(said["s.one"][0], "# one: EXPECTATION FAILED at mm/tests/x.c:7")

    def test_parts_are_disjoint_and_whole(self):
        for size, count in itertools.product(range(4, 9), range(1, 5)):
            parts = [series.part(list(range(size)), f"{i}/{count}") for i in range(1, count + 1)]
            self.assertEqual(sorted(sum(parts, [])), list(range(size)))
        with self.assertRaises(cli.Failure):
            series.part([1], "2/1")
        with self.assertRaises(cli.Failure):
            series.part([1], "2/2")


if __name__ == "__main__":
    unittest.main()
