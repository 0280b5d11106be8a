# SPDX-License-Identifier: GPL-2.0
"""scripts/boot against a fake kernel and a fake QEMU: verdicts, bad input, reuse."""

import pathlib
import shutil
import subprocess
import sys
import threading
import unittest
import xml.etree.ElementTree as xml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import (GOOD, GUP_C, HANG, HEAD, KERNEL, TAIL, BuiltTest, JudgedTest, SandboxTest, git,  # noqa: E402
                     ktap, programs_but, write_files)

WARNING = "[    0.55] ------------[ cut here ]------------\n[    0.55] WARNING: mm/gup.c:7 at gup+0x1/0x2\n"


class Verdicts(JudgedTest):
    """What a guest printed, and how it ended: by itself. That scripts/boot hands it over so,
    and passes on what comes back, is below."""

    def test_what_was_expected_is_shown(self):
        text = ktap({**GOOD, "gup_beta": {"one": "not ok"}}).replace(
            "    not ok 1 one", "    # one: EXPECTATION FAILED at mm/tests/x.c:7\n"
            "[    0.5]     Expected count == 0, but\n[    0.5]         count == 16 (0x10)\n"
            "[    0.5]     not ok 1 one")
        (self.top / "console").write_text(HEAD + text + TAIL)
        self.judged("test", names=["EXPECTATION FAILED at mm/tests/x.c:7", "count == 16"])

    def junit(self):
        """(name, tests, failures, errors, skipped) of each suite of junit.xml."""
        return [tuple(suite.get(name) for name in ("name", "tests", "failures", "errors", "skipped"))
                for suite in xml.parse(self.results / "junit.xml").getroot()]

    def test_junit_has_each_result_and_the_verdict(self):
        self.judged("pass")
        self.assertEqual(self.junit(), [("gup_alpha", "2", "0", "0", "0"), ("gup_beta", "1", "0", "0", "0"),
                                        ("verdict", "1", "0", "0", "0")])
        self.console({**GOOD, "gup_beta": {"one": "skip", "two": "not ok"}}, between="[    0.5] a\x01b\n")
        self.judged("test")
        self.assertEqual(self.junit()[1:], [("gup_beta", "2", "1", "0", "1"), ("verdict", "1", "1", "0", "0")])
        (self.top / "console").write_text(HEAD + TAIL)  # where no suite ran
        self.judged("boot")
        self.assertEqual(self.junit(), [("verdict", "1", "1", "0", "0")])

    def test_good(self):
        self.assertEqual(self.judged("pass").split(", tcg")[0], "2 suites, 3 passed, 0 failed, 0 skipped")

    def test_skipped(self):
        self.console({**GOOD, "gup_beta": {"one": "skip", "two": "ok"}})
        self.judged("test", names=["1 skipped", "gup_beta.one"])

    def test_suite_missing(self):
        self.console({"gup_alpha": {"one": "ok"}})
        self.judged("test", names=["did not run: gup_beta"])

    def test_suite_too_many(self):
        self.console({**GOOD, "other": {"one": "ok"}})
        self.judged("test", names=["other"])

    def test_no_suite_ran(self):
        self.console({})
        self.judged("test", names=["no suite ran"])

    def test_panic_in_a_test(self):
        self.console(GOOD, between=WARNING, tail="[    0.56] Kernel panic - not syncing: panic_on_taint set ...\n")
        self.judged("splat", names=["WARNING: mm/gup.c:7"])

    def test_panic_before_the_tests(self):
        (self.top / "console").write_text(HEAD + "[    0.4] Kernel panic - not syncing: no init\n")
        self.judged("boot", names=["no init"])

    def test_prints_without_an_end(self):
        self.console(GOOD, tail="")
        self.judged("timeout", names=["without an end", "ok 2 gup_beta"], end="flood")

    def test_qemu_status_counts(self):
        self.judged("boot", names=["status 3"], status=3)

    def test_no_end_of_the_tests(self):
        self.console(GOOD, tail="")
        self.judged("boot", names=["before its tests were done"])

    def test_tests_never_began(self):
        (self.top / "console").write_text(HEAD + TAIL)
        self.judged("boot", names=["before its tests began"])

    def test_one_cpu(self):
        self.console(GOOD, head=HEAD.replace("2 CPUs", "1 CPU"))
        self.judged("boot", names=["1 CPUs came up"])

    def test_cut_off_in_a_test(self):
        full = HEAD + ktap(GOOD)
        (self.top / "console").write_text(full[:full.index("ok 1 gup_alpha")])
        self.judged("boot", names=["before its tests were done"])


class Boots(BuiltTest):
    """The whole way, from the guest to the last line."""

    def test_reproduce_boots_the_saved_kernel(self):
        self.good("boot")
        out = subprocess.run([self.repo / "build/results/latest/reproduce"], env=self.environment,
                             capture_output=True, text=True, check=True).stdout
        self.assertIn("KTAP version 1", out)

    def test_failed(self):
        self.console({**GOOD, "gup_beta": {"one": "not ok"}})
        self.bad("test", "boot", names=["gup_beta.one"])

    def test_warning_between_tests(self):
        self.console(GOOD, between=WARNING)
        self.bad("splat", "boot", names=["WARNING: mm/gup.c:7"])

    def test_panic_is_not_waited_for(self):
        self.console({}, head=HEAD + "[    0.4] Kernel panic - not syncing: no init\n", tail="")
        result = self.script("boot", FAKE_QEMU="hang")
        self.assertIn("no init", result.last)
        self.assertEqual(self.result()["guest"]["end"], "panic")

    def test_hang(self):
        self.console(GOOD, tail="")
        self.bad("timeout", "boot", "--timeout", "3", names=["nothing new for ", "ok 2 gup_beta"],
                 FAKE_QEMU="hang")

    def test_prints_nothing(self):
        (self.top / "console").write_text("")
        self.bad("boot", "boot", "--timeout", "2", names=["printed nothing for "], FAKE_QEMU="hang")

    def test_ends_with_nothing(self):
        (self.top / "console").write_text("")
        self.bad("boot", "boot", names=["status 1", "no such machine"], FAKE_STATUS="1",
                 FAKE_QEMU_ERR="no such machine")

    def test_taint_unknown(self):
        self.console(GOOD, head="".join(l for l in HEAD.splitlines(True) if "taint" not in l))
        self.bad("boot", "boot", names=["panic_on_taint"])
        # With --keep-going it is not asked for.
        self.good("boot", "--keep-going")

    def test_a_line_that_must_be_there(self):
        expect = self.repo / "configs/reference/expect"
        expect.write_text("# its reason\nBrought up \\d+ node\n")
        self.good("boot")
        expect.write_text("the watcher is awake\n")
        self.bad("boot", "boot", names=["the watcher is awake", "reference/expect"])

    def test_interrupted(self):
        self.console(GOOD, tail="")
        log = self.repo / "build/results/latest/console.log"
        self.interrupt("boot", when=lambda: log.exists() and log.stat().st_size > 0, FAKE_QEMU="hang")
        self.console(GOOD)
        self.assertTrue(self.good("boot").last.startswith("PASS: "))

    def test_several_globs_are_several_boots(self):
        self.console({"gup_alpha": {"one": "ok"}})
        result = self.bad("test", "boot", "--suite", "gup_a*", "--suite", "gup_beta.one")
        self.assertEqual(result.output.count(" boot  "), 2)
        self.assertIn("PASS: 1 suites", result.output)


    def test_a_loop_ends_with_the_first_that_does_not_pass(self):
        result = self.good("boot", "--loop", "3")
        self.assertEqual(result.output.count("PASS: "), 3)
        self.assertIn("PASS: 2 of 3: 2 suites, 3 passed", result.output)
        self.console({**GOOD, "gup_beta": {"one": "not ok"}})
        result = self.bad("test", "boot", "--loop", "3", names=["FAIL(test): 1 of 3: "])
        self.assertEqual(result.output.count(" boot  "), 1)


class FromNothing(SandboxTest):
    def test_pass(self):
        result = self.good("boot")
        self.assertRegex(result.last, r"^PASS: 2 suites, 3 passed, 0 failed, 0 skipped, tcg, guest "
                         r"[\d.]+ s \(\d+ s, log: .*-boot\)$")
        found = self.result()
        self.assertEqual(found["suites"]["gup_alpha"]["passed"], 2)
        self.assertEqual(found["totals"], {"passed": 3, "failed": 0, "skipped": 0})
        for stage in ("tree", "apply", "config", "build", "boot"):
            self.assertIn(stage, found["stages"])
        results = self.repo / "build/results/latest"
        for name in ("console.log", ".config", "qemu-cmd", "reproduce", "bzImage"):
            self.assertTrue((results / name).stat().st_size, name)
        self.assertIn("accel tcg,thread=multi", (results / "qemu-cmd").read_text().replace("\\", ""))
        self.assertIn("panic_on_taint=fffbffff", (results / "qemu-cmd").read_text())

    def test_two_at_a_time(self):
        results = []
        threads = [threading.Thread(target=lambda: results.append(self.script("boot"))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([r.status for r in results], [0, 0], "\n".join(r.output for r in results))
        self.assertEqual(len(list((self.repo / "build/results").glob("*-boot*"))), 2)


class BadInput(BuiltTest):
    def test_unknown_option(self):
        self.bad("usage", "boot", "--colour", names=["--colour", "--help"])
        self.bad("usage", "tree", "grow", names=["grow"])
        self.bad("usage", "tree", names=["required: VERB"])
        self.bad("usage", "check", "--all", names=["--all"])
        self.bad("usage", "check", "--each", "--part", "2/1", names=["2/1"])

    def test_option_without_or_with_a_wrong_value(self):
        self.bad("usage", "boot", "--suite", names=["--suite"])
        self.bad("usage", "boot", "--only", "all", names=["'all'"])
        self.bad("usage", "boot", "--only", "9", names=["3 patches", "9"])
        self.bad("usage", "boot", "--jobs", "0", names=["--jobs"])

    def test_unknown_suite_lists_the_suites(self):
        self.bad("usage", "boot", "--suite", "gup_gamma", names=["gup_gamma", "gup_alpha, gup_beta"])

    def test_unknown_config_lists_the_configs(self):
        self.bad("usage", "boot", "--config", "fast", names=["fast", "reference"])

    def test_option_that_did_not_survive(self):
        with open(self.repo / "configs/fragments/mm.config", "a", encoding="utf-8") as fragment:
            fragment.write("CONFIG_NOTHING=y\n")
        self.bad("config", "boot", names=["CONFIG_NOTHING=y", "mm.config"])

    def test_fragment_without_file(self):
        (self.repo / "configs/fragments/mm.config").unlink()
        self.bad("config", "boot", names=["mm.config"])

    def test_compile_error(self):
        (self.tree() / "mm/gup.c").write_text(GUP_C.replace("return nr_pages;", "return nr_pgs;"))
        result = self.bad("build", "boot", names=["mm/gup.c:10", "nr_pgs", "build.log"])
        self.assertIn("nr_pgs", result.last)
        self.assertNotIn(str(self.tree()), result.last)

    def path_of(self, *names):
        """A PATH with what the scripts use, of these only those named."""
        path = self.top / "some"
        path.mkdir()
        for name in names:
            (path / name).symlink_to(shutil.which(name))
        return f"{self.bin}:{path}:{programs_but('gcc', 'qemu-', 'apt-get')}"

    def test_compiler_missing(self):
        self.bad("environment", "boot", names=["gcc", "install"], PATH=self.path_of())

    def test_qemu_missing(self):
        (self.bin / "qemu-system-x86_64").unlink()
        path = self.path_of("gcc")
        self.bad("environment", "boot", names=["qemu-system-x86", "install"], PATH=path)
        (self.bin / "apt-get").unlink()
        self.bad("environment", "boot", names=["qemu-system-x86", "no apt-get"], PATH=path)

    def test_no_suite_in_the_tree(self):
        (self.repo / "series").write_text("# BASE v7.3\n# section: fixes\nfix.patch\n")
        self.bad("test", "boot", names=["no suite in this tree"])

    def test_suite_file_without_a_suite(self):
        write_files(self.tree(), {"mm/tests/gup_odd_kunit.c": "int odd;\n"})
        self.bad("test", "boot", names=["gup_odd_kunit.c"])

    def test_help(self):
        for verb in ("boot", "tree", "check", "test", "contract", "coverage", "mutants"):
            output = self.good(verb, "--help").output
            self.assertIn(f"usage: scripts/{verb}", output)
            self.assertIn("12   splat", output)


class Reuse(BuiltTest):
    def test_unchanged_goes_straight_to_the_boot(self):
        result = self.good("boot")
        self.assertIn("unchanged", result.output)
        self.assertNotIn(" config ", result.output)
        self.assertNotIn(" apply ", result.output)

    def test_an_edit_is_built_and_said(self):
        image = self.repo / "build/o/reference/arch/x86/boot/bzImage"
        before = image.read_bytes()
        file = self.tree() / "mm/gup.c"
        file.write_text(file.read_text() + "int edited_by_hand;\n")
        result = self.good("boot")
        self.assertIn("tree has local changes (uncommitted changes)", result.output)
        self.assertIn(b"edited_by_hand", image.read_bytes())
        self.assertNotIn(" config ", result.output)
        self.assertEqual(self.result()["local_changes"], "uncommitted changes")
        # And when the edit is taken back, the kernel is built again.
        git(self.tree(), "checkout", "-q", "--", "mm/gup.c")
        self.good("boot")
        self.assertEqual(image.read_bytes(), before)

    def test_an_image_that_was_lost_is_built_again(self):
        (self.repo / "build/o/reference/arch/x86/boot/bzImage").unlink()
        self.good("boot")

    def test_an_unchanged_config_keeps_its_time(self):
        config = self.repo / "build/o/reference/.config"
        before = config.stat().st_mtime_ns
        (self.repo / "build/o/reference/built").unlink()
        self.good("boot")
        self.assertEqual(config.stat().st_mtime_ns, before)

    def test_an_edit_of_a_kconfig_file_is_configured(self):
        write_files(self.tree(), {"mm/Kconfig": KERNEL["mm/Kconfig"] + "# edited\n"})
        git(self.tree(), "add", "mm/Kconfig")
        self.assertIn(" config ", self.good("boot").output)

    def test_prefixes_leave_the_tree_alone(self):
        head = git(self.tree(), "rev-parse", "HEAD")
        result = self.good("boot", "--topics", "tests")
        self.assertIn("2 suites", result.last)
        prefix = self.repo / "build/prefix/tree"
        self.assertEqual((prefix / "mm/gup.c").read_text(), GUP_C)
        self.assertEqual(git(self.tree(), "rev-parse", "HEAD"), head)
        self.good("boot", "--topics", "fixes,tests")
        self.assertNotEqual((prefix / "mm/gup.c").read_text(), GUP_C)

    def test_only_boots_a_prefix_without_suites(self):
        self.console({})
        self.assertIn("0 suites", self.good("boot", "--only", "1").last)
        self.bad("test", "boot", "--only", "2", names=["gup_alpha"])


class Interrupted(SandboxTest):
    def test_in_the_build(self):
        slow = self.kernel / "Makefile"
        hang = HANG.replace("$", "$$")
        slow.write_text(slow.read_text().replace(
            "bzImage:\n", f'bzImage:\n\ttouch $(O)/started; [ "$$FAKE_BUILD" != hang ] || {hang}\n'))
        shutil.rmtree(self.cache / "linux.git")
        self.fill_cache()
        started = self.repo / "build/o/reference/started"
        self.interrupt("boot", when=started.exists, FAKE_BUILD="hang")
        self.assertTrue(self.good("boot").last.startswith("PASS: "))

    def stop_in_git(self, command):
        """Ctrl-C while git COMMAND runs; all other git is the real one."""
        started, real = self.top / "started", shutil.which("git")
        write_files(self.bin, {"git": f'#!/bin/sh\ncase " $* " in *" {command} "*)\n'
                               f'touch {started}; exec {HANG};; esac\nexec {real} "$@"\n'})
        (self.bin / "git").chmod(0o755)
        self.interrupt("tree", "apply", when=started.exists)
        (self.bin / "git").unlink()

    def test_in_the_first_checkout_and_in_the_apply(self):
        self.stop_in_git("reset")
        self.assertFalse(self.tree().exists())
        self.stop_in_git("apply")
        self.good("tree", "apply")
        self.assertEqual(git(self.tree(), "rev-list", "--count", "HEAD"), "4")

    def test_in_the_checkout(self):
        self.good("tree", "apply")
        # As a switch that was stopped leaves it: half of the files, an index lock.
        state = self.repo / "build/state"
        values = dict(line.split("=", 1) for line in state.read_text().splitlines())
        state.write_text(f"base={values['base']}\nhash=none\nhead={values['base']}\n"
                         f"switching={values['head']}\nto={values['hash']}\n")
        (self.tree() / "mm/gup.c").write_text("half")
        (self.tree() / ".git/index.lock").write_text("")
        result = self.good("tree", "apply")
        self.assertIn("interrupted", result.output)
        self.assertEqual(git(self.tree(), "status", "--porcelain"), "")


if __name__ == "__main__":
    unittest.main()
