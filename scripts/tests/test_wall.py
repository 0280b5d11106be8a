# SPDX-License-Identifier: GPL-2.0
"""scripts/bench --wall --arch um: what is made of times, on canned consoles."""

import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from contextlib import redirect_stdout

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import CODES, ROOT, write_files  # noqa: E402

from gup import benchreport, cli, documents, walltime  # noqa: E402


def line(layout="order0", row="slow_pin", took=40960, pages=4096):
    return f"gup_bench: layout {layout} {row} write {pages} {pages} {took}\n"


def told(base, series):
    return walltime.told(walltime.summary(base, series))


class Rows(unittest.TestCase):
    """What the figures of many guests say together."""

    def test_median_and_quartiles(self):
        row = walltime.summary([4.0, 1.0, 2.0, 3.0, 9.0], [1.0] * 5)
        self.assertEqual((row["base"], row["base_span"]), (3.0, [2.0, 4.0]))
        self.assertEqual((row["series"], row["series_span"]), (1.0, [1.0, 1.0]))
        self.assertEqual(walltime.summary([2.0], [1.0])["base_span"], [2.0, 2.0])

    def test_the_range_of_a_median(self):
        """As tables of the sign test have it."""
        self.assertEqual([walltime.rank(count) for count in (1, 5, 6, 9, 15, 20, 25)], [0, 0, 1, 2, 4, 6, 8])
        row = walltime.summary([1.0] * 15, [float(value) for value in range(15)])
        self.assertEqual((row["ratio"], row["ratio_span"]), (7.0, [3.0, 11.0]))

    def test_a_ratio_is_that_of_a_pair(self):
        """The machine is now slower, now faster: the pairs know nothing of it."""
        base = [10.0 * 1.5 ** (4 * number % 9) for number in range(9)]
        row = walltime.summary(base, [0.9 * value for value in base])
        self.assertGreater(row["base_span"][1], 2 * row["base_span"][0])
        self.assertAlmostEqual(row["ratio"], 0.9)
        self.assertEqual(walltime.told(row), "faster")

    def test_which_is_faster(self):
        self.assertEqual(told([10.0] * 15, [9.9] * 15), "faster")
        self.assertEqual(told([10.0] * 15, [10.1] * 15), "slower")
        self.assertEqual(told([10.0] * 15, [10.0] * 15), "")

    def test_pairs_that_disagree(self):
        for faster, word in ((15, "faster"), (12, "faster"), (11, ""), (8, ""), (4, ""), (3, "slower"), (0, "slower")):
            self.assertEqual(told([10.0] * 15, [5.0] * faster + [11.0] * (15 - faster)), word, faster)

    def test_too_few_pairs(self):
        self.assertEqual([told([10.0] * count, [5.0] * count) for count in (1, 5, 6)], ["", "", "faster"])

    def test_the_clock(self):
        rows = [{"pages": 4096, **walltime.summary([25600 / 4096, 2560 / 4096], [1536 / 4096, 512 / 4096])}]
        self.assertEqual((walltime.step(rows), walltime.shortest(rows)), (512, 512))
        rows[0]["rounds"]["base"][0] += 1 / 4096
        self.assertEqual(walltime.step(rows), 1)
        self.assertGreaterEqual(walltime.clock_price(100), 0)

    def test_the_price_of_a_lock(self):
        rows, dearer = ([{"group": "layout", "layout": "order0", "row": name, "access": "write", "base": base}
                         for name in ("fast_pin", "slow_pin")] for base in (12.0, 19.5))
        self.assertEqual(walltime.lock_price(rows, dearer), 7.5)
        self.assertIsNone(walltime.lock_price(rows, dearer[:1]))


ASSEMBLY = """\
gup.o:     file format elf64-x86-64

0000000000000000 <try_grab_folio>:
   0:	f3 0f 1e fa          	endbr64
   4:	f0 48 0f b1 0f       	lock cmpxchg %rcx,(%rdi)
   9:	87 07                	xchg   %eax,(%rdi)
   b:	f0 ff 47 34          	lock incl 0x34(%rdi)
   f:	c3                   	ret
"""


class Locks(unittest.TestCase):
    """Atomic operations of a kernel for one CPU."""

    def test_the_prefix(self):
        self.assertEqual(walltime.count_locks(ASSEMBLY, "gup.o"), 2)
        for name, text in (("'cmpxchg %rcx,(%rdi)'", ASSEMBLY.replace("lock cmpxchg", "cmpxchg")),
                           ("'xadd %eax,(%rdi)'", ASSEMBLY.replace("xchg   %eax", "xadd   %eax")),
                           ("has no lock prefix", re.sub(r"lock \w+", "nop", ASSEMBLY)), ("has no lock prefix", "")):
            with self.assertRaises(cli.Failure) as failure:
                walltime.count_locks(text, "gup.o")
            self.assertEqual(failure.exception.kind, "config")
            self.assertIn(name, failure.exception.what)

    def test_what_objdump_says(self):
        """Of an object of this machine's compiler."""
        source = "int f(int *p) { %s return __sync_val_compare_and_swap(p, 1, 2); }\n"
        with tempfile.TemporaryDirectory() as top:
            for text, works in (("", True), ('__asm__ volatile("cmpxchg %%ecx, (%%rdi)" ::: "eax", "memory");', False)):
                write_files(top, {"a.c": source % text})
                subprocess.run(["gcc", "-O2", "-c", "a.c"], cwd=top, check=True)
                if works:
                    self.assertEqual(walltime.locks(f"{top}/a.o"), 1)
                else:
                    self.assertRaises(cli.Failure, walltime.locks, f"{top}/a.o")

    def preprocessed(self, header, text, *options, made=("generated/asm-offsets.h",)):
        """What becomes of text after a header of configs/, on a kernel of few files."""
        with tempfile.TemporaryDirectory() as top:
            write_files(top, {"asm/alternative.h": '#define LOCK_PREFIX ""\n', "a.c": text, **dict.fromkeys(made, "")})
            return subprocess.run(["gcc", "-E", "-P", f"-I{top}", "-include", ROOT / f"configs/{header}/header.h", *options,
                                   f"{top}/a.c"], text=True, capture_output=True, check=True).stdout.strip()

    def test_the_headers(self):
        lock = "LOCK_PREFIX arch_spin_lock(l); __LINUX_SPINLOCK_UP_H"
        self.assertEqual(self.preprocessed("time", lock), lock.replace("LOCK_PREFIX", '"lock "'))
        self.assertRegex(self.preprocessed("time-locks", lock),
                         r'^"lock " do .*cmpxchg_acquire\(&\(l\)->slock, 1, 0\)[^_]*$')
        for option in ("-DCONFIG_SMP", "-D__ASSEMBLER__"):
            self.assertEqual(self.preprocessed("time-locks", lock, option), lock)
        # What is compiled before all headers are made has no atomic operations.
        self.assertRegex(self.preprocessed("time-locks", lock, made=()), "^LOCK_PREFIX ")


RUN = {"head": "0" * 40, "local_changes": "", "config": "time", "accelerator": "native", "accelerator_reason": "why"}


class Report(unittest.TestCase):
    """What is made of the results of many guests."""

    def setUp(self):
        top = tempfile.TemporaryDirectory()
        self.addCleanup(top.cleanup)
        self.top = pathlib.Path(top.name)
        for number in range(1, 16):
            self.guest(f"base-{number}", slow_pin=65536 + 256 * (number % 3))
            self.guest(f"series-{number}", slow_pin=16384 + 256 * (number % 2), fast_pin=(20480, 20992)[number % 2])
            self.guest(f"time-locks-base-{number}", slow_pin=106496 + 256 * (number % 3))
            self.guest(f"time-locks-series-{number}", slow_pin=16384)

    def guest(self, name, slow_pin=65536, fast_pin=20736, log=None):
        log = log or line(took=slow_pin) + line(row="fast_pin", took=fast_pin) + line("driver4", took=slow_pin)
        write_files(self.top / name, {"console.log": log, "locks": "34\n" if "base" in name else "29\n",
                                      "text": "\n", "run.json": json.dumps(RUN), "qemu-cmd": "./linux\n"})

    def report(self, *also):
        with redirect_stdout(io.StringIO()) as said:
            summary = benchreport.report_times(self.top, also)
        return summary, said.getvalue(), json.loads((self.top / "result.json").read_text())

    def test_times_and_how_wide_they_are(self):
        summary, said, result = self.report()
        self.assertEqual((summary, result["verdict"], result["wrong"]), ("3 figures, time has no limits", "pass", []))
        self.assertEqual((result["base"]["locked_instructions"], result["series"]["locked_instructions"]), (34, 29))
        self.assertRegex(said, r"layout order0 slow_pin write 4096 +16.1 +16.0-16.1 +4.06 +4.00-4.06 +0.252 0.249-0.253  faster\n")
        self.assertRegex(said, r"layout order0 fast_pin write 4096 .* 1.012 0.988-1.012  not told apart\n")
        self.assertIn("layout driver4 slow_pin write 4096 ", said)
        self.assertIn("2 rows are faster, 0 slower, 1 not told apart", said)
        self.assertIn("the guest's clock goes by 256 ns, the shortest time is 16384 ns", said)

    def test_nothing_passes_or_fails_by_time(self):
        for number in range(1, 16):
            self.guest(f"series-{number}", slow_pin=655360)
        _, said, result = self.report()
        self.assertEqual(result["verdict"], "pass")
        self.assertRegex(said, "slow_pin write 4096 .*  slower\n")

    def test_page_table_locks(self):
        _, said, result = self.report("time-locks")
        self.assertIn("configuration time:\n", said)
        self.assertIn("configuration time-locks:\n", said)
        self.assertIn("to take and release a page table lock costs 10.0 ns", said)
        self.assertEqual(result["lock_ns"], 10.0)
        self.assertEqual([round(rows[0]["ratio"], 3) for rows in (result["rows"], result["also"]["time-locks"])],
                         [0.252, 0.153])

    def test_a_guest_without_a_figure(self):
        self.guest("series-7", log=line())
        with self.assertRaises(cli.Failure) as failure:
            self.report()
        self.assertEqual(failure.exception.kind, "bench")
        self.assertIn("has no figure for 2 of the rows", failure.exception.what)

    def test_the_documentation(self):
        self.report("time-locks")
        saved, documents.FOLDER = documents.FOLDER, self.top / "Documentation"
        (self.top / "Documentation").mkdir()
        try:
            with redirect_stdout(io.StringIO()):
                benchreport.write(self.top, "scripts/bench --x")
        finally:
            documents.FOLDER = saved
        text = (self.top / "Documentation/performance-time.md").read_text()
        for part in ("    scripts/bench --x\n", "with 15 guests of each kernel by turns", "for 1 of 3 rows; 2 are faster, 0 slower",
                     "has 34 instructions with", "and 29 in series", "lock costs 10.0 ns.", "no TLB", "sigprocmask()",
                     "\n| order0, slow_pin, write | 16.1 (16.0-16.1) | 4.06 (4.00-4.06) | 0.25 (0.25-0.25) | 26.1 ("):
            self.assertIn(part, text)
        self.assertFalse([long for long in text.splitlines() if len(long) > 110 and not long.startswith("|")])


class Arguments(unittest.TestCase):
    def test_bad_ones(self):
        """Told before anything is fetched or built."""
        for arguments, what in ((("--arch", "um"), "--wall"), (("--arch", "vax"), "no architecture 'vax'"),
                                (("--arch", "um", "--wall", "--growth"), "--growth and --gup-test need QEMU"),
                                (("--arch", "um", "--wall", "--gup-test"), "--growth and --gup-test need QEMU"),
                                (("--wall", "--docs"), "--arch um")):
            said = subprocess.run([ROOT / "scripts/bench", *arguments], text=True, capture_output=True, check=False)
            self.assertEqual(said.returncode, CODES["usage"], said)
            self.assertIn(what, said.stderr)


if __name__ == "__main__":
    unittest.main()
