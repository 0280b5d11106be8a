# SPDX-License-Identifier: GPL-2.0
"""--arch um: a kernel that is a program, here a shell script."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import GOOD, HANG, PATIENCE, SHELL, SandboxTest, ktap, programs, write_files  # noqa: E402

from gup import arch, guest, kernel, lacks, packages  # noqa: E402

# It leaves the group that it is started in, as the real one does, and a helper behind.
UML = """\
echo "$*" > "$FAKE_CONSOLE.asked"
mkdir -p ~/.uml/id
echo "$HOME" > "$FAKE_CONSOLE.home"
! grep -q '^# int bug_' "$0" || FAKE_CONSOLE=$FAKE_CONSOLE.bug
[ ! -f "$FAKE_CONSOLE.unfixed" ] || ! grep -q '^# .*nr_pages < 0' "$0" || FAKE_CONSOLE=$FAKE_CONSOLE.unfixed
cat "$FAKE_CONSOLE"
[ "$FAKE_UML" != helper ] || @HANG@ &
case $FAKE_UML in
hang) @HANG@ & echo $! > "$FAKE_CONSOLE.pid"; wait ;;
esac
exit "${FAKE_STATUS:-0}"
""".replace("@HANG@", HANG)
HEAD = """\
Core dump limits :
[    0.000000] Linux version 7.3.4 (gup@localhost) (gcc) #1
[    0.000000] panic_on_taint: bitmask=0xbffff nousertaint_mode=disabled
"""
TAIL = "[    0.600000] reboot: System halted\n\n"

# ... --jobs N COMMAND --cell {} ::: NAMES
PARALLEL = """\
echo "$*" > "$FAKE_CONSOLE.parallel"
while [ "$1" != --jobs ]; do shift; done
command=$3
shift 6
for name; do "$command" --cell "$name"; done
"""

MUTANT = """\
Subject: The bug of %(name)s
Brings-back: C3
Killed-by: gup_%(name)s.one

This is why it is a bug.

diff --git a/mm/%(file)s b/mm/%(file)s
--- a/mm/%(file)s
+++ b/mm/%(file)s
@@ -1,2 +1,2 @@
 %(comment)s SPDX-License-Identifier: GPL-2.0
-%(before)s
+int bug_%(name)s;
"""


class Uml(SandboxTest):
    def prepare(self):
        # The kernel's Makefile has one more target; its options those of um.
        write_files(self.kernel, {"uml.sh": SHELL + UML})
        makefile = self.kernel / "Makefile"
        makefile.write_text(makefile.read_text() + "linux:\n\ttest $(ARCH) = um\n\tcp uml.sh $(O)/linux\n"
                            "\techo '  CC      all'; sed 's/^/# /' mm/*.c >> $(O)/linux\n\tchmod +x $(O)/linux\n")
        shutil.rmtree(self.cache / "linux.git")
        self.fill_cache()
        self.console(GOOD, HEAD, TAIL)
        (self.bin / "qemu-system-x86_64").unlink()  # nobody asks for it
        self.good("boot", "--arch", "um")

    def ended(self, pid):
        try:
            return pathlib.Path("/proc", pid, "stat").read_text().split()[2] == "Z"
        except OSError:
            return True

    def said(self, name):
        return (self.top / f"console.{name}").read_text().strip()

    def test_pass(self):
        result = self.good("boot", "--arch", "um")
        self.assertRegex(result.last, r"^PASS: 2 suites, 3 passed, 0 failed, 0 skipped, native, guest ")
        self.assertRegex(self.said("asked"), r"^mem=\d+G kunit.enable=1 kunit.filter=speed>slow console=tty kunit_shutdown=halt ")
        self.assertIn("panic_on_taint=fffbffff", self.said("asked"))
        self.assertTrue((self.repo / "build/o/um/linux").exists())
        self.assertFalse(pathlib.Path(self.said("home")).exists())
        again = subprocess.run([self.repo / "build/results/latest/reproduce"], env=self.environment,
                               capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
        self.assertIn("KTAP version 1", again)
        self.assertFalse(pathlib.Path(self.said("home")).exists())
        self.assertIn("unchanged: ", result.output)

    def test_a_helper_does_not_keep_it(self):
        self.good("boot", "--arch", "um", FAKE_UML="helper")  # which would hang with it

    def test_bad_ends(self):
        self.bad("boot", "boot", "--arch", "um", names=["UML ended with status 3"], FAKE_STATUS="3")
        self.console(GOOD, HEAD, "")
        self.bad("boot", "boot", "--arch", "um", names=["before its tests were done"])
        self.console(GOOD, HEAD, "[    0.5] Kernel panic - not syncing: no\n" + TAIL)
        self.bad("splat", "boot", "--arch", "um", names=["Kernel panic"], FAKE_STATUS="134")

    def test_a_program_that_this_machine_does_not_run(self):
        (self.repo / "build/o/um/linux").write_bytes(b"\x7fELF")
        self.bad("environment", "boot", "--arch", "um", names=["does not run", "Exec format error"])

    def test_interrupted(self):
        """By Ctrl-C, which all get, and by who ends the verb alone."""
        self.console(GOOD, HEAD, "")
        pid = self.top / "console.pid"
        for how in (lambda verb: os.killpg(verb, signal.SIGINT), lambda verb: os.kill(verb, signal.SIGTERM)):
            self.interrupt("boot", "--arch", "um", when=lambda: pid.exists() and pid.read_text().strip(), how=how,
                           FAKE_UML="hang")
            self.wait(lambda: self.ended(self.said("pid")))
            self.assertFalse(pathlib.Path(self.said("home")).exists())
            pid.unlink()

    def test_bad_input(self):
        self.bad("usage", "boot", "--arch", "vax", names=["'vax'", "there are: x86_64 um"])
        self.bad("usage", "boot", "--arch", "um", "--config", "sample", names=["--config sample is for x86_64"])
        self.bad("usage", "check", "--arch", "um", names=["--arch is for --each"])
        self.assertIn("--arch NAME", "\n".join(self.good("boot", "--help").output.splitlines()[:24]))

    def mutant(self, name, file="memory.c", comment="//", before="int memory;"):
        write_files(self.repo / "kunit/mutants", {f"{name}.patch": MUTANT % locals()})

    def test_mutants(self):
        self.mutant("alpha")
        self.mutant("beta", "Kconfig", "#", "config GUP_KUNIT_TEST")  # which no kernel here has in it
        self.mutant("absent")
        (self.top / "console.bug").write_text(HEAD + re.sub(
            r"(.*    not ok)", r"    # one: EXPECTATION FAILED at mm/tests/x.c:7\n\1",
            ktap({"gup_alpha": {"one": "not ok"}}), count=1) + TAIL)
        result = self.good("mutants", "--arch", "um")
        self.assertIn("3 mutants: 1 killed, 2 not on um", result.last)
        self.assertRegex(result.output, "beta +the kernel is the same without it")
        self.assertRegex(result.output, "absent +no test 'gup_absent.one' ran")
        self.assertIn("(3 kept)", self.good("mutants", "--arch", "um").last)

    def test_each(self):
        """The suites run from the patch on that brings what their fragment needs."""
        (self.repo / "configs/arch/um/suites.config").write_text("#NEEDS#mm/tests/gup_beta_kunit.c\n")
        self.console({}, HEAD, TAIL)
        result = self.bad("check", "check", "--each", "--arch", "um", names=["FAILED: beta.patch\n    FAIL(test)"])
        self.assertIn("2 passed, 1 failed", result.output)  # two without a suite
        self.console({"gup_beta": {"one": "ok"}}, HEAD, TAIL)
        result = self.good("check", "--each", "--arch", "um")
        self.assertEqual(result.output.count("as before: 0 suites"), 2)
        self.assertIn("1 suites, 1 passed", result.output)

    def test_fixes(self):
        """Without one its tests fail, and no others."""
        def unfixed(tail=TAIL, **tests):
            (self.top / "console.unfixed").write_text(HEAD + ktap({"gup_alpha": tests}) + tail)

        write_files(self.repo, {"kunit/fixes": "fix: um gup_alpha.on gup_alpha.two\nfix: x86_64 gup_beta\n"})
        for tests, what in (({"one": "ok", "two": "ok"}, "gup_alpha.on: pass"), ({"one": "not ok", "two": "ok"}, "gup_alpha.two: test"),
                            ({"one": "not ok", "two": "not ok", "six": "not ok"}, "gup_alpha.on: test")):
            unfixed(**tests)
            self.bad("check", "check", "--fixes", "--arch", "um", names=["FAILED: without fix", what])
        write_files(self.repo, {"kunit/fixes": "fix: um gup_alpha\n"})
        self.assertIn("1 passed, 0 failed", self.good("check", "--fixes", "--arch", "um").output)
        unfixed(one="ok", two="ok")
        self.assertIn("as before: ", self.good("check", "--fixes", "--arch", "um").output)
        write_files(self.repo, {"kunit/fixes": "fix: um dies gup_alpha\n"})
        self.bad("check", "check", "--fixes", "--arch", "um", names=["gup_alpha: pass"])
        (self.top / "console.unfixed").write_text("")  # one that never began is no proof
        self.bad("check", "check", "--fixes", "--arch", "um", names=["gup_alpha: boot"], FAKE_STATUS="127")
        unfixed("[    0.5] Kernel panic - not syncing: no\n" + TAIL, one="ok", two="ok")
        self.good("check", "--fixes", "--arch", "um")
        write_files(self.repo, {"kunit/fixes": "fix um gup_alpha\n"})
        self.bad("usage", "check", "--fixes", "--arch", "um", names=["kunit/fixes:1: not", "fix um gup_alpha"])

    def test_stable(self):
        """Backports have a series of their own, and list what shows them."""
        def stable(version, fixes="fix: um gup_alpha.one\n"):
            write_files(self.repo / "patches/stable" / version, {
                "series": f"# BASE v{version}\n# section: fixes\nfix.patch\nalpha.patch\nbeta.patch\n", "fixes": fixes})
            return "--stable", version, "--arch", "um", "--tree", str(self.kernel)

        def files():
            return {path: path.stat().st_mtime_ns for path in self.kernel.rglob("*")}

        write_files(self.repo, {"configs/arch/um/stable-machine.config": "CONFIG_64BIT=y\n"})
        words, before = stable("7.3"), files()
        self.bad("usage", "check", *words, names=["--config stable is for x86_64 riscv64, not for um"])
        write_files(self.repo, {"configs/stable/arches": "um\n", "configs/arch/um/stable-machine.config": ""})
        (self.top / "console.unfixed").write_text(HEAD + ktap({"gup_alpha": {"one": "ok"}}) + TAIL)
        self.bad("check", "check", *words, names=["FAILED: without fix, gup_alpha.one fails\n    gup_alpha.one: pass"])
        (self.top / "console.unfixed").write_text(HEAD + ktap({"gup_alpha": {"one": "not ok"}}) + TAIL)
        self.assertIn("2 passed, 0 failed", self.good("check", *words).output)
        self.assertEqual(files(), before)
        self.console({"gup_alpha": {"one": "not ok"}}, HEAD, TAIL)
        write_files(self.repo / "patches/stable/7.3", {"lacks": "NOTHING: a reason\n"})  # nothing is as it was
        self.bad("check", "check", *words, names=["FAILED: all patches on Linux 7.3.4, the tests pass\n    FAIL(test)"])
        self.bad("tree", "check", *stable("7.2"), names=["this kernel is 7.3.4, the series is made for v7.2"])
        self.bad("usage", "check", *stable("7.3", "fix um\n"), names=["7.3/fixes:1: not"])
        (self.repo / "patches/stable/7.3/series").write_text("fix.patch\n")
        self.bad("apply", "check", *words, names=["patches/stable/7.3/series has no line '# BASE v<version>'"])

    def test_matrix(self):
        """A cell runs once, again when it may come out differently, and not at all if nothing can change."""
        write_files(self.repo, {"configs/arch/um/machine.config": "CONFIG_PAGE_SHIFT=12\n",
                                "Documentation/templates/reach.md": "# Reach\n\n@table@\n"})
        programs(self.bin, {"parallel": PARALLEL})
        result = self.good("matrix", "--arch", "um")
        self.assertIn("0 of 1 cells are as they were", result.output)
        self.assertRegex(result.output, r"um +2 suites, 3 passed, 0 failed, 0 skipped")
        asked = self.said("asked")
        self.assertIn("1 of 1 cells are as they were", self.good("matrix", "--arch", "um").output)
        (self.top / "console.asked").unlink()
        self.good("matrix", "--arch", "um")
        self.assertFalse((self.top / "console.asked").exists(), "a cell that is current was run")
        with open(self.repo / "configs/arch/um/machine.config", "a") as config:
            config.write("CONFIG_MORE=y\n")
        self.good("matrix", "--arch", "um")
        self.assertEqual(self.said("asked"), asked)
        self.assertNotIn("--sshlogin", self.said("parallel"))
        # Of one that has run elsewhere the result comes back.
        programs(self.bin, {"rsync": ""})
        (self.repo / "build/matrix/um/cell.json").unlink()
        self.good("matrix", "--arch", "um", "--sshlogin", ":,b")
        self.assertIn(f"--sshlogin :,b --workdir {self.repo} --return build/matrix/{{}}/cell.json --jobs 1", self.said("parallel"))
        # A cell that fails is no cell that has passed; and all must have, for the table.
        self.console({**GOOD, "gup_beta": {"one": "not ok"}}, HEAD, TAIL)
        (self.repo / "build/matrix/um/cell.json").unlink()
        self.bad("test", "matrix", "--arch", "um", names=["1 of 1 cells did not pass: um"])
        self.bad("usage", "matrix", "--arch", "vax", names=["no architecture 'vax'", "arm64"])

    def test_the_table(self):
        """Each row has what it names: packages, fragments, and an end of its own guest."""
        self.assertEqual([one.suffix("reference") for one in (arch.X86, arch.UM)], ["reference", "um"])
        self.assertEqual(arch.UM.suffix("time"), "um-time")
        self.assertEqual([one.machine for one in (arch.X86, arch.UM)], ["QEMU", "UML"])
        # The same kernel of two compilers is two builds; both have the options of the family.
        gcc, clang = (arch.ARCHES[name] for name in ("arm64", "arm64-clang"))
        self.assertEqual([one.suffix("reference") for one in (gcc, clang)], ["arm64", "arm64-clang"])
        self.assertEqual([one.words for one in (gcc, clang)],
                         [{"ARCH": "arm64", "CROSS_COMPILE": "aarch64-linux-gnu-", "LLVM": ""},
                          {"ARCH": "arm64", "CROSS_COMPILE": "", "LLVM": "-19"}])
        self.assertEqual([(one.compiler, one.size) for one in (gcc, clang)],
                         [("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-size"), ("clang-19", "llvm-size-19")])
        # A UML of another word size than this machine's says so to make and to Kconfig.
        self.assertEqual(arch.ARCHES["um-i386"].words, {"ARCH": "um", "SUBARCH": "i386", "CROSS_COMPILE": "i686-linux-gnu-", "LLVM": ""})
        self.assertNotIn("SUBARCH", arch.UM.words)
        folders = kernel.CONFIGS / "arch"
        for name, one in arch.ARCHES.items():
            self.assertEqual(name, one.name)
            self.assertLessEqual(set(one.packages), set(packages.PACKAGES))
            for path in ("machine.config", "cmdline", *one.fragments):
                self.assertTrue((folders / one.folder / path).is_file(), f"{name}: {path}")
        self.assertEqual({path.name for path in folders.iterdir()}, {one.folder for one in arch.ARCHES.values()})
        self.assertLessEqual({path.name for path in lacks.FOLDER.iterdir()}, {*arch.ARCHES, *kernel.names()})

    def test_arguments_in_memory(self):
        """Of a kernel that QEMU starts without firmware: eight bytes a device, a zero byte at the end."""
        for asked in ("", "a=b", "exactly8", "panic=-1 kunit.enable=1"):
            found = {int(at): int(data).to_bytes(8, "little") for at, data in re.findall(
                r"loader,addr=(\d+),data-len=8,data=(\d+)", " ".join(guest.in_memory(asked)))}
            self.assertEqual(list(found), list(range(0, 8 * len(found), 8)))
            self.assertEqual(b"".join(found.values()).partition(b"\0")[0].decode(), asked)


if __name__ == "__main__":
    unittest.main()
