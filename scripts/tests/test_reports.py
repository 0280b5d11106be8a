# SPDX-License-Identifier: GPL-2.0
"""The helpers that make reports: data races, coverage, the table of the contract."""

import io
import json
import pathlib
import sys
import tempfile
import unittest
from contextlib import redirect_stdout

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import write_files  # noqa: E402

from gup import cli, contract, coverage, splat  # noqa: E402

RACE = """\
[    1.0] ==================================================================
[    1.0] BUG: KCSAN: data-race in %(a)s / %(b)s
[    1.0]
[    1.0] write to 0xffff888100000000 of 8 bytes by task 80 on cpu 1:
[    1.0]  %(a)s+0x12/0x40
[    1.0]  do_something.constprop.0+0x12/0x40
[    1.0]
[    1.0] read to 0xffff888100000000 of 8 bytes by task 81 on cpu 0:
[    1.0]  %(b)s+0x1f/0x90
[    1.0]
[    1.0] Reported by Kernel Concurrency Sanitizer on:
[    1.0] CPU: 0 UID: 0 PID: 81 Comm: x Tainted: G                 N  7.3.4 #1
[    1.0] ==================================================================
"""


class Races(unittest.TestCase):
    def judge(self, a, b, explained=None, log=None):
        lines = (log or "before\n" + RACE % {"a": a, "b": b} + "after\n").splitlines()
        kept, foreign, known = splat.judge_races(lines, {"gup_fast", "do_something"} - {a}, explained or {})
        self.assertEqual(len(kept), len(lines))
        return bool(splat.splats(kept)), foreign, known, kept

    def test_a_race_in_gup_is_a_splat(self):
        bad, foreign, known, _ = self.judge("tick", "gup_fast")
        self.assertTrue(bad)
        self.assertEqual((foreign, known), ([], []))

    def test_a_function_below_counts_too(self):
        self.assertTrue(self.judge("tick", "tock")[0])

    def test_an_explained_race_is_none(self):
        bad, foreign, known, kept = self.judge("tick", "gup_fast", {"data-race in tick / gup_*": "why"})
        self.assertFalse(bad)
        self.assertEqual(known, ["data-race in tick / gup_fast"])
        self.assertEqual((kept[0], kept[-1]), ("before", "after"))

    def test_a_race_of_others_is_foreign(self):
        bad, foreign, _, _ = self.judge("do_something", "tock")
        self.assertFalse(bad)
        self.assertEqual(foreign, ["data-race in do_something / tock"])

    def test_what_follows_a_torn_report_is_part_of_it(self):
        log = "\n".join((RACE % {"a": "tick", "b": "gup_fast"}).splitlines()[:6])
        self.assertTrue(self.judge("tick", "gup_fast", log=log)[0])

    def test_another_splat_beside_a_foreign_race_is_seen(self):
        log = RACE % {"a": "do_something", "b": "tock"} + "WARNING: mm/gup.c:1 at gup\n"
        self.assertTrue(self.judge("do_something", "tock", log=log)[0])


SOURCE = """\
static int one(int a)
{
	if (a)
		return 1;
	return 0;
}

long two(void)
{
	return 2;
}

static int
alone(void)
{
	again();
	again();
}
"""


class Coverage(unittest.TestCase):
    def judge(self, counts, listing, lines=50, branches=50, *more):
        with tempfile.TemporaryDirectory() as top:
            data = {"files": [{"file": "gup.c", "lines": [
                {"line_number": n, "count": c, "branches": [{"count": b} for b in bs]}
                for n, (c, bs) in counts.items()]}]}
            write_files(top, {"c.json": json.dumps(data), "gup.c": SOURCE, "list": listing})
            path = pathlib.Path(top)
            with redirect_stdout(io.StringIO()) as said:
                try:
                    summary = coverage.judge(path / "c.json", path / "gup.c", path / "list", path, (lines, branches), *more)
                    return None, summary, said.getvalue()
                except cli.Failure as failure:
                    return failure, "", said.getvalue()

    FULL = {3: (5, [3, 2]), 4: (3, []), 5: (2, []), 10: (1, [])}
    MISS = {3: (5, [5, 0]), 4: (3, []), 5: (0, []), 10: (1, [])}

    def test_all_executed(self):
        failure, summary, _ = self.judge(self.FULL, "")
        self.assertIsNone(failure)
        self.assertEqual(summary, "100.0 % of 4 lines, 100.0 % of 2 branches")

    def test_a_missed_line_wants_a_reason(self):
        failure, _, said = self.judge(self.MISS, "")
        self.assertIn("1 lines without a reason", failure.what)
        self.assertIn("gup.c:5: one(): return 0;", said)

    def test_a_missed_line_with_its_reason(self):
        failure, summary, _ = self.judge(self.MISS, "one: nobody ever calls it with 0\n\treturn 0;\n")
        self.assertIsNone(failure)
        self.assertIn("75.0 % of 4 lines, 50.0 % of 2 branches", summary)

    def test_a_reason_without_its_line(self):
        failure, _, said = self.judge(self.FULL, "one: nobody ever calls it with 0\n\treturn 0;\n")
        self.assertIn("1 reasons without a line", failure.what)
        self.assertIn("listed, but executed or gone", said)

    def test_a_name_that_has_its_line_for_itself(self):
        self.assertIn("gup.c:16: alone(): again();", self.judge({**self.FULL, 16: (0, [])}, "")[2])

    def test_one_reason_is_for_one_line(self):
        reason, line = "alone: it has to be once only\n", "\tagain();\n"
        twice = {**self.FULL, 16: (0, []), 17: (0, [])}
        self.assertIn("1 lines without a reason", self.judge(twice, reason + line)[0].what)
        self.assertIsNone(self.judge(twice, reason + 2 * line)[0])

    def test_what_a_race_decides_may_be_either(self):
        reason = "one: race: another thread has to be quick\n\treturn 0;\n"
        self.assertIsNone(self.judge(self.FULL, reason)[0])
        self.assertIsNone(self.judge(self.MISS, reason)[0])
        self.assertIn("1 reasons without a line", self.judge(self.FULL, reason.replace("0;", "3;"))[0].what)

    def test_counters_of_another_build(self):
        self.assertIn("no line was executed", self.judge({3: (0, []), 4: (0, [])}, "")[0].what)

    def test_too_little(self):
        for lines, branches in ((80, 0), (0, 60)):
            failure, _, _ = self.judge(self.MISS, "one: nobody ever calls it with 0\n\treturn 0;\n",
                                       lines, branches)
            self.assertIn("less than", failure.what)

    def test_a_part_of_the_suites_is_not_judged(self):
        self.assertIsNone(self.judge(self.MISS, "", 99, 99, True)[0])

    def test_a_bad_list_names_its_line(self):
        for listing in ("\treturn 0;\n", "one: why\n", "what is this\n"):
            failure, _, _ = self.judge(self.MISS, listing)
            self.assertEqual(failure.kind, "usage")
            self.assertIn("list:1", failure.what)


CONSOLE = """\
[    1.000000]     # Subtest: gup_x
[    1.000000]     1..3
[    1.000000]         # Subtest: gup_x_one
[    1.000000]     # gup_x_one: C1 C2
[    1.000000]     # gup_x_one: C18: hole
[    1.000000]     # gup_x_one: C5 + *
[    1.000000]         ok 1 anon
[    1.000000]     # gup_x_one: C1 C2
[    1.000000]     # gup_x_one: C18: hole
[    1.000000]         ok 2 zero, pmd_table
[    1.000000]     # gup_x_one: pass:2 fail:0 skip:0 total:2
[    1.000000]     ok 1 gup_x_one
[    1.000000]     # gup_x_two: C4 + guard secretmem
[    1.000000]     ok 2 gup_x_two
[    1.000000]     # gup_x_three: C6 + anon
[    1.000000]     ok 3 gup_x_three # SKIP no
[    1.000000] ok 1 gup_x
"""


WHOLE = {"verdict": "pass", "config": "reference", "glob": "", "selection": ""}


class Contract(unittest.TestCase):
    run_was = {}

    def setUp(self):
        top = tempfile.TemporaryDirectory()
        self.addCleanup(top.cleanup)
        self.top = pathlib.Path(top.name)
        self.saved = contract.TABLE, contract.REASONS
        contract.TABLE, contract.REASONS = self.top / "tests.md", self.top / "empty"

    def tearDown(self):
        contract.TABLE, contract.REASONS = self.saved

    def run_on(self, console=CONSOLE, reasons="C* *: there is no such test yet\n", check=False):
        write_files(self.top, {"console.log": console, "empty": reasons,
                               "result.json": json.dumps({**WHOLE, **self.run_was})})
        with redirect_stdout(io.StringIO()) as said:
            try:
                contract.make(self.top, check)
            except cli.Failure as failure:
                return failure.what + "\n" + said.getvalue()
        return ""

    def table(self):
        rows = [line.split("|")[1:-1] for line in (self.top / "tests.md").read_text().splitlines()
                if line.startswith("| ")]
        head = [word.strip() for word in rows[0]]
        return {row[0].strip(): dict(zip(head[1:], (word.strip() for word in row[1:])))
                for row in rows[2:] if len(row) == len(head)}

    def test_clauses_and_kinds(self):
        self.assertEqual(self.run_on(), "")
        table = self.table()
        self.assertEqual([table["anon"][c] for c in ("C1", "C2", "C4", "C5", "C18")], ["1", "1", "a", "1", "a"])
        self.assertEqual([table["zero"][c] for c in ("C1", "C5")], ["1", "a"])
        self.assertEqual([table["hole"][c] for c in ("C1", "C5", "C18")], ["a", "1", "1"])
        self.assertEqual([table["guard"]["C4"], table["secretmem"]["C4"]], ["1", "1"])

    def test_an_empty_cell_wants_a_reason(self):
        self.assertIn("no test and no reason: C3 on anon", self.run_on(reasons="C1,C2 *: none of these\n"))

    def test_a_reason_wants_an_empty_cell(self):
        self.assertIn("no cell is empty", self.run_on(reasons="C1 anon: said in vain\nC* *: none\n"))

    def test_a_test_without_clauses_or_kinds(self):
        self.assertIn("gup_x.gup_x_two: says no clause", self.run_on(CONSOLE.replace("C4 + guard secretmem", "C4")))
        self.assertIn("not 'C1 C2', ", self.run_on(CONSOLE.replace("C4 + guard", "C4 guard")))
        self.assertIn("has no test that says", self.run_on(CONSOLE.replace(": C", ": D")))

    def test_what_is_no_kind_or_no_clause(self):
        self.assertIn("'guards' is no kind", self.run_on(CONSOLE.replace("guard", "guards")))
        self.assertIn("C44 is no clause", self.run_on(CONSOLE.replace("C4", "C44")))

    def test_the_name_of_a_parameter_must_begin_with_a_kind_alone(self):
        self.assertEqual([contract.kinds_of(name) for name in ("hole", "hole, shmem", "hole punch, shmem")],
                         [["hole"], ["hole"], []])

    def test_a_test_that_did_not_pass_counts_for_nothing(self):
        self.assertEqual(self.run_on(CONSOLE.replace("ok 1 anon", "not ok 1 anon")), "")
        self.assertEqual([self.table()["anon"][c] for c in ("C1", "C6")], ["a", "a"])

    def test_a_part_of_the_suites_writes_no_table(self):
        for self.run_was in ({"glob": "gup_x"}, {"verdict": "test"}, {"selection": "--first 3"}):
            self.assertIn("is no run of all suites", self.run_on())
            self.assertFalse((self.top / "tests.md").exists())

    def test_check_sees_a_stale_table(self):
        self.assertEqual(self.run_on(), "")
        self.assertEqual(self.run_on(check=True), "")
        self.assertIn("is not what the tests say", self.run_on(CONSOLE.replace("C4", "C3"), check=True))
        self.assertIn("guard", self.run_on(CONSOLE.replace("guard", "zero"), check=True))


if __name__ == "__main__":
    unittest.main()
