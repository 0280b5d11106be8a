# SPDX-License-Identifier: GPL-2.0
"""scripts/litmus: what gup/lkmm.py says of tests whose result is known, how variants are made, and that a changed
function, a wrong result and a missing herd7 are told."""

import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import io
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import REAL_CACHE, SandboxTest, git, programs, write_files  # noqa: E402

from gup import cli, litmus, litmusfile  # noqa: E402
from gup.cat import Model, Unsupported  # noqa: E402
from gup.lkmm import Checker  # noqa: E402

BUFFERS = """\
C sb

(*
 * SPDX-License-Identifier: GPL-2.0
 *
 * Two CPUs store, and load what the other one stores.
 *
 * Models: mm/gup.c gup
 * Expected: Sometimes
 * +mb: Never; both have a full barrier
 * +one-mb: Sometimes; one has
 * +xchg: Never; an atomic operation with a result is one
 * +lock: Sometimes; a lock of one's own is none
 *)

{
	x=0; y=0;
}

P0(int *x, int *y, spinlock_t *mine)
{
	int r0;

	WRITE_ONCE(*x, 1);	// xchg: r0 = xchg(x, 1);
	// +mb,one-mb: smp_mb();
	// +lock: spin_lock(mine);
	r0 = READ_ONCE(*y);
	// +lock: spin_unlock(mine);
}

P1(int *x, int *y, spinlock_t *other)
{
	int r0;

	WRITE_ONCE(*y, 1);	// xchg: r0 = xchg(y, 1);
	// +mb: smp_mb();
	// +lock: spin_lock(other);
	r0 = READ_ONCE(*x);
	// +lock: spin_unlock(other);
}

exists (0:r0=0 /\\ 1:r0=0)
"""
MESSAGE = """\
C mp

{
	x=0; f=0;
}

P0(int *x, int *f)
{
	WRITE_ONCE(*x, 1);
	%s
	WRITE_ONCE(*f, 1);
}

P1(int *x, int *f)
{
	int r0;
	int r1;

	r0 = READ_ONCE(*f);
	%s
	r1 = READ_ONCE(*x);
}

exists (1:r0=1 /\\ 1:r1=0)
"""
KNOWN = "sb Sometimes 1 3 herd7-7.58\nsb+mb Never 0 3 not-run\nsb+one-mb Sometimes 1 3 not-run\n" \
        "sb+xchg Never 0 3 not-run\nsb+lock Sometimes 1 3 not-run\n"


def kernel_files(*paths):
    return subprocess.run(["git", "-C", str(REAL_CACHE / "linux.git"), "archive", "refs/heads/base", *paths],
                          check=True, capture_output=True).stdout


class Folder(unittest.TestCase):
    """The kernel's memory model and its tests in a folder."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.tree = pathlib.Path(folder.name)
        with tarfile.open(fileobj=io.BytesIO(kernel_files("tools/memory-model", "Documentation/litmus-tests"))) as tar:
            tar.extractall(cls.tree)
        cls.checker = Checker(litmus.files_of(cls.tree))

    def observe(self, text):
        return self.checker.observe(text)


class Checking(Folder):
    def test_messages(self):
        for writer, reader, wanted in (("", "", ("Sometimes", 1, 3)), ("smp_wmb();", "smp_rmb();", ("Never", 0, 3)),
                                       ("smp_wmb();", "", ("Sometimes", 1, 3)), ("", "smp_rmb();", ("Sometimes", 1, 3)),
                                       ("smp_rmb();", "smp_wmb();", ("Sometimes", 1, 3)), ("smp_mb();", "smp_mb();", ("Never", 0, 3))):
            self.assertEqual(self.observe(MESSAGE % (writer, reader)), wanted, (writer, reader))

    def test_an_atomic_operation_that_fails_is_no_barrier(self):
        text = MESSAGE % ("smp_wmb();", "r1 = atomic_cmpxchg(x, %d, 5);")
        self.assertEqual(self.observe(text % 9), ("Sometimes", 1, 5))
        self.assertEqual(self.observe((MESSAGE % ("smp_wmb();", "r1 = atomic_add_return(0, a);")).replace(
            "P1(int *x", "P1(atomic_t *a, int *x"))[0], "Never")

    def test_a_control_dependency_orders_stores_only(self):
        text = MESSAGE % ("smp_wmb();", "if (r0 == 1) {")
        self.assertEqual(self.observe(text.replace("= READ_ONCE(*x);\n}", "= READ_ONCE(*x);\n\t}\n}"))[0], "Sometimes")
        load_buffering = (MESSAGE % ("", "")).replace("WRITE_ONCE(*x, 1);", "int r9;\n\tr9 = READ_ONCE(*x);\n\tif (r9 == 1) {").replace(
            "WRITE_ONCE(*f, 1);\n}", "WRITE_ONCE(*f, 1);\n\t}\n}").replace("r1 = READ_ONCE(*x);", "WRITE_ONCE(*x, r0);").replace(
            "1:r0=1 /\\ 1:r1=0", "1:r0=1")
        self.assertEqual(self.observe(load_buffering), ("Never", 0, 2))
        self.assertEqual(self.observe(load_buffering.replace("if (r9 == 1) {", "if (1 == 1) {").replace(
            "WRITE_ONCE(*x, r0);", "WRITE_ONCE(*x, 1);"))[0], "Sometimes")

    def test_counters_of_two_are_exact(self):
        text = "C c\n\n{\n}\n\n%sexists (x=2)\n" % "".join(
            f"P{n}(atomic_t *x)\n{{\n\tint r0;\n\n\tr0 = atomic_add_return_relaxed(1, x);\n}}\n\n" for n in range(2))
        self.assertEqual(self.observe(text), ("Always", 2, 0))

    def test_a_thread_that_is_stuck_hides_no_other_run(self):
        text = MESSAGE % ("", "if (r0 == %d) {\n\t\tspin_lock(l);\n\t\tspin_lock(l);\n\t}")
        text = text.replace("P1(int *x", "P1(spinlock_t *l, int *x")
        self.assertEqual(self.observe(text % 0), ("Sometimes", 1, 1))
        self.assertEqual(self.observe(text % 1), ("Never", 0, 2))
        dead = ("Never", 0, 0)
        self.assertEqual(self.observe(text.replace("if (r0 == %d)", "if (0 == 0)")), dead)
        self.assertIn("no execution at all", litmus.compare("dead", dead, "Never", None))
        self.assertIsNone(litmus.compare("alive", ("Never", 0, 1), "Never", None))

    def test_the_models_own_axioms_decide(self):
        """Without one of them what it forbids is allowed."""
        def without(line):
            return lambda name: litmus.files_of(self.tree)(name).replace(line, "")
        barriers = litmusfile_of(BUFFERS).variant("sb+mb")
        self.assertEqual(self.observe(barriers)[0], "Never")
        self.assertEqual(Checker(without("acyclic pb as propagation")).observe(barriers), ("Sometimes", 1, 3))
        message = MESSAGE % ("smp_wmb();", "smp_rmb();")
        self.assertEqual(Checker(without("acyclic pb as propagation")).observe(message)[0], "Never")
        self.assertEqual(Checker(without("acyclic hb as happens-before")).observe(message), ("Sometimes", 1, 3))

    def test_what_is_not_known_is_said(self):
        for code, words in (("r1 = spin_is_locked(x);", "__islocked"), ("while (r0 == 0) {\n\t}", "while"),
                            ("r1 = srcu_read_lock(x);", "__load{srcu-lock}"), ("r1 = frobnicate(x);", "frobnicate()")):
            with self.assertRaisesRegex(Unsupported, re.escape(words)):
                self.observe(MESSAGE % ("", code))
        for text in ("let a = b", "let a = [R", "mumble", "let f(x) = x let a = f(R) ++ R"):
            with self.assertRaises(Unsupported):
                Model(["R"], text)

    def test_the_kernels_own_tests(self):
        self.assertEqual(list(litmus.misjudged(self.tree)), [])
        path = self.tree / "tools/memory-model/litmus-tests/SB+fencembonceonces.litmus"
        text = path.read_text()
        try:
            path.write_text(text.replace("smp_mb();", "smp_wmb();"))
            self.assertEqual(list(litmus.misjudged(self.tree)),
                             ["SB+fencembonceonces: Sometimes 1 3, and Never is what the kernel says"])
            path.write_text(text.replace("smp_mb();", "smp_mb__of_another_kind();"))
            self.assertIn("smp_mb__of_another_kind", "".join(litmus.misjudged(self.tree)))
        finally:
            path.write_text(text)
        with mock.patch.object(pathlib.Path, "glob", lambda *arguments: []):
            self.assertIn("40 at least", "".join(litmus.misjudged(self.tree)))


def litmusfile_of(text):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "sb.litmus")
        path.write_text(text)
        return litmusfile.Test(path)


class Files(unittest.TestCase):
    """A folder kunit/litmus/ with one test."""

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "kunit/litmus"
        write_files(self.folder, {"sb.litmus": BUFFERS, "observed": KNOWN, "functions": "mm/gup.c gup 0123456789ab\n"})
        for name, value in (("ROOT", self.folder.parents[1]), ("FOLDER", self.folder), ("OBSERVED", self.folder / "observed"),
                            ("FUNCTIONS", self.folder / "functions")):
            self.enterContext(mock.patch.object(litmusfile, name, value))

    def test_a_variant_is_what_its_marks_make_of_the_test(self):
        test = litmusfile.load()[0]
        self.assertEqual(list(test.expected), ["sb", "sb+mb", "sb+one-mb", "sb+xchg", "sb+lock"])
        self.assertNotIn("//", test.variant("sb"))
        self.assertNotIn("smp_mb", test.variant("sb"))
        self.assertEqual(test.variant("sb+mb").count("\n\tsmp_mb();\n"), 2)
        self.assertEqual(test.variant("sb+one-mb").count("\n\tsmp_mb();\n"), 1)
        self.assertTrue(test.variant("sb+mb").startswith("C sb+mb\n"))
        self.assertIn("\n\tr0 = xchg(x, 1);\n\tr0 = READ", test.variant("sb+xchg"))
        left = litmusfile_of(BUFFERS.replace("WRITE_ONCE(*x, 1);\t//", "WRITE_ONCE(*x, 1);\t// -lock -mb //"))
        self.assertNotIn("*x, 1", left.variant("sb+lock"))
        self.assertIn("xchg(x, 1)", left.variant("sb+xchg"))
        self.assertIn("*x, 1", left.variant("sb"))

    def wrong(self, old, new, name="sb.litmus"):
        path = self.folder / name
        text = path.read_text()
        self.assertIn(old, text)
        path.write_text(text.replace(old, new))
        found = "\n".join(litmusfile.wrong())
        path.write_text(text)
        return found

    def test_a_good_one_is_good(self):
        self.assertEqual(list(litmusfile.wrong()), [])

    def test_what_is_wrong_with_a_file_is_told(self):
        for old, new, words in (
                ("C sb\n", "C bs\n", "names another test, bs"),
                (" * Models: mm/gup.c gup\n", "", "no line 'Models"),
                (" * Models: mm/gup.c gup\n", " * Models: mm/gup.c gup other\n", "mm/gup.c other is not there"),
                (" * Expected: Sometimes\n", " * Expected: Never\n", "sb is to be Never, and was observed as Sometimes"),
                (" * Expected: Sometimes\n", " * Expected: Maybe\n", "'Maybe' of sb"),
                (" * +lock: Sometimes; a lock of one's own is none\n", "", "variant lock is not in the head"),
                ("WRITE_ONCE(*x, 1);", "*x = 1;", "*x = 1;"), ("READ_ONCE(*y)", "*y", "'= *y;' is a plain access"),
                ("\t// +mb,one-mb: smp_mb();\n", "", "variant one-mb is not in the head, or no line")):
            self.assertIn(words, self.wrong(old, new), new)
        self.assertIn("sb+lock is not there", self.wrong("sb+lock Sometimes 1 3 not-run\n", "", "observed"))
        self.assertIn("mm/gup.c gup is not there", self.wrong("mm/gup.c gup 0123456789ab\n", "", "functions"))

    def test_a_never_without_a_sometimes_is_told(self):
        text = BUFFERS.replace("Sometimes", "Never")
        self.assertIn("no variant shows", self.wrong(BUFFERS, text))

    def test_marks_and_tables_have_a_form(self):
        with self.assertRaisesRegex(cli.Failure, "not an edit"):
            self.wrong("// +mb: smp_mb();", "// two words: smp_mb();")
        with self.assertRaisesRegex(cli.Failure, "observed:1: not 'TEST"):
            self.wrong("sb Sometimes 1 3", "sb Sometimes 1", "observed")
        (self.folder / "sb.litmus").unlink()
        with self.assertRaisesRegex(cli.Failure, "has no tests"):
            litmusfile.load()

    def test_functions(self):
        text = ("/* gup(x) { */\nint gup(int a);\nstatic int\ngup(int a, // gup() {\n    int b)\n{\n\tif (a) {\n\t\tb = 1;\n\t}\n"
                "\treturn b;\n}\n#ifdef X\nint gup(void)\n{\n}\n#endif\nint other(void)\n{\n\treturn gup(1, 2);\n}\n")
        self.assertEqual(list(litmusfile.definitions(text, "gup")), [
            "static int gup(int a, int b) { if (a) { b = 1; } return b; }", "int gup(void) { }"])
        self.assertEqual(list(litmusfile.definitions(text, "missing")), [])

    def test_a_changed_function_is_told_with_its_tests(self):
        tree = self.folder.parents[1] / "tree"
        body = "int gup(int x)\n{\n\treturn x;\n}\n\nint other(void)\n{\n\treturn 1;\n}\n"
        write_files(tree, {"mm/gup.c": body})
        (self.folder / "functions").write_text(f"mm/gup.c gup {litmusfile.hash_of(tree, 'mm/gup.c', 'gup')}\n")
        for new, words in ((body, []), (body.replace("return x", "return  /* why */ x"), []),
                           (body.replace("return 1", "return 2"), []), (body.replace("return x", "return x + 1"), ["has changed"]),
                           (body.replace("gup", "pug"), ["is not there"])):
            write_files(tree, {"mm/gup.c": new})
            found = list(litmusfile.not_modelled(tree))
            self.assertEqual(len(found), len(words), found)
            for word in words:
                self.assertIn(f"mm/gup.c: gup() {word}, which is modelled by sb:", found[0])


HERD = """\
[ "$1" != -version ] || { echo "7.58, Rev: exported"; exit; }
[ "$1 $2" = "-conf linux-kernel.cfg" ] && [ -s lock.cat ] || exit 1
name=$(basename "$3" .litmus)
grep -q "^C $name$" "$3" || exit 1
case $name in sb+mb|sb+xchg) echo "Observation $name Never 0 3" ;; sb+lock) echo "Observation $name $FAKE_LOCK" ;;
*) echo "Observation $name Sometimes 1 3" ;; esac
"""


class Verb(SandboxTest):
    """With a test of the fake kernel's function."""

    def prepare(self):
        folder = self.repo / "kunit/litmus"
        for path in [*folder.rglob("*.litmus"), folder / "observed", folder / "functions"]:
            path.unlink()
        write_files(folder, {"sb.litmus": BUFFERS, "observed": KNOWN, "functions": ""})
        self.good("litmus", "--accept")

    def observed(self):
        return (self.repo / "kunit/litmus/observed").read_text()

    def test_without_herd7(self):
        self.assertIn("5 litmus tests and variants by gup/lkmm.py, 1 of them also seen by herd7", self.good("litmus").last)
        self.assertIn("\nsb Sometimes 1 3 herd7-7.58\n", self.observed())
        self.bad("environment", "litmus", "--herd7", names=["herd7 is not in PATH"])
        self.assertIn("PASS: 2 litmus tests", self.good("litmus", "sb+*mb").last)
        self.bad("usage", "litmus", "sb+nothing", names=["there is no litmus test sb+nothing"])
        self.bad("usage", "litmus", "--accept", "sb")

    def test_another_result_than_the_expected_or_the_observed_one(self):
        path = self.repo / "kunit/litmus/sb.litmus"
        path.write_text(BUFFERS.replace("// +mb: smp_mb();", "// +mb: smp_wmb();"))
        self.bad("check", "litmus", names=["sb+mb: Sometimes 1 3, and Never is expected"])
        self.bad("check", "litmus", "--accept", names=["sb+mb: Sometimes 1 3, and Never is expected"])
        path.write_text(BUFFERS)
        (self.repo / "kunit/litmus/observed").write_text(self.observed().replace("sb+lock Sometimes 1", "sb+lock Sometimes 2"))
        self.bad("check", "litmus", names=["sb+lock: Sometimes 1 3, and Sometimes 2 3 was observed"])

    def test_with_herd7(self):
        programs(self.bin, {"herd7": HERD})
        self.assertIn("by herd7", self.good("litmus", FAKE_LOCK="Sometimes 1 3").last)
        self.bad("check", "litmus", names=["sb+lock: Sometimes 2 3, and Sometimes 1 3 was observed"], FAKE_LOCK="Sometimes 2 3")
        self.bad("check", "litmus", names=["herd7 does not take sb+lock"], FAKE_LOCK="who knows")
        self.assertIn("by gup/lkmm.py", self.good("litmus", "--own").last)
        self.good("litmus", "--accept", FAKE_LOCK="Sometimes 1 3")
        self.assertIn("sb+lock Sometimes 1 3 herd7-7.58\n", self.observed())

    def test_a_test_of_instructions_is_for_herd7(self):
        write_files(self.repo / "kunit/litmus", {"arch/a.litmus": "AArch64 a\n\n(*\n * Models: mm/gup.c gup\n * Expected: Never\n *)\n"})
        self.assertIn("1 not run", self.good("litmus").last)

    def test_a_changed_function(self):
        self.good("tree", "apply")
        path = self.tree() / "mm/gup.c"
        path.write_text(path.read_text().replace("return nr_pages;", "return nr_pages + 1;"))
        git(self.tree(), "commit", "-q", "-a", "--amend", "--no-edit")
        self.good("tree", "refresh")
        known = (self.repo / "kunit/litmus/functions").read_text()
        self.assertIn("mm/gup.c: gup(), modelled by sb", self.good("litmus", "--accept").output)
        self.assertNotEqual((self.repo / "kunit/litmus/functions").read_text(), known)
        self.assertNotIn("modelled by", self.good("litmus", "--accept").output)

    def test_files_for_herd7(self):
        self.good("litmus", "--write", str(self.top / "out"))
        self.assertEqual(len(list((self.top / "out").glob("sb*.litmus"))), 5)
        self.assertIn("smp_mb", (self.top / "out/sb+mb.litmus").read_text())


if __name__ == "__main__":
    unittest.main()
