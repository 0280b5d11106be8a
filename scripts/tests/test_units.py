# SPDX-License-Identifier: GPL-2.0
"""The Python helpers by themselves: splats, suites, placing of patches, counts."""

import ast
import importlib
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import ROOT, write_files  # noqa: E402

from gup import cli, refresh, results, series, splat, suites, verdict  # noqa: E402

LOGS = ROOT / "scripts/tests/logs"


class Splats(unittest.TestCase):
    def found(self, name):
        return splat.splats((LOGS / name).read_text().splitlines())

    def test_clean(self):
        self.assertEqual(self.found("clean.log"), [])

    def test_a_trace_that_is_no_complaint(self):
        grew = "[    1.0] GUP no longer grows the stack in kunit_try_catch (7): 1000-2000 (0)\n"
        trace = "[    1.0] CPU: 0 UID: 0\n[    1.0] Call Trace:\n"
        self.assertEqual(splat.splats((grew + trace).splitlines()), [])
        self.assertEqual(splat.splats((grew + trace + trace).splitlines()), [(5, "call-trace", "Call Trace:")])
        self.assertEqual(len(splat.splats((trace + grew).splitlines())), 1)

    def test_each_kind_is_found_first_in_its_log(self):
        for kind, _ in splat.DENY:
            logs = sorted(LOGS.glob(f"{kind}*.log"))
            self.assertTrue(logs, kind)
            for log in logs:
                found = self.found(log.name)
                self.assertTrue(found, f"{log.name}: nothing found")
        for log in LOGS.glob("*.log"):
            if log.name != "clean.log":
                self.assertTrue(any(kind in log.name for _, kind, _ in self.found(log.name)), log.name)

    def test_no_log_depends_on_its_time_stamp(self):
        for log in LOGS.glob("*.log"):
            lines = [splat.plain(line) for line in log.read_text().splitlines()]
            self.assertEqual(bool(splat.splats(lines)), log.name != "clean.log", log.name)

    def test_the_taint_of_tests_alone_is_allowed(self):
        line = "CPU: 0 PID: 1 Comm: x Tainted: G                 N  7.3.4 #1"
        self.assertEqual(splat.splats([line]), [])
        for other in (line.replace("G   ", "G W ", 1), line.replace("N ", "NJ"), "Tainted: [N]=TEST, [J]=FWCTL"):
            self.assertTrue(splat.splats([other]), other)

    def test_excerpt_ends_with_the_trace(self):
        lines = (LOGS / "warning.log").read_text().splitlines() + ["after"]
        piece = splat.excerpt(lines, 3)
        self.assertIn("end trace", piece[-1])
        self.assertNotIn("after", piece)


class Taint(unittest.TestCase):
    def test_the_mask_is_everything_but_test(self):
        mask = int(results.TAINT_MASK, 16)
        self.assertEqual(mask, 0xFFFFFFFF & ~verdict.TAINT_TEST)


class Suites(unittest.TestCase):
    def tree(self, source):
        top = tempfile.TemporaryDirectory()
        self.addCleanup(top.cleanup)
        write_files(top.name, {"mm/tests/gup_a_kunit.c": source, "mm/tests/other_kunit.c": "int x;\n"})
        return top.name

    def source(self, cases, extra="", name="gup_a"):
        return ("static struct kunit_case a_cases[] = {\n" + cases + "\n\t{}\n};\n"
                "static struct kunit_suite a_suite = {\n\t.name = \"%s\",\n%s\t.test_cases = a_cases,\n};\n"
                % (name, extra))

    def test_normal_slow_and_mixed(self):
        normal, slow = "\tKUNIT_CASE(one),", "\tKUNIT_CASE_SLOW(two),"
        attr = "\tKUNIT_CASE_PARAM_ATTR(one, gen,\n\t\t{.speed = KUNIT_SPEED_SLOW}),"
        known = "\tKUNIT_CASE_PARAM_ATTR(one, gen, lazy),"
        lazy = "static const struct kunit_attributes lazy = {\n\t.speed = KUNIT_SPEED_SLOW,\n};\n"
        whole = "\t.attr = {.speed = KUNIT_SPEED_VERY_SLOW},\n"
        for source, slow_suite, cases in (
                (self.source(normal), False, {"one": False}),
                (self.source(slow), True, {"two": True}),
                (self.source(normal + "\n" + slow), False, {"one": False, "two": True}),
                (self.source(attr), True, {"one": True}),
                (self.source(known), False, {"one": False}),
                (lazy + self.source(known), True, {"one": True}),
                (self.source(normal, extra=whole), True, {"one": False})):
            self.assertEqual(suites.suites(self.tree(source)), {"gup_a": suites.Suite(slow_suite, cases)})

    def test_the_macro_of_the_fixtures(self):
        table = "static struct kunit_case gup_a_cases[] = {\n\tKUNIT_CASE_SLOW(one),\n\tGUP_CASE(two),\n\t{}\n};\n\n"
        want = {"gup_a": suites.Suite(False, {"one": True, "two": False})}
        self.assertEqual(suites.suites(self.tree(table + "GUP_SUITE(gup_a);\n")), want)
        with self.assertRaises(cli.Failure):
            suites.suites(self.tree(table + "/* GUP_SUITE(gup_a); */\n"))

    def test_a_suite_in_a_comment_is_none(self):
        tree = self.tree("/*\n" + self.source("\tKUNIT_CASE(one),") + "*/\n")
        with self.assertRaises(cli.Failure):
            suites.suites(tree)

    def test_select(self):
        found = {"gup_a": suites.Suite(False, {"test_1": False, "lazy": True}),
                 "gup_b": suites.Suite(False, {"test_2": False}), "gup_bench": suites.Suite(True, {})}
        self.assertEqual(suites.select(found, None), ["gup_a", "gup_b"])
        self.assertEqual(suites.select(found, "gup_b*"), ["gup_b"])
        self.assertEqual(suites.select(found, "gup_a.test_1"), ["gup_a"])
        self.assertEqual(suites.select(found, "gup_?.test_*"), ["gup_a", "gup_b"])
        self.assertEqual(suites.select(found, "gup_*.test_2"), ["gup_b"])
        for glob, what, step in (("gup_bench", "no suite matches 'gup_bench'", "there are: gup_a, gup_b"),
                                 ("gup_a.test_2", "no test matches 'gup_a.test_2'", "in gup_a there are: test_1"),
                                 ("gup_a.lazy", "no test", "test_1"), ("gup_a.test_1.row", "no test", "test_1"),
                                 ("gup_a.", "no test", "test_1")):
            with self.assertRaises(cli.Failure) as failure:
                suites.select(found, glob)
            self.assertIn(what, failure.exception.what)
            self.assertIn(step, failure.exception.step)
            self.assertEqual(failure.exception.kind, "usage")

    def test_a_suite_whose_tests_are_elsewhere_may_have_any(self):
        self.assertEqual(suites.select({"gup_a": suites.Suite(False, None)}, "gup_a.one"), ["gup_a"])


class Placing(unittest.TestCase):
    class Fake:
        def __init__(self, *blocks):
            self.blocks = blocks
            self.entries = [series.Entry(name, "", block, 0)
                            for block, names in enumerate(blocks) for name in names]

    def place(self, names, *blocks):
        return refresh.place(self.Fake(*blocks), list(names))

    def test_unchanged(self):
        self.assertEqual(self.place("abc", "ab", "c"), [(0, "a"), (0, "b"), (1, "c")])

    def test_new_ones_follow_their_predecessor(self):
        self.assertEqual(self.place("axbcy", "ab", "c"),
                         [(0, "a"), (0, "x"), (0, "b"), (1, "c"), (1, "y")])
        self.assertEqual(self.place("xa", "", "a"), [(1, "x"), (1, "a")])

    def test_one_moved_across_a_section(self):
        self.assertEqual(self.place("bcda", "ab", "cd"), [(0, "b"), (1, "c"), (1, "d"), (1, "a")])
        self.assertEqual(self.place("dabc", "ab", "cd"), [(0, "d"), (0, "a"), (0, "b"), (1, "c")])

    def test_order_is_always_kept(self):
        import itertools
        for names in itertools.permutations("abcxd"):
            placed = self.place(names, "ab", "cd")
            self.assertEqual([name for _, name in placed], list(names))
            self.assertEqual([block for block, _ in placed], sorted(block for block, _ in placed))

    def test_file_names(self):
        self.assertEqual(refresh.file_name("mm/gup: Return 0, always!", set()), "mm-gup-return-0-always.patch")
        self.assertEqual(refresh.file_name("a", {"a.patch"}), "a-2.patch")
        self.assertLess(len(refresh.file_name("x" * 200, set())), 70)

    def test_subjects(self):
        mail = b"From 0\nSubject: [PATCH] mm/gup: a long\n subject in two lines\n\nbody\nSubject: no\n"
        self.assertEqual(refresh.subject_of(mail), "mm/gup: a long subject in two lines")


class Topics(unittest.TestCase):
    """A series of folders: what each stands on, what is chosen, how files are numbered."""

    COVERS = {"one": "nothing", "two": "one", "three": "nothing", "four": "two three"}

    def setUp(self):
        top = tempfile.TemporaryDirectory()
        self.addCleanup(top.cleanup)
        self.top = pathlib.Path(top.name)
        write_files(self.top, {
            **{f"patches/{name}/cover": f"Subject: x\nStands-on: {on}\n\nWhy.\n" for name, on in self.COVERS.items()},
            "series": "# BASE v7.3\n" + "".join(f"\n# section: {name}\n{name}/0001-a.patch\n{name}/0002-b.patch\n"
                                              for name in self.COVERS)})
        for name, path in (("PATCHES", "patches"), ("SERIES", "series")):
            patch = mock.patch.object(series, name, self.top / path)
            patch.start()
            self.addCleanup(patch.stop)
        self.series = series.Series()

    def bad(self, kind, *names, run):
        with self.assertRaises(cli.Failure) as failure:
            run()
        self.assertEqual(failure.exception.kind, kind)
        for name in names:
            self.assertIn(name, f"{failure.exception.what} {failure.exception.step}")

    def test_what_they_stand_on(self):
        topics = series.Topics(self.series)
        self.assertEqual(topics.on("four"), ["one", "two", "three", "four"])
        self.assertEqual(topics.on("three"), ["three"])
        self.assertEqual(topics.without("one"), ["three"])
        self.assertEqual(topics.without("three"), ["one", "two"])
        self.assertEqual([(str(chosen), name) for chosen, name in series.each(self.series)[-4:]], [
            ("--topics one", "one"), ("--topics one,two", "two"), ("--topics three", "three"),
            ("--topics one,two,three,four", "four")])
        self.assertEqual(str(series.each(self.series)[1][0]), "--first 2")

    def test_covers_that_do_not_say(self):
        (self.top / "patches/two/cover").write_text("Subject: x\n")
        self.bad("apply", "patches/two/cover", run=lambda: series.Topics(self.series))
        (self.top / "patches/two/cover").write_text("Stands-on: five\n")
        self.bad("apply", "'five'", "one, two, three, four", run=lambda: series.Topics(self.series))
        (self.top / "patches/two/cover").unlink()
        self.bad("apply", "patches/two/cover", run=lambda: series.Topics(self.series))

    def chosen(self, **selection):
        return " ".join(entry.name[:-len(".patch")] for entry in self.series.select(series.Selection(**selection)))

    def test_what_is_chosen(self):
        self.assertEqual(self.chosen(topics=["three", "one"]), "one/0001-a one/0002-b three/0001-a three/0002-b")
        self.assertEqual(self.chosen(topics=["one", "two"], without=["two", "one/0001-a"]), "one/0002-b")
        self.assertEqual(self.chosen(without=["one", "two", "four", "three/0002-b.patch"]), "three/0001-a")
        self.assertEqual(self.chosen(topics=[]), "")
        for selection in ({"topics": ["one", "five"]}, {"topics": ["one/0001-a"]}, {"topics": [""]},
                          {"without": ["one/0003-c"]}):
            self.bad("usage", "sections: one, two", run=lambda chosen=selection: self.series.select(series.Selection(**chosen)))

    def test_numbers(self):
        names = ["one/0002-b.patch", "new.patch", "one/0001-a.patch", "two/0001-a.patch", "four/0002-b.patch"]
        placed = refresh.place(self.series, names)
        self.assertEqual([new for _, new in refresh.numbered(self.series, placed)],
                         ["one/0001-b.patch", "one/0002-new.patch", "one/0003-a.patch", "two/0001-a.patch",
                          "four/0001-b.patch"])


class Tables(unittest.TestCase):
    def test_exit_codes_are_distinct(self):
        codes = cli.CODES
        self.assertEqual(len(codes), len(set(codes.values())))
        self.assertEqual((codes["pass"], codes["usage"], codes["interrupted"]), (0, 2, 130))


class Processes(unittest.TestCase):
    def test_a_group_ends_with_us(self):
        """As kunit.py does not hand a signal on to its make."""
        command = ["sh", "-c", "sleep 1000 & echo $!; wait"]
        with self.assertRaises(KeyboardInterrupt):
            with cli.started(command, stdout=subprocess.PIPE, process_group=0) as process:
                below = int(process.stdout.readline())
                raise KeyboardInterrupt
        process.stdout.close()
        for _ in range(1000):
            try:
                state = cli.text_of(pathlib.Path(f"/proc/{below}/stat"))
            except OSError:  # it went away meanwhile
                return
            if not state or state.rpartition(")")[2].split()[0] == "Z":
                return
            time.sleep(0.1)
        self.fail("it is left behind")


class Modules(unittest.TestCase):
    """No tool that is always there sees that a module asks another one for what it does not have."""

    def test_what_is_taken_from_another_module_is_there(self):
        for path in sorted((ROOT / "scripts/gup").glob("*.py")):
            tree = ast.parse(path.read_text())
            taken = {alias.asname or alias.name: alias.name for node in ast.walk(tree)
                     if isinstance(node, ast.ImportFrom) and node.module == "gup" for alias in node.names}
            own = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
            own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in taken.keys() - own:
                    with self.subTest(f"{path.name}:{node.lineno}"):
                        self.assertTrue(hasattr(importlib.import_module(f"gup.{taken[node.value.id]}"), node.attr), node.attr)


if __name__ == "__main__":
    unittest.main()
