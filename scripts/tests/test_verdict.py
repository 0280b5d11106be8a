# SPDX-License-Identifier: GPL-2.0
"""The verdict on canned logs, in one process: the kernel's own KUnit parser reads each.

Of many of them kunit.py says that all is well; SAYS_PASS tells of which, as it was with the
base's kunit.py. What is no pass must not become one.
"""

import contextlib
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import HEAD, REAL_CACHE, TAIL, real_kernel_tools  # noqa: E402

from gup import counts, lacks, splat, verdict  # noqa: E402

WHOLE = """\
KTAP version 1
1..2
    KTAP version 1
    # Subtest: gup_alpha
    # module: gup_alpha_kunit
    1..3
    ok 1 one
        KTAP version 1
        # Subtest: rows
        1..2
        ok 1 anon
        ok 2 file, 2 MiB
    # rows: pass:2 fail:0 skip:0 total:2
    ok 2 rows
        KTAP version 1
        # Subtest: made
        ok 1 first
        ok 2 second
    # made: pass:2 fail:0 skip:0 total:2
    ok 3 made
# gup_alpha: pass:3 fail:0 skip:0 total:3
# Totals: pass:5 fail:0 skip:0 total:5
ok 1 gup_alpha
    KTAP version 1
    # Subtest: gup_beta
    # module: gup_beta_kunit
    1..2
    ok 1 one
    ok 2 two
# gup_beta: pass:2 fail:0 skip:0 total:2
# Totals: pass:2 fail:0 skip:0 total:2
ok 2 gup_beta
"""
BETA = WHOLE[WHOLE.index("    1..2\n    ok 1 one"):]
MESSAGE = "[    0.500001] clocksource: Switched to clocksource tsc"
SECOND = """\
KTAP version 1
1..1
    KTAP version 1
    # Subtest: gup_gamma
    1..1
    not ok 1 one
not ok 1 gup_gamma
"""

# name: (what stands there in place of what, "" at the end; class; part of the reason)
LOGS = {
    "more results than planned": ([(BETA, BETA.replace("1..2", "1..1"))],
                                  "test", "gup_beta has more results than the 1 planned"),
    "fewer results than planned": ([("    ok 2 two\n", "")], "test", "gup_beta has 1 results of 2"),
    "lost plan of a suite": ([(BETA, BETA.replace("    1..2\n", ""))],
                             "test", "gup_beta has results and no plan"),
    "lost plan of a suite and its last result": (
        [(BETA, BETA.replace("    1..2\n", "").replace("    ok 2 two\n", ""))],
        "test", "gup_beta has results and no plan"),
    "lost plan of the report": ([("KTAP version 1\n1..2\n    K", "KTAP version 1\n    K")],
                                "test", "the report has results and no plan"),
    "lost result of a suite": ([("ok 1 gup_alpha\n", "")], "test", "gup_alpha has no result yet"),
    "lost result of a row": ([("        ok 2 file, 2 MiB\n", "")], "test", "rows has 1 results of 2"),
    "lost result of a row without a plan": ([("        ok 1 first\n", "")],
                                            "test", "made has result 2 where 1 was due"),
    "lost end": ([(BETA[BETA.index("    ok 2 two"):], "")], "test", "gup_beta has no result yet"),
    "a number that is off": ([("    ok 2 two", "    ok 3 two")], "test", "result 3 where 2 was due"),
    "suite without a test": ([(BETA[:BETA.index("# gup")], "    1..0\n")], "test", "gup_beta has no result"),
    "suite passes and its test fails": ([("    ok 2 two", "    not ok 2 two")],
                                        "test", "gup_beta is 'ok', unlike its results"),
    "test fails and its rows pass": ([("    ok 2 rows", "    not ok 2 rows"),
                                      ("ok 1 gup_alpha\n", "not ok 1 gup_alpha\n")],
                                     "test", "rows is 'not ok', unlike its results"),
    "result of another name": ([("ok 2 gup_beta\n", "ok 2 gup_bet\n")],
                               "test", "gup_beta ended with the result of 'gup_bet'"),
    "two reports": ([("", SECOND)], "test", "a second report begins"),
    "result behind the end": ([("", "not ok 3 gup_gamma\n")], "test", "result 3 (gup_gamma) comes behind"),
    "torn in the name": ([("    ok 2 two", f"    ok 2 t{MESSAGE}")], "test", "tore a line of the report: ok 2 t["),
    "torn in front": ([("    ok 2 two", "clocksource: Sw[    0.500001][    T1]     ok 2 two")],
                      "test", "tore a line of the report: clocksource"),
    "torn header": ([("    # Subtest: gup_beta", f"    # Subtest: gup_b{MESSAGE}")],
                    "test", "tore a line of the report: # Subtest: gup_b["),
    "torn plan": ([("1..2\n    KTAP", f"1..2{MESSAGE}\n    KTAP")], "test", "tore a line of the report: 1..2["),
    "torn by a warning": ([("    ok 2 two", "    ok 2 t[    0.5] WARNING: mm/gup.c:7 at gup+0x1/0x2, CPU#0: x/3")],
                          "splat", "WARNING: mm/gup.c:7 at gup"),
    "torn by a program": ([("    ok 2 two", "!watchd: look[    0.500001]     ok 2 two")],
                          "test", "tore a line of the report: watchd"),
}
# Those of LOGS that kunit.py passes, and with which verb it ends with status 0 (exec as run).
SAYS_PASS = {name: "parse run" for name in (
    "more results than planned", "lost plan of a suite", "lost plan of a suite and its last result",
    "lost plan of the report", "lost result of a suite", "lost result of a row without a plan",
    "a number that is off", "suite without a test", "result of another name", "two reports",
    "result behind the end", "torn in the name", "torn header", "torn plan")}


def console(*changes):
    """HEAD, WHOLE with these changes and TAIL; a line behind "!" has no stamp of the kernel."""
    text = WHOLE
    for old, new in changes:
        if old:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        else:
            text += new
    lines = [line[1:] if line[0] == "!" else f"[    0.500000] {line}" for line in text.splitlines()]
    return HEAD + "".join(line + "\n" for line in lines) + TAIL


class Parsed(unittest.TestCase):
    RUN = {"expected_suites": ["gup_alpha", "gup_beta"], "cpus": 2, "panic_on_taint": True,
           "expected_lines": [], "config": "reference"}
    GUEST = {"end": "exit", "status": 0, "limits": {"first": 1, "silent": 1, "total": 1}}

    @classmethod
    def setUpClass(cls):
        tools = tempfile.TemporaryDirectory()
        cls.addClassCleanup(tools.cleanup)
        real_kernel_tools(tools.name)
        sys.path.insert(0, f"{tools.name}/tools/testing/kunit")
        import kunit_json
        import kunit_parser
        import kunit_printer
        cls.json, cls.parser, cls.printer = kunit_json, kunit_parser, kunit_printer.null_printer

    def kunit(self, text):
        """(what kunit.py parse --json writes, the verbs of kunit.py that would end with status 0)."""
        test = self.parser.parse_run_tests(text.splitlines(), self.printer)
        ok = self.parser.TestStatus
        verbs = [verb for verb, passes in (
            ("parse", test.status == ok.SUCCESS),
            ("run", test.counts.get_status() in (ok.SUCCESS, ok.SKIPPED))) if passes]
        return json.loads(self.json.get_json_result(test, self.json.Metadata())), " ".join(verbs)

    def judge(self, text, **run):
        return verdict.judge({**self.RUN, **run}, self.GUEST, text.splitlines(True), self.kunit(text)[0])


class Skipped(Parsed):
    """On um kunit/lacks/um says which tests are skipped, and these must be."""

    TEXT = ("    ok 2 two\n", "    ok 2 two # SKIP no such pages\n")

    def on_um(self, may_skip, **run):
        text = console(self.TEXT).replace("Restarting system", "System halted")
        with mock.patch.object(lacks, "of", lambda *names: lacks.Lacks(set(), set(), dict.fromkeys(may_skip, "why"), {})):
            return self.judge(text, arch="um", **run)[:2]

    def test_that_is_named(self):
        self.assertEqual(self.on_um(["gup_beta.two"]), ("pass", ""))

    def test_that_is_not_named(self):
        self.assertEqual(self.on_um([]), ("test", "1 skipped, first: gup_beta.two"))

    def test_that_ran_all_the_same(self):
        self.assertEqual(self.on_um(["gup_beta.two", "gup_beta.one"])[0], "test")
        # A run of some tests need not have it, nor one of other suites.
        self.assertEqual(self.on_um(["gup_beta.two", "gup_beta.one"], glob="gup_b*")[0], "pass")
        self.assertEqual(self.on_um(["gup_beta.two", "gup_other.one"])[0], "pass")

    def test_only_what_was_skipped_is_told_as_expected(self):
        run = {**self.RUN, "arch": "um", "glob": "gup_*"}
        text = console(self.TEXT).replace("Restarting system", "System halted")
        with mock.patch.object(lacks, "of", lambda *names: lacks.Lacks(set(), set(), {"gup_beta.two": "", "gup_beta.one": ""}, {})):
            verdict.judge(run, self.GUEST, text.splitlines(True), self.kunit(text)[0])
        self.assertEqual(run["expected_skips"], ["gup_beta.two"])

    def test_in_a_run_of_kunit_py(self):
        """Which has slow tests as well, and as many CPUs as it is told."""
        report = self.kunit(console(self.TEXT))[0]
        with tempfile.TemporaryDirectory() as top, contextlib.redirect_stdout(io.StringIO()) as said:
            path = pathlib.Path(top, "kunit.json")
            path.write_text(json.dumps(report))

            def counted(cpus, skipped, slow=None):
                with mock.patch.object(lacks, "of", lambda *names: lacks.Lacks(set(), set(), skipped, slow or {})):
                    return counts.um(cpus, path)

            self.assertEqual(counted(1, {"gup_beta.two": "no such pages"}), [6, 0, 1])
            self.assertEqual(counted(1, {}, {"gup_beta.two": "no such pages"}), [6, 0, 1])
            self.assertEqual(counted(1, {}), [6, 1, 0])
            self.assertEqual(counted(1, {"gup_beta.two": "none", "gup_beta.one": "none"}), [6, 1, 1])
            self.assertEqual(counted(2, {"gup_beta.two": "one CPU: no races"}), [6, 1, 0])
        self.assertIn("not skipped, but kunit/lacks/um says so: gup_beta.one", said.getvalue())

    def test_elsewhere(self):
        text = console(self.TEXT)
        self.assertEqual(self.judge(text)[:2], ("test", "1 skipped, first: gup_beta.two"))


class Reports(Parsed):
    def test_whole(self):
        text = console()
        self.assertEqual(self.judge(text)[:2], ("pass", ""))
        self.assertEqual(self.kunit(text)[1], "parse run")
        self.assertEqual(verdict.ktap.read(text.splitlines())[0], {"passed": 7, "failed": 0, "skipped": 0})

    def test_what_programs_of_the_guest_print_is_no_result(self):
        text = console(("", "!TAP version 13\n!1..2\n!ok 1 gup_test\n!not ok 7 gup_test\n"))
        self.assertEqual(self.judge(text)[:2], ("pass", ""))

    def test_what_is_not_whole(self):
        for name, (changes, kind, reason) in LOGS.items():
            with self.subTest(name):
                found, what, _, _ = self.judge(console(*changes))
                self.assertEqual(found, kind, what)
                self.assertIn(reason, what)

    def test_kunit_passes_some_of_them(self):
        says = {name: self.kunit(console(*changes))[1] for name, (changes, _, _) in LOGS.items()}
        self.assertEqual({name: verbs for name, verbs in says.items() if verbs}, SAYS_PASS)

    def test_all_skipped(self):
        text = re.sub(r"(?m)^(.*\] +ok \d .*)$", r"\1 # SKIP no memory", console())
        self.assertEqual(self.kunit(text)[1], "run")
        found, what, _, _ = self.judge(text)
        self.assertEqual((found, what), ("test", "7 skipped, first: gup_alpha.one"))
        with tempfile.TemporaryDirectory() as top:  # as scripts/test counts kunit.py's own run
            path = pathlib.Path(top, "kunit.json")
            path.write_text(json.dumps(self.kunit(text)[0]))
            self.assertEqual(counts.kunit(path), [0, 1, 7])

    def test_failed(self):
        text = console(("    ok 2 two", "    not ok 2 two"), ("ok 2 gup_beta\n", "not ok 2 gup_beta\n"))
        self.assertEqual(self.judge(text)[:2], ("test", "1 failed, first: gup_beta.two"))

    def test_a_report_without_suites_is_whole(self):
        """A prefix of the series may have none; kunit.py counts an error then."""
        text = f"{HEAD}[    0.5] KTAP version 1\n[    0.5] 1..0\n{TAIL}"
        self.assertEqual(self.judge(text, expected_suites=[])[:2], ("pass", ""))
        self.assertEqual(self.judge(text)[:2], ("test", "no suite ran"))

    def test_a_parser_that_counts_otherwise(self):
        """As if kunit.py had met an error, or had lost a result, that the report does not show."""
        text = console()
        for change, reason in ((lambda kunit: kunit["misc"].update(errors=1), "kunit.py met 1 errors"),
                               (lambda kunit: kunit["sub_groups"][1]["test_cases"].pop(),
                                "the console has 7 passed, 0 failed, 0 skipped, and kunit.py says 6 passed")):
            kunit = self.kunit(text)[0]
            change(kunit)
            found, what, _, _ = verdict.judge(dict(self.RUN), self.GUEST, text.splitlines(True), kunit)
            self.assertEqual(found, "test")
            self.assertIn(reason, what)


class Warnings(Parsed):
    """A line that says WARNING: is a report of a defect, or none."""

    # Where the kernel reports by such lines; all else that says so is a remark.
    REPORTS = re.compile(r"kernel/panic\.c|kernel/locking/|arch/x86/kernel/(unwind_|dumpstack_)")
    WHERE = ("kernel", "lib", "mm", "init", "block", "fs", "ipc", "security", "crypto", "net", "virt",
             "arch/x86/kernel", "arch/x86/mm", "arch/x86/entry", "arch/x86/events", "arch/x86/lib",
             "drivers/acpi", "drivers/base", "drivers/char", "drivers/clocksource", "drivers/iommu",
             "drivers/pci", "drivers/tty", "include")
    # A debugger's output, and a comment in a file of tracefs.
    NO_CONSOLE = re.compile(r"kdb_printf|seq_(puts|printf)|pragma")
    VALUES = (("%pS", "gup+0x1/0x2"), ("%pB", "gup+0x1/0x2"), (r"%s:%d", "mm/gup.c:7"),
              (r"%-?\d*l*[duxi]", "7"), (r"%[a-z]+", "word"))

    def lines(self):
        """(file, text) of each message of the base's sources that says WARNING:."""
        found = subprocess.run(
            ["git", "-C", str(REAL_CACHE / "linux.git"), "grep", "-hE", "--heading", "--break",
             r'"[^"]*WARNING:', "refs/heads/base", "--", *self.WHERE],
            check=True, capture_output=True, text=True).stdout
        for line in found.splitlines():
            if line.startswith("refs/heads/base:"):
                path = line.partition(":")[2]
            elif line.strip() and not self.NO_CONSOLE.search(line):
                # '"WARNING: " fmt' is a macro, whose users are other lines.
                text = re.search(r'"([^"]*WARNING: ?[^" ][^"]*)"', line)
                if text:
                    message = text[1].replace("\\n", "")
                    for pattern, value in self.VALUES:
                        message = re.sub(pattern, value, message)
                    yield path, message

    def test_all_of_the_kernel(self):
        reports = remarks = 0
        for path, message in self.lines():
            with self.subTest(f"{path}: {message}"):
                is_report = bool(self.REPORTS.match(path))
                reports, remarks = reports + is_report, remarks + (not is_report)
                self.assertEqual(bool(splat.splats([message])), is_report)
        self.assertGreater(reports, 20)
        self.assertGreater(remarks, 30)

    def test_remarks_pass(self):
        early = ("[    0.000001] RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable to RETBleed "
                 "attacks, data leaks possible!\n"
                 "[    0.000002] WARNING: 'bootconfig' found on the kernel command line but "
                 "CONFIG_BOOT_CONFIG is not set.\n")
        text = console()
        first, rest = text.split("\n", 1)
        self.assertEqual(self.judge(f"{first}\n{early}{rest}")[:2], ("pass", ""))

    def test_reports_fail(self):
        for line in ("WARNING: mm/gup.c:142 at try_grab_folio+0x31/0xe0, CPU#0: kunit_try_catch/37",
                     "WARNING: at try_grab_folio+0x31/0xe0, CPU#0: kunit_try_catch/37",
                     "WARNING: possible circular locking dependency detected",
                     "WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected",
                     "WARNING: bad unlock balance detected!", "WARNING: held lock freed!",
                     "WARNING: kunit_try_catch/37 still has locks held!",
                     "WARNING: lock held when returning to user space!",
                     "WARNING: suspicious RCU usage", "Call Trace:"):
            found, what, _, _ = self.judge(console(("ok 2 gup_beta\n", f"ok 2 gup_beta\n{line}\n")))
            self.assertEqual((found, what.partition(" (")[0]), ("splat", line))


if __name__ == "__main__":
    unittest.main()
