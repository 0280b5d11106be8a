# SPDX-License-Identifier: GPL-2.0
"""scripts/selftests: its list, what it reads from a guest, and base against series."""

import json
import pathlib
import re
import sys
import tempfile
import unittest
from contextlib import redirect_stdout
import io

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import ROOT, write_files  # noqa: E402

from gup import cli, selfcompare, selftests  # noqa: E402

# What the harnesses of selftests/ print: kselftest.h and kselftest_harness.h.
COW = """\
TAP version 13
1..5
# [INFO] detected hugetlb page size: 2048 KiB
# [RUN] Basic COW after fork() ... with base page
ok 1 Basic COW after fork() ... with base page
not ok 2 vmsplice() before fork() ... with base page
ok 3 # SKIP Did not get a THP populated
ok 4 # XFAIL Leak from parent into child
# some noise: not ok 7 is no result
ok 5 Basic COW after fork() ... with base page
# 1 skipped test(s) detected.
# Totals: pass:2 fail:1 xfail:1 xpass:0 skip:1 error:0
"""
HARNESS = """\
TAP version 13
1..3
# Starting 3 tests from 2 test cases.
#  RUN           guard_regions.anon.basic ...
#            OK  guard_regions.anon.basic
ok 1 guard_regions.anon.basic
#  RUN           guard_regions.anon.uffd ...
#      SKIP      uffd only works on anon backing
#            OK  guard_regions.anon.uffd
ok 2 guard_regions.anon.uffd # SKIP uffd only works on anon backing
ok 3 guard_regions.anon.time #  took 3 ms
"""


def log(*tests, pins="5 5", done=True):
    """tests.log of (command, output, status); status None: the guest died in it."""
    text = ""
    for number, (command, output, status) in enumerate(tests, 1):
        text += f"\r\n@@ START {number} {command}\r\n" + output.replace("\n", "\r\n")
        if status is not None:
            text += f"\r\n@@ END {number} {status}\r\n"
    if pins:
        text += f"\n@@ PINS {pins}\n"
    return text + (f"@@ DONE {len(tests)}\n" if done else "")


class List(unittest.TestCase):
    def test_the_list_itself(self):
        lines = selftests.load(selftests.LIST.read_text())
        programs = {command.split()[0] for line in lines for command in line.commands}
        self.assertLessEqual({"cow", "gup_longterm", "gup_test", "uffd-unit-tests", "migration"}, programs)

    def test_expand(self):
        self.assertEqual(selftests.expand("a"), ["a"])
        self.assertEqual(selftests.expand("a {-t,-H -m 2} {-S,} x"),
                         ["a -t -S x", "a -t x", "a -H -m 2 -S x", "a -H -m 2 x"])

    def test_load(self):
        line, = selftests.load("# head\n\n60 disk a {x,y}\t# why\n")
        self.assertEqual(line, (60, "disk", False, "a {x,y}", ["a x", "a y"]))
        line, = selftests.load("60 tmpfs+flaky a\n")
        self.assertEqual(line, (60, "tmpfs", True, "a", ["a"]))
        for bad in ("60 a\n", "x disk a\n", "60 ext4 a\n", "60 disk+2g a\n", "60 disk a\n60 disk a\n"):
            with self.assertRaises(cli.Failure):
                selftests.load(bad)

    def test_select(self):
        lines = selftests.load("60 disk a {x,y}\n60 disk b\n")

        def commands(*globs):
            return [command for line in selftests.select(lines, globs) for command in line.commands]

        self.assertEqual(commands(), ["a x", "a y", "b"])
        self.assertEqual(commands("a"), ["a x", "a y"])
        self.assertEqual(commands("* y", "b"), ["a y", "b"])
        with self.assertRaises(cli.Failure):
            commands("c")


class Parse(unittest.TestCase):
    def cases(self, output, status="0"):
        runs, torn, _, _ = selfcompare.parse(log(("t", output, status)))
        self.assertIsNone(torn)
        return runs["t"].cases

    def test_tap(self):
        self.assertEqual(self.cases(COW, "1"), {
            "Basic COW after fork() ... with base page": "pass",
            "vmsplice() before fork() ... with base page": "fail",
            "Did not get a THP populated": "skip",
            "Leak from parent into child": "xfail",
            "Basic COW after fork() ... with base page (2)": "pass"})

    def test_harness(self):
        self.assertEqual(self.cases(HARNESS), {
            "guard_regions.anon.basic": "pass", "guard_regions.anon.uffd": "skip",
            "guard_regions.anon.time": "pass"})

    def test_a_directive_makes_no_failure_good(self):
        self.assertEqual(self.cases("not ok 1 a # XFAIL no\nnot ok 2 # SKIP b\n", "1"), {"a": "fail", "b": "fail"})

    def test_without_tap_the_status_decides(self):
        for status, result in (("0", "pass"), ("4", "skip"), ("1", "fail"), ("139", "fail"), ("timeout", "fail")):
            self.assertEqual(self.cases("fine\n", status), {selfcompare.PROGRAM: result})

    def test_all_skipped(self):
        runs, _, _, _ = selfcompare.parse(log(("t", "TAP version 13\n1..0 # SKIP no such thing\n", "4")))
        self.assertEqual((runs["t"].cases, runs["t"].reasons),
                         ({selfcompare.PROGRAM: "skip"}, {selfcompare.PROGRAM: "no such thing"}))

    def test_the_status_tells_of_what_the_cases_do_not(self):
        self.assertEqual(self.cases("1..1\nok 1 a\n", "139")[selfcompare.PROGRAM], "fail")
        self.assertEqual(self.cases("1..2\nok 1 a\n")[selfcompare.PROGRAM], "fail")
        self.assertEqual(self.cases("1..2\nok 1 a\n", "timeout")[selfcompare.PROGRAM], "fail")
        self.assertNotIn(selfcompare.PROGRAM, self.cases("1..1\nok 1 a\n"))
        self.assertNotIn(selfcompare.PROGRAM, self.cases("1..1\nok 1 # SKIP a\n", "4"))

    def test_torn(self):
        runs, torn, pins, done = selfcompare.parse(log(("a", "ok 1 x\n", "0"), ("b", "ok 1 y\n", None), pins="", done=False))
        self.assertEqual((list(runs), torn, pins, done), (["a"], "b", None, False))

    def test_pins(self):
        self.assertEqual(selfcompare.parse(log(pins="7 9"))[2], [7, 9])

    def test_empty(self):
        self.assertEqual(selfcompare.parse(""), ({}, None, None, False))


class Compare(unittest.TestCase):
    def compare(self, base, series):
        return selfcompare.compare(*(selfcompare.parse(log(*tests))[0] for tests in (base, series)))

    def one(self, base, series, status="0"):
        return self.compare([("t", base, status)], [("t", series, status)])

    def test_the_same(self):
        worse, same, better = self.one(COW, COW, "1")
        self.assertEqual((worse, better), ([], []))
        self.assertEqual(same, ["t: vmsplice() before fork() ... with base page: fails on both"])

    def test_a_regression(self):
        worse, _, _ = self.one("ok 1 a\nok 2 b\n", "ok 1 a\nnot ok 2 b\n")
        self.assertEqual(worse, ["t: b: pass on the base, fail on the series"])

    def test_a_pass_that_is_skipped_now(self):
        self.assertEqual(len(self.one("ok 1 a\n", "ok 1 a # SKIP why\n")[0]), 1)
        self.assertEqual(len(self.one("ok 1 a # XFAIL x\n", "ok 1 a # SKIP x\n")[0]), 1)

    def test_a_case_that_is_gone(self):
        for result in ("ok 2 b", "ok 2 b # SKIP x", "not ok 2 b"):
            worse, _, _ = self.one(f"ok 1 a\n{result}\n", "ok 1 a\n")
            self.assertEqual(len(worse), 1, result)
            self.assertIn("not there on the series", worse[0])

    def test_a_new_failure(self):
        self.assertEqual(len(self.one("ok 1 a\n", "ok 1 a\nnot ok 2 b\n")[0]), 1)
        self.assertEqual(len(self.one("ok 1 a # SKIP x\n", "not ok 1 a\n")[0]), 1)

    def test_a_crash_behind_the_last_case(self):
        worse, _, _ = self.compare([("t", "ok 1 a\n", "0")], [("t", "ok 1 a\n", "139")])
        self.assertEqual(len(worse), 1)

    def test_what_was_measured_is_no_name(self):
        lines = [f"ok 1 transact_test Extra pages {a} ({b}%), extra thread faults {a}.\n" for a, b in ((70, "0.1"), (7, 12))]
        self.assertEqual(self.one(*lines), ([], [], []))
        self.assertEqual(len(self.one("ok 1 Pages 70 (1%)\n", "ok 1 Pages 71 (1%)\n")[0]), 1)

    def test_a_flaky_failure_is_none(self):
        runs = [selfcompare.parse(log(("t", "ok 1 a\n", "0"), ("u", f"{ok} 1 b\n", "0")))[0] for ok in ("ok", "not ok")]
        self.assertEqual(len(selfcompare.compare(*runs)[0]), 1)
        self.assertEqual(len(selfcompare.compare(*runs, {"t"})[0]), 1)
        worse, _, other = selfcompare.compare(*runs, {"u"})
        self.assertEqual((worse, len(other)), ([], 1))

    def test_better_is_no_failure(self):
        worse, _, better = self.one("not ok 1 a\nok 2 b # SKIP x\n", "ok 1 a\nok 2 b\n")
        self.assertEqual((worse, len(better)), ([], 2))
        worse, _, _ = self.compare([("t", "ok 1 a\n", "139")], [("t", "ok 1 a\n", "0")])
        self.assertEqual(worse, [])

    def test_a_program_that_did_not_run(self):
        worse, _, _ = self.compare([("t", "ok 1 a\n", "0"), ("u", "", "0")], [("t", "ok 1 a\n", "0")])
        self.assertEqual(worse, ["u: did not run on the series"])


WARNING = "[   12.345678] WARNING: mm/gup.c:%d at try_grab_folio+0x1/0x2, CPU#%d: cow/%d\n"


class Judge(unittest.TestCase):
    """Two folders as two guests leave them."""

    GOOD = log(("t", "ok 1 a\nok 2 b\n", "0"), ("u", "", "0"))
    PLAN = "60 tmpfs t\n60 disk u\n"

    def judge(self, base=GOOD, series=GOOD, ends=("exit", "exit"), consoles=("", ""), plan=PLAN):
        with tempfile.TemporaryDirectory() as top:
            for name, tests, end, console in zip(("base", "series"), (base, series), ends, consoles):
                write_files(top, {f"{name}/plan": plan, f"{name}/tests.log": tests,
                                  f"{name}/console.log": "[    0.000000] Linux version 7.3\n" + console,
                                  f"{name}/guest.json": json.dumps({"end": end, "status": 0})})
            run = {"version": "7.3.4", "base": "no patch", "series": "all 3 patches", "config": "selftests",
                   "command": "scripts/selftests"}
            with redirect_stdout(io.StringIO()) as said:
                kind, _ = selfcompare.conclude(pathlib.Path(top), run, selftests.load(plan))
            result = json.loads(pathlib.Path(top, "result.json").read_text())
            self.table = pathlib.Path(top, "selftests.md").read_text()
            self.assertEqual(result["verdict"], kind)
            self.said = said.getvalue()
            return kind, result["why"]

    def test_good(self):
        self.assertEqual(self.judge(), ("pass", ""))
        self.assertIn("| t | 2 | 0 | 0 | 0 | 2 | 0 | 0 | 0 |", self.table)
        self.assertIn("| all | 3 | 0 | 0 | 0 | 3 | 0 | 0 | 0 |", self.table)
        self.assertIn("<!-- SPDX-License-Identifier: GPL-2.0 -->", self.table)
        self.assertIn("series: pins acquired and released: [5, 5]", self.said)

    def test_an_empty_log_does_not_pass(self):
        self.assertEqual(self.judge(series="")[0], "boot")
        self.assertEqual(self.judge(base="")[0], "boot")
        self.assertEqual(self.judge(base="", series="")[0], "boot")

    def test_a_log_without_tests_does_not_pass(self):
        self.assertEqual(self.judge(log(), log())[0], "boot")

    def test_nothing_but_skips_does_not_pass(self):
        skips = log(("t", "ok 1 # SKIP a\n", "4"), ("u", "", "4"))
        self.assertEqual(self.judge(skips, skips), ("test", "no test passed"))

    def test_a_regression(self):
        verdict, why = self.judge(series=log(("t", "ok 1 a\nnot ok 2 b\n", "1"), ("u", "", "0")))
        self.assertEqual(verdict, "test")
        self.assertIn("1 worse than on the base, first: t: b: pass on the base, fail on the series", why)
        self.assertIn("| t | series | b |", self.table)

    def test_a_failure_of_both_is_none(self):
        bad = log(("t", "ok 1 a\nnot ok 2 b\n", "1"), ("u", "", "0"))
        self.assertEqual(self.judge(bad, bad)[0], "pass")
        self.assertIn("| t | both | b |", self.table)

    def test_a_test_that_nobody_ran(self):
        verdict, why = self.judge(series=log(("t", "ok 1 a\nok 2 b\n", "0")))
        self.assertEqual((verdict, why), ("test", "the guest of the series did not run: u"))

    def test_a_base_that_ran_more_than_is_wanted(self):
        self.assertEqual(self.judge(series=log(("t", "ok 1 a\nok 2 b\n", "0")), plan="60 tmpfs t\n")[0], "pass")
        self.assertIn("| all | 2 | 0 | 0 | 0 | 2 | 0 | 0 | 0 |", self.table)

    def test_a_hang(self):
        verdict, why = self.judge(series=log(("t", "ok 1 a\n", None), pins="", done=False), ends=("exit", "silent"))
        self.assertEqual((verdict, why), ("timeout", "the guest of the series hung in t"))

    def test_a_death(self):
        dead = log(("t", "ok 1 a\n", None), pins="", done=False)
        self.assertEqual(self.judge(series=dead)[0], "boot")
        self.assertEqual(self.judge(series=dead, consoles=("", WARNING % (1, 0, 2)))[0], "splat")

    def test_a_new_splat(self):
        verdict, why = self.judge(consoles=("", WARNING % (123, 0, 77)))
        self.assertEqual(verdict, "splat")
        self.assertIn("try_grab_folio", why)

    def test_a_splat_of_the_base_is_not_new(self):
        self.assertEqual(self.judge(consoles=(WARNING % (123, 0, 77), WARNING % (130, 1, 78)))[0], "pass")
        self.assertEqual(self.judge(consoles=(WARNING % (123, 0, 77), ""))[0], "pass")
        other = WARNING.replace("try_grab_folio", "gup_put_folio") % (123, 0, 77)
        self.assertEqual(self.judge(consoles=(WARNING % (123, 0, 77), other))[0], "splat")

    def test_pins(self):
        tests = ("t", "ok 1 a\nok 2 b\n", "0"), ("u", "", "0")
        self.assertEqual(self.judge(series=log(*tests, pins="7 6")),
                         ("test", "on the series 7 pages were pinned and 6 unpinned"))
        self.assertEqual(self.judge(series=log(*tests, pins=""))[0], "test")
        self.assertEqual(self.judge(base=log(*tests, pins="7 6"))[0], "pass")


class Init(unittest.TestCase):
    def test_it_writes_what_is_read(self):
        init = (ROOT / "configs/selftests/init").read_text()
        self.assertEqual(re.findall(r"@@ ([A-Z]+)", init), ["START", "END", "PINS", "DONE"])


if __name__ == "__main__":
    unittest.main()
