# SPDX-License-Identifier: GPL-2.0
"""scripts/bench: what it reads, what it holds against the limits, and the whole of it
against a fake kernel and a fake QEMU."""

import io
import json
import pathlib
import shutil
import sys
import tempfile
import unittest
from contextlib import redirect_stdout

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import ROOT, SHELL, SUITE, SandboxTest, git, ktap, programs, write_files  # noqa: E402

from gup import benchreport, cli, documents, figures, series  # noqa: E402


def line(layout="order0", row="slow_pin", took=400, group="layout", access="write", pages=10, per_call=10):
    return f"[    1.234567] gup_bench: {group} {layout} {row} {access} {pages} {per_call} {took}\n"


class Figures(unittest.TestCase):
    def read(self, *lines):
        return figures.figures(lines, "console.log")

    def test_a_figure_is_per_page(self):
        found = self.read("noise\n", line(took=4205), line("order4", took=7))
        self.assertEqual(list(found.values()), [420.5, 0.7])
        self.assertEqual(str(list(found)[1]), "layout order4 slow_pin write 10")

    def test_what_kunit_says_of_the_suite_is_no_figure(self):
        self.assertEqual(len(self.read("    # Subtest: gup_bench\n", "# gup_bench: pass:3 fail:0 skip:0\n",
                                       "ok 1 gup_bench: x\n", line())), 1)

    def test_the_smaller_of_two_counts(self):
        self.assertEqual(list(self.read(line(took=900), line(took=100)).values()), [10.0])
        self.assertEqual(list(self.read(line(took=100), line(took=900)).values()), [10.0])

    def test_half_a_line_is_an_error(self):
        good = line().strip()
        for bad in (good[:-4] + "x", good + " 1", good.replace("write", "wri"), good.replace(" 10 10 ", " 10 "),
                    good.replace(" 10 10 ", " 0 0 "), good + "[    1.3] more", "x" + good.split("] ")[1]):
            with self.assertRaises(cli.Failure) as failure:
                self.read(line("order4"), bad)
            self.assertEqual(failure.exception.kind, "bench")
            self.assertIn("console.log, line 2", failure.exception.what)

    def test_nothing_at_all_is_an_error(self):
        for lines in ((), ("garbage\n", "\0\n"), ("# gup_bench: pass:3\n",)):
            with self.assertRaises(cli.Failure) as failure:
                self.read(*lines)
            self.assertEqual(failure.exception.kind, "bench")

    def test_two_cpus_are_refused(self):
        self.read("[    0.4] smp: Brought up 1 node, 1 CPU\n", line())
        with self.assertRaises(cli.Failure) as failure:
            self.read("[    0.4] smp: Brought up 1 node, 2 CPUs\n", line())
        self.assertEqual(failure.exception.kind, "bench")
        self.assertIn("console.log, line 1: the guest had 2 CPUs", failure.exception.what)

    def test_a_row_that_one_side_lacks(self):
        both = self.read(line(), line("order4"))
        one = self.read(line())
        for base, other, name in ((both, one, "series"), (one, both, "base")):
            with self.assertRaises(cli.Failure) as failure:
                figures.compare(base, other)
            self.assertIn(f"{name} has no figure for 1 of the rows, first: layout order4", failure.exception.what)

    def test_a_test_that_printed_nothing(self):
        with tempfile.TemporaryDirectory() as top:
            cases = [{"name": name, "status": "PASS"} for name in ("order0", "order4")]
            write_files(top, {"console.log": line(), "kunit.json": json.dumps({"sub_groups": [
                {"name": "gup_bench", "sub_groups": [{"name": "gup_bench_layout", "test_cases": cases}]}]})})
            with self.assertRaises(cli.Failure) as failure:
                figures.figures_of(pathlib.Path(top))
            self.assertIn("printed no figure: layout.order4", failure.exception.what)


class Gate(unittest.TestCase):
    def gate(self, text):
        with tempfile.TemporaryDirectory() as top:
            path = pathlib.Path(top, "gate")
            path.write_text(text)
            return figures.read_gate(path)

    def judge(self, text, base, now, absolute=False):
        read = [figures.figures([line(*key, took=took) for key, took in side.items()], "log")
                for side in (base, now)]
        judged, unused = figures.judge(figures.compare(*read), self.gate(text)[0], absolute)
        return [row["good"] for row in judged], unused

    ONE = {("order0", "slow_pin"): 4200}
    LINE = "layout order0 slow_pin write 10 100/420 99\n"

    def test_at_the_limit_and_over_it(self):
        self.assertEqual(self.judge(self.LINE, self.ONE, {("order0", "slow_pin"): 1000}), ([True], []))
        self.assertEqual(self.judge(self.LINE, self.ONE, {("order0", "slow_pin"): 1001}), ([False], []))

    def test_the_last_column_is_for_one_configuration(self):
        self.assertEqual(self.judge(self.LINE, self.ONE, {("order0", "slow_pin"): 1000}, True), ([False], []))
        self.assertEqual(self.judge(self.LINE, {("order0", "slow_pin"): 9}, {("order0", "slow_pin"): 990}, True),
                         ([True], []))

    def test_globs_and_the_strictest_line(self):
        base = {("pmd", row): 1000 for row in ("slow_pin", "fast_pin")}
        now = {("pmd", row): 1009 for row in ("slow_pin", "fast_pin")}
        every = "layout pmd * * 10 1.01\n"
        self.assertEqual(self.judge(every, base, now), ([True, True], []))
        self.assertEqual(self.judge(every + "layout pmd fast_pin write 10 1\n", base, now), ([True, False], []))

    def test_a_line_without_a_figure(self):
        _, unused = self.judge(self.LINE + "layout order7 * * * 1.01\n", self.ONE, self.ONE)
        self.assertEqual(unused, ["'layout order7 * * *' matches no figure"])

    def test_bad_lines_are_named(self):
        for bad in ("layout order0\n", "a b c d e 1/0\n", "a b c d e x\n", "a b c d e 1 2 3\n", "text x\n"):
            with self.assertRaises(cli.Failure) as failure:
                self.gate(self.LINE + bad)
            self.assertEqual(failure.exception.kind, "usage")
            self.assertIn("gate:2", failure.exception.what)
        with self.assertRaises(cli.Failure):
            self.gate("# nothing\n")

    def test_the_gate_of_the_repository(self):
        limits, text = figures.read_gate(ROOT / "kunit/bench-gate")
        self.assertEqual(text, 5400)
        self.assertGreater(len(limits), 25)
        for limit in limits:
            most = {"1": 1.1, "4096": 1.2 if limit.globs[1] == "order4_dirty" else 1.01}[limit.globs[-1]]
            self.assertLessEqual(limit.ratio, most)


class Until(unittest.TestCase):
    def test_the_end_of_a_section(self):
        fake = series.Series.__new__(series.Series)
        fake.entries = [series.Entry(name, section, 0, 0) for name, section in
                        (("a", "fixes"), ("b", "tests"), ("c", "tests"), ("d", "docs"))]
        self.assertEqual([fake.until(name) for name in ("fixes", "tests", "docs")], [1, 3, 4])
        with self.assertRaises(cli.Failure) as failure:
            fake.until("batch")
        self.assertIn("batch", failure.exception.what)


GATE = "layout order0 slow_pin write 10 1/2\nlayout pmd * * 10 1.01\ntext 100\n"
RUN = {"head": "0" * 40, "local_changes": "", "config": "reference", "accelerator": "tcg", "accelerator_reason": "why"}


class Report(unittest.TestCase):
    """What is made of the results of two guests."""

    def setUp(self):
        top = tempfile.TemporaryDirectory()
        self.addCleanup(top.cleanup)
        self.top = pathlib.Path(top.name)
        self.saved = benchreport.plot.draw, benchreport.plot.gnuplot
        benchreport.plot.draw, benchreport.plot.gnuplot = lambda *_: [], lambda *_, **__: None
        self.side("base")
        self.side("series", slow_pin=200)

    def tearDown(self):
        benchreport.plot.draw, benchreport.plot.gnuplot = self.saved

    def side(self, name, slow_pin=400, pmd=60, log="", text=1000, config="reference"):
        write_files(self.top / name, {
            "console.log": log or line(took=slow_pin) + line("pmd", took=pmd), "text": f"{text}\n",
            "run.json": json.dumps({**RUN, "config": config}), "qemu-cmd": "qemu\n"})

    def report(self, gate=GATE, wall=False):
        write_files(self.top, {"gate": gate or GATE})
        path = self.top / "gate"
        with redirect_stdout(io.StringIO()) as said:
            kind = "pass"
            if wall:
                benchreport.report_times(self.top, table=path)
            else:
                kind, _ = benchreport.report(self.top, path if gate else None, path)
        return kind, said.getvalue(), json.loads((self.top / "result.json").read_text())

    def fails(self, *names, gate=GATE):
        status, said, result = self.report(gate)
        self.assertEqual((status, result["verdict"]), ("bench", "bench"))
        for name in names:
            self.assertIn(name, said)

    def breaks(self, *names):
        with self.assertRaises(cli.Failure) as failure:
            self.report()
        self.assertEqual(failure.exception.kind, "bench")
        for name in names:
            self.assertIn(name, failure.exception.what)

    def test_pass(self):
        status, said, result = self.report()
        self.assertEqual((status, result["verdict"], result["wrong"]), ("pass", "pass", []))
        self.assertIn("\n3 passed, 0 failed\n", said)

    def test_a_regression_is_named(self):
        self.side("series", slow_pin=201)
        self.fails("OVER", "layout order0 slow_pin write 10 takes 20.10 per page, at most 20.00", "2 passed, 1 failed")

    def test_what_should_stay_and_grows(self):
        self.side("series", slow_pin=100, pmd=61)
        self.fails("layout pmd slow_pin write 10 takes 6.10")

    def test_too_much_text(self):
        self.side("series", slow_pin=100, text=1101)
        self.fails("text of mm/gup.o has grown by 101 bytes, at most 100")

    def test_a_line_of_the_gate_without_a_figure(self):
        self.fails("layout order4 * * *", "matches no figure", gate=GATE + "layout order4 * * * 1.01\n")

    def test_a_row_is_missing(self):
        self.side("series", log=line(took=200))
        self.breaks("series has no figure for 1 of the rows, first: layout pmd")

    def test_garbage_and_nothing(self):
        for log, what in ((line() + "[    1.2] gup_bench: layout order2 slow_p\n", "line 2"),
                          ("garbage\n", "no line of a figure"), ("\n", "no line of a figure")):
            self.side("series", log=log)
            self.breaks("series/console.log", what)

    def test_no_gate(self):
        self.side("series", slow_pin=900)
        status, said, result = self.report(gate=None)
        self.assertEqual((status, result["gate"]), ("pass", None))
        self.assertIn("no limit is applied", said)

    def test_the_median_of_times(self):
        for number, took in enumerate((300, 400, 900), 1):
            self.side(f"base-{number}", slow_pin=took)
            self.side(f"series-{number}", slow_pin=200)
        status, said, result = self.report(gate=None, wall=True)
        row = result["rows"][0]
        self.assertEqual((status, row["base"], row["series"], row["ratio"]), ("pass", 40.0, 20.0, 0.5))
        self.assertEqual((row["base_span"], row["series_span"]), ([35.0, 65.0], [20.0, 20.0]))
        self.assertIn("proves nothing about hardware", said)

    def test_the_smallest_of_instructions(self):
        for number, took in enumerate((500, 400), 1):
            self.side(f"base-{number}", slow_pin=took)
            self.side(f"series-{number}", slow_pin=took // 2)
        row = self.report()[2]["rows"][0]
        self.assertEqual((row["base"], row["series"]), (40.0, 20.0))

    def test_what_gup_test_says(self):
        said = "gup_test: 64 -L -n 65536: get:1966 put:656 us\ngup_test: done\n"
        for side in ("base", "series"):
            self.side(side, log=line() + line("pmd") + said)
        rows = self.report(gate=None)[2]["rows"][2:]
        self.assertEqual([(row["layout"], row["row"], round(row["base"])) for row in rows],
                         [("64KiB", "-L", 30), ("64KiB", "-L:put", 10)])
        self.assertIn("gup_test 64KiB -L:put", self.report(gate=GATE.replace("1/2", "1"))[1])
        for bad in (said.replace(" us", ""), "gup_test: 64 -L -n 1: cannot open\n"):
            self.side("series", log=line() + line("pmd") + bad)
            self.breaks("series/console.log, line 3: gup_test has failed")

    def test_the_documentation(self):
        self.report(gate=None)
        saved, documents.FOLDER = documents.FOLDER, self.top / "Documentation"
        (self.top / "Documentation").mkdir()
        try:
            with redirect_stdout(io.StringIO()):
                benchreport.write(self.top, "scripts/bench --x")
        finally:
            documents.FOLDER = saved
        text = (self.top / "Documentation/performance.md").read_text()
        self.assertIn("    scripts/bench --x\n", text)
        self.assertIn("| order0, write | 40.0, 20.0, 0.50 |", text)
        self.assertNotIn("| at most |", text)
        self.assertIn("| order0, slow_pin: lock held | 40 | 10240, if somebody waits 640 |", text)

    def test_the_documentation_of_system_calls(self):
        said = "".join(f"gup_bench: calls {layout} mlock write 4 4 {took}\n" for layout, took in (("order0", 400), ("pmd", 80)))
        for side in ("base", "series"):
            self.side(side, log=line() + line("pmd") + (said if side == "base" else said.replace("400", "100")), config="calls")
        self.report(gate=None)
        saved, documents.FOLDER = documents.FOLDER, self.top / "Documentation"
        (self.top / "Documentation").mkdir()
        try:
            with redirect_stdout(io.StringIO()):
                benchreport.write(self.top, "scripts/bench --x")
        finally:
            documents.FOLDER = saved
        text = (self.top / "Documentation/performance-calls.md").read_text()
        self.assertIn("| call | memory is | KiB per call | order0 | pmd |", text)
        self.assertIn("| `mlock` | written | 16 | 100, 25.0, 0.25 | 20.0, 20.0, 1.00 |", text)
        self.assertFalse((self.top / "Documentation/performance.md").exists())
        rows = self.report(gate=None)[2]["rows"]
        self.assertEqual(list(benchreport.calls_bars(rows)),
                         [("mlock,16_KiB,order0", 25.0, 75.0), ("mlock,16_KiB,pmd", 100, 0)])

    def test_the_pages_between_two_looks_are_those_of_the_series(self):
        patches = "".join(path.read_text() for path in (cli.ROOT / "patches").rglob("*.patch"))
        self.assertIn(f"\n+#define GUP_LOCK_PAGES\t{benchreport.LOCK_PAGES}\n", patches)

    def test_the_documentation_of_limits(self):
        for config, shown in (("reference", "0.500 | 20.00 |"), ("gup-test", "0.500 | 21.00 |")):
            for side in ("base", "series"):
                self.side(side, slow_pin=400 if side == "base" else 200, config=config)
            gate = self.report(gate=GATE.replace("1/2", "1/2 21"))[2]["gate"]
            table = list(benchreport.limits(gate))
            self.assertIn(f"| layout order0 slow_pin write 10 | 40.00 | 20.00 | {shown}", table)
            self.assertEqual(any("pmd" in row for row in table), config == "reference")


# A qemu that prints one console for a kernel with a batched gup.c, and another otherwise.
QEMU = """\
for word; do
	[ "$before" != -kernel ] || kernel=$word
	before=$word
done
echo "$*" >> "$FAKE_CONSOLE.asked"
if grep -aqw batched "$kernel"; then cat "$FAKE_CONSOLE.series"; else cat "$FAKE_CONSOLE.base"; fi
"""
GNUPLOT = """\
echo "<?xml?>" > "$(sed -n 's/^set output "\\(.*\\)"$/\\1/p')"
"""
# UML is a program, which does the same.
UML = """\
side=base
! grep -qw "^#.*batched" "$0" || side=series
echo $(sed -n 's/^#with //p' "$0")$side >> "$FAKE_CONSOLE.order"
cat "$FAKE_CONSOLE.$side"
exit 0
"""
MAKE_LINUX = """
linux:
	test $(ARCH) = um
	mkdir -p $(O)/mm
	echo "$(KCPPFLAGS)" > $(O)/mm/gup.o
	sed 's/^/#/' mm/gup.c | cat uml.sh - > $(O)/linux.new
	! grep -q DEBUG_SPINLOCK=y $(O)/.config || echo "#with locks-" >> $(O)/linux.new
	chmod +x $(O)/linux.new
	mv $(O)/linux.new $(O)/linux
"""
OBJDUMP = """\
cat "$2" >> "$FAKE_CONSOLE.flags"
printf '   4:\tf0 48 0f b1 0f       \t%s\n' "${FAKE_PREFIX-lock }cmpxchg %rcx,(%rdi)"
"""
UML_HEAD = """\
[    0.000000] Linux version 7.3.4 (gup@localhost) (gcc) #1
[    0.000000] panic_on_taint: bitmask=0xbffff nousertaint_mode=disabled
"""
HEAD = """\
[    0.000000] Linux version 7.3.4 (gup@localhost) (gcc) #1 SMP PREEMPT
[    0.000000] panic_on_taint: bitmask=0xbffff nousertaint_mode=disabled
[    0.444000] smp: Brought up 1 node, 1 CPU
"""
TAIL = "[    0.600000] reboot: Restarting system\n"
TESTS = {"gup_bench": {"gup_bench_layout": "ok"}}


class Verb(SandboxTest):
    """A series of a benchmark and of a patch that batches. scripts/bench ran once."""

    def prepare(self):
        clone = self.top / "author"
        write_files(clone, {"mm/tests/gup_bench_kunit.c": SUITE % {"name": "bench"}})
        self.patch(clone, "bench")
        with open(clone / "mm/gup.c", "a", encoding="utf-8") as source:
            source.write("int batched;\n")
        self.patch(clone, "batch")
        self.write_series("\n# section: batch\nbatch.patch\n")
        write_files(self.repo, {"kunit/bench-gate": GATE.replace("order0", "order7")})
        programs(self.bin, {"qemu-system-x86_64": QEMU, "gnuplot": GNUPLOT})
        self.side("base")
        self.side("series", slow_pin=200)
        self.assertIn(" the first 4 patches\n", self.good("bench", "--runs", "1").output)
        shutil.rmtree(self.repo / "build/results")

    def patch(self, clone, name):
        git(clone, "add", "-f", "-A")
        git(clone, "commit", "-q", "-m", f"mm/gup: add {name}\n\nA reason that is long enough to be one.\n")
        mail = git(clone, "format-patch", "--stdout", "--zero-commit", "-N", "--no-signature", "-1")
        (self.repo / f"patches/{name}.patch").write_text(mail + "\n\n")

    def write_series(self, end):
        (self.repo / "series").write_text(
            "# BASE v7.3\n# section: fixes\nfix.patch\n\n# section: tests\nalpha.patch\nbeta.patch\nbench.patch\n" + end)

    def side(self, name, slow_pin=400, tests=None, extra=""):
        figures = line("order7", took=slow_pin) + line("pmd", took=60) + extra
        (self.top / f"console.{name}").write_text(HEAD + figures + ktap(tests or TESTS) + TAIL)

    def test_twice_and_with_local_changes(self):
        result = self.good("bench")
        self.assertRegex(result.last, r"^PASS: 2 figures, 2 with a limit, 0 wrong \(\d+ s, log: .*-bench\)$")
        found = self.result()
        self.assertEqual([row["ratio"] for row in found["rows"]], [0.5, 1.0])
        self.assertNotEqual(found["base"]["commit"], found["series"]["commit"])
        self.assertIn("-icount", found["qemu"])
        asked = (self.top / "console.asked").read_text()
        self.assertIn("kunit.filter=speed=slow", asked)
        self.assertNotIn("-cpu", asked)
        self.assertIn("SPDX", (self.repo / "build/results/latest/layouts.svg").read_text())
        source = self.tree() / "mm/gup.c"
        source.write_text(source.read_text().replace("batched", "undone"))
        result = self.bad("bench", "bench", "--runs", "1", names=["unchanged: ", "tree has local changes", "layout order7 slow_pin"])
        self.assertEqual(self.result()["series"]["local_changes"], "uncommitted changes")

    def test_guests_that_go_wrong(self):
        self.side("series", extra="WARNING: mm/gup.c:7 at gup+0x1/0x2\n")
        self.bad("splat", "bench", "--runs", "1", names=["series: WARNING: mm/gup.c:7"])
        self.side("base", tests={"gup_bench": {"gup_bench_layout": "not ok"}})
        self.bad("test", "bench", "--runs", "1", names=["base: 1 failed, first: gup_bench.gup_bench_layout"])
        (self.top / "console.base").write_text("")
        self.bad("boot", "bench", "--runs", "1", names=["base: QEMU ended with status 0 and no output"])

    def test_two_cpus_are_refused(self):
        base = self.top / "console.base"
        base.write_text(base.read_text().replace("1 CPU", "2 CPUs"))
        self.bad("bench", "bench", names=["base-1/console.log", "the guest had 2 CPUs", "pause"])

    def test_time_of_a_kernel_that_is_a_program(self):
        write_files(self.kernel, {"uml.sh": SHELL + UML, "Makefile": (self.kernel / "Makefile").read_text() + MAKE_LINUX})
        shutil.rmtree(self.cache / "linux.git")
        self.fill_cache()
        programs(self.bin, {"objdump": OBJDUMP})
        for side, took in (("base", 65536), ("series", 16384)):
            (self.top / f"console.{side}").write_text(
                UML_HEAD + line(took=took, pages=4096, per_call=4096) + ktap(TESTS) + "[    0.6] reboot: System halted\n")
        (self.bin / "qemu-system-x86_64").unlink()  # nobody asks for it
        command = ("bench", "--wall", "--arch", "um", "--runs", "2")
        shutil.copytree(ROOT / "Documentation/templates", self.repo / "Documentation/templates")
        result = self.good(*command, "--docs")
        self.assertRegex(result.last, r"^PASS: 1 figures, time has no limits \(")
        self.assertIn("mm/gup.o: 1 instructions have a lock prefix", result.output)
        order = (self.top / "console.order").read_text().split()
        self.assertEqual(order, ["base", "series", "locks-base", "locks-series"] * 2)
        for header in ("time/header.h", "time-locks/header.h"):
            self.assertIn(f"-include {self.repo}/configs/{header}\n", (self.top / "console.flags").read_text())
        found = self.result()
        self.assertEqual((found["rows"][0]["ratio"], list(found["also"])), (0.25, ["time-locks"]))
        self.assertEqual(found["base"]["locked_instructions"], 1)
        kernels = [path.stat() for path in (self.repo / "build/results/latest").glob("series-*/linux")]
        self.assertEqual([kernel.st_nlink for kernel in kernels], [2, 2])
        self.assertIn("--runs 2 --docs", (self.repo / "Documentation/performance-time.md").read_text())
        (self.repo / "build/o/um-time/built").unlink()
        for _ in range(2):  # not even if nothing is to be built
            self.bad("config", *command, FAKE_PREFIX="",
                     names=["unchanged: ", "gup.o has 'cmpxchg %rcx,(%rdi)' without a lock prefix"])

    def test_without_batching_and_without_a_benchmark(self):
        self.write_series("")
        self.assertIn("no limit is applied", self.good("bench", "--runs", "1").output)
        (self.repo / "series").write_text("# BASE v7.3\n# section: fixes\nfix.patch\n")
        self.bad("apply", "bench", names=["no patch in a section 'tests'"])


if __name__ == "__main__":
    unittest.main()
