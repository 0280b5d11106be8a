# SPDX-License-Identifier: GPL-2.0
"""scripts/boot --kernel: what it takes, the modules of a package, the verdict, and the table."""

import argparse
import contextlib
import io
import lzma
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from gup import cli, debkernels, given, givenverdict  # noqa: E402
from gup.arch import X86  # noqa: E402
from sandbox import GOOD, HEAD, TAIL, BuiltTest, kunit_parse, ktap, write_files  # noqa: E402


def image(places, size=0x10100):
    """Of what is where in it."""
    made = bytearray(size)
    for at, what in places.items():
        made[at:at + len(what)] = what
    return bytes(made)


# The header of a bzImage, whose version is at 0x200 + 0x100.
HEADER = {0x202: b"HdrS", 0x20e: b"\0\1", 0x300: b"6.1.9-test (gcc) #1"}
BZIMAGE = image({**HEADER, 0x236: b"\1"}, 0x400)
OTHERS = {"arm64": {0x38: b"ARMd"}, "riscv64": {0x38: b"RSC\5"}, "s390x": {0x10008: b"S390EP"},
          "ppc64le": {0: b"\x7fELF\2\1", 0x12: b"\x15\0"}}
CASES = ("ok 1 reads what is mapped: a file", "ok 2 writes # XFAIL until v6.6, e88e0d366f9c: open(): 22",
         "ok 3 stops at a guard region # SKIP no guard regions: v6.13, 662df3e5c376")


def program(cases=CASES, status=0, plan=None):
    """What the program prints, through the kernel's log."""
    lines = ["TAP version 13", f"1..{len(cases) if plan is None else plan}", *cases, f"gup_contract: status {status}"]
    return "".join(f"[    0.550000] {line}\n" for line in lines)


def package(top, files, arch="amd64"):
    folder = top / "package"
    write_files(folder, {"DEBIAN/control": f"Package: linux-image-6.1.9\nVersion: 6.1.9-1\nArchitecture: {arch}\n"
                         "Maintainer: nobody <nobody@invalid>\nDescription: fake\n"})
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    deb = top / "linux-image-6.1.9.deb"
    subprocess.run(["dpkg-deb", "-Znone", "-b", folder, deb], check=True, stdout=subprocess.DEVNULL)
    return deb


class Packages(unittest.TestCase):
    def setUp(self):
        self.top = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.object(given, "BUILD", self.top / "build"))

    def refused(self, deb):
        with self.assertRaises(cli.Failure) as caught:
            given.find(deb)
        self.assertEqual(caught.exception.kind, "usage")
        return caught.exception.what

    def test_modules_come_after_what_they_depend_on(self):
        place = "lib/modules/6.1.9/kernel/"
        deb = package(self.top, {
            "boot/vmlinuz-6.1.9": BZIMAGE, place + "drivers/block/brd.ko": b"\0depends=\0",
            place + "fs/ext4/ext4.ko.xz": lzma.compress(b"ext4 \0depends=jbd2,crc-16\0"),
            place + "fs/jbd2/jbd2.ko": b"jbd2 \0depends=crc-16\0", place + "lib/crc-16.ko": b"crc \0depends=\0"})
        found = given.find(deb)
        self.assertEqual(found.image.read_bytes(), BZIMAGE)
        paths = given.modules(found, self.top)
        self.assertEqual([path.name for path in paths], ["brd.ko", "crc_16.ko", "jbd2.ko", "ext4.ko"])
        self.assertEqual(paths[-1].read_bytes()[:5], b"ext4 ")

    def test_a_kernel_without_modules(self):
        (self.top / "bzImage").write_bytes(BZIMAGE)
        found = given.find(self.top / "bzImage")
        self.assertEqual(found.title, "6.1.9-test (bzImage)")
        self.assertEqual(given.modules(found, self.top), [])

    def test_a_package_without_a_kernel_or_for_another_machine(self):
        self.assertIn("no kernel", self.refused(package(self.top, {"usr/share/doc/x": b""})))
        for arch, said in (("armhf", "is for armhf, and --kernel runs amd64, arm64"), ("arm64", "its kernel for amd64")):
            self.assertIn(said, self.refused(package(self.top, {"boot/vmlinuz-6.1.9": BZIMAGE}, arch)))

    def test_an_image_and_a_package_of_each_architecture(self):
        for name, places in OTHERS.items():
            (self.top / "file").write_bytes(image({**places, 0x200: b"Linux version 6.1.9-other (gcc)"}))
            found = given.find(self.top / "file")
            self.assertEqual((found.arch.name, found.title), (name, "6.1.9-other (file)"))
            there = given.find(package(self.top, {"boot/vmlinux-6.1.9": image(places)}, found.arch.debian))
            self.assertIs(there.arch, found.arch)
            shutil.rmtree(self.top / "package")

    def test_names_of_packages(self):
        for name, arch in (("6.12.1+deb13-arm64-16k", "arm64"), ("7.2.1-powerpc64le-64k", "ppc64le"), ("6.1-amd64", "x86_64")):
            self.assertEqual(given.arch_of_name(given.named(f"linux-image-{name}")).name, arch)
        with self.assertRaises(argparse.ArgumentTypeError):
            given.named("linux-image-6.12.1-armmp")

    def test_a_name_stands_for_what_it_depends_on(self):
        packages = debkernels.Packages.__new__(debkernels.Packages)
        packages.apt = mock.Mock()
        packages.apt.run.return_value = "linux-image-7.3-amd64\nlinux-binary-7.3-amd64\nlinux-image-6.1-amd64\n"
        packages.apt.download = lambda name, path: name
        with mock.patch.object(debkernels, "FOLDER", self.top):
            self.assertEqual(packages.kernel("linux-image-6.1-amd64", "amd64"), ["linux-image-6.1-amd64:amd64"])
            self.assertEqual(packages.kernel("linux-image-7.3-amd64", "amd64"), ["linux-image-7.3-amd64:amd64",
                                                                                 "linux-binary-7.3-amd64:amd64"])
            with self.assertRaises(cli.Failure):
                packages.kernel("linux-image-6.2-amd64", "amd64")

    def test_the_image_of_headers_is_in_either_package(self):
        packages = debkernels.Packages.__new__(debkernels.Packages)
        packages.apt = mock.Mock(folder=self.top)
        packages.apt.run.return_value = "linux-image-7.3-cloud-amd64\nlinux-binary-7.3-cloud-amd64\nlinux-image-6.1-cloud-amd64\n"
        with mock.patch.object(debkernels, "FOLDER", self.top):
            for abi, place, package_of in (("7.3", "usr/lib/modules/7.3-cloud-amd64/vmlinuz", "linux-binary-7.3-cloud-amd64"),
                                           ("6.1", "boot/vmlinuz-6.1-cloud-amd64", "linux-image-6.1-cloud-amd64")):
                headers = debkernels.Headers("", abi, abi, "cloud-amd64", "amd64", "", ())
                packages.apt.download = lambda name, path: package(self.top, {place: name.encode()})
                self.assertEqual(packages.image(headers), self.top / place)
                self.assertEqual((self.top / place).read_text(), f"{package_of}:amd64")
                shutil.rmtree(self.top / "package")
            self.assertIsNone(packages.image(headers._replace(abi="5.10")))


class Verdicts(unittest.TestCase):
    """Of a console."""

    def judged(self, console, **ended):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "console.log").write_text(console)
        cli.save(folder / "guest.json", {"end": "exit", "status": 0, "seconds": 1.0, "silence_allowed": 120, **ended})
        parse = mock.patch.object(givenverdict.results, "kunit_parse", lambda tree, folder, log, name: kunit_parse(
            tree, folder / log, folder / f"{name}.json"))
        with parse, contextlib.redirect_stdout(io.StringIO()) as output:
            kind, summary, result = givenverdict.judge(self.tree, folder, "6.1.9", X86)
        return kind, output.getvalue() + summary, result

    @classmethod
    def setUpClass(cls):
        from sandbox import real_kernel_tools
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.tree = pathlib.Path(cls.folder.name)
        real_kernel_tools(cls.tree)

    def expect(self, kind, text, console, **ended):
        found, said, _ = self.judged(console, **ended)
        self.assertEqual(found, kind, said)
        self.assertIn(text, said)

    def test_what_differs_and_what_is_lacking_is_no_failure(self):
        kind, said, result = self.judged(HEAD + program() + TAIL)
        self.assertEqual(kind, "pass", said)
        self.assertIn("1 passed, 0 failed, 1 differ as they did then, 1 skipped", said)
        self.assertEqual(result["release"], "7.3.4")
        self.assertEqual(result["cases"]["writes"], ("xfail", "until v6.6, e88e0d366f9c: open(): 22"))

    def test_a_failure_says_why(self):
        self.expect("test", "failed: writes: pread(): 1 instead of 2", HEAD + program(
            (CASES[0], "not ok 2 writes #  pread(): 1 instead of 2"), 1) + TAIL)

    def test_built_in_suites_count(self):
        self.expect("pass", "2 built-in suites", HEAD + ktap(GOOD) + program() + TAIL)
        self.expect("test", "gup_beta.one", HEAD + ktap({**GOOD, "gup_beta": {"one": "not ok"}}) + program() + TAIL)
        self.expect("pass", "1 skipped, guest", HEAD + ktap({"other": {"one": "not ok"}}) + program() + TAIL)

    def test_what_is_missing(self):
        self.expect("test", "3 results, although 4 were planned", HEAD + program(plan=4) + TAIL)
        self.expect("test", "nothing passed", HEAD + program(("ok 1 reads # SKIP no memory",)) + TAIL)
        self.expect("test", "status 1", HEAD + program(status=1) + TAIL)
        cut = program()[:program().index("ok 2")]
        self.expect("boot", "before its tests were done", HEAD + cut + TAIL)
        self.expect("boot", "before its tests began", HEAD + TAIL)
        self.expect("boot", "before its tests were done", HEAD + program(), end="panic")
        self.expect("pass", "1 passed", HEAD + program())

    def test_a_name_that_comes_twice(self):
        self.expect("test", "1 results, although 2 were planned", HEAD + program(("ok 1 reads", "ok 2 reads")) + TAIL)

    def test_the_kernel_complains(self):
        self.expect("splat", "BUG: bad page", HEAD + program() + "[    0.57] BUG: bad page\n" + TAIL)
        known = "".join(f"[    0.57] {line}\n" for line in (
            "FAULT_FLAG_ALLOW_RETRY missing 881", "Call Trace:", " <TASK>", " handle_userfault+0x1/0x2", " </TASK>"))
        self.expect("pass", "1 passed", HEAD + known + program() + TAIL)
        self.expect("splat", "Call Trace", HEAD + known + "[    0.58] Call Trace:\n" + program() + TAIL)
        self.expect("boot", "Kernel panic", HEAD + "[    0.4] Kernel panic - not syncing: no init\n")

    def test_a_guest_that_hangs(self):
        self.expect("timeout", "hung", HEAD + program()[:100], end="silent")
        self.expect("boot", "printed nothing", "", end="nothing")


class Table(unittest.TestCase):
    def rows(self, old):
        new = {name: ("pass", "") for name in old}
        return list(givenverdict.rows([{"cases": old}, {"cases": new}]))

    def test_tests_with_the_same_results_are_one_row(self):
        lacks = ("skip", "no such call: v5.14, 4ca9b3859dac")
        self.assertEqual(self.rows({
            "reads: a file": ("pass", ""), "reads: a memfd": lacks, "maps: a file": lacks, "maps: a memfd": lacks,
            "opens": ("xfail", "until v6.6: 22 instead of 0")}), [
                [3, "reads (a memfd); maps", "skipped", "", "no such call: v5.14, 4ca9b3859dac"],
                [1, "opens", "differs", "", "until v6.6: 22; commit unknown"]])

    def test_values_that_differ_do_not_make_two_rows(self):
        self.assertEqual(self.rows({
            "reads stops at a hole": ("xfail", "until v6.5, 34ed8d0dcd69: read(): EFAULT instead of 7"),
            "reads stops at the end": ("pass", ""),
            "writes stops at a hole": ("xfail", "until v6.5, 34ed8d0dcd69: write(): EFAULT instead of 9")}), [
                [2, "reads stops at, writes stops at (a hole)", "differs", "", "until v6.5, 34ed8d0dcd69: EFAULT"]])

    def test_a_test_that_a_kernel_did_not_run(self):
        found = list(givenverdict.rows([{"cases": {}}, {"cases": {"opens": ("pass", "")}}]))
        self.assertEqual(found, [[1, "opens", "", "", "; commit unknown"]])

    def test_kernels_by_name_in_place_of_a_column(self):
        lacks, passed = ("skip", "no memory"), ("pass", "")
        self.assertEqual(list(givenverdict.places([
            {"release": name, "cases": {"opens": case}} for name, case in (("a", lacks), ("b", passed), ("c", lacks))])),
            [[1, "opens", "skipped: a, c", "no memory; commit unknown"]])


@unittest.skipUnless(shutil.which("busybox"), "there is no busybox")
class Boots(BuiltTest):
    """The whole way, with a program that compiles and a QEMU that only prints."""

    def setUp(self):
        super().setUp()
        folder = "tools/testing/selftests/mm/"
        with open(self.tree() / "Makefile", "a", encoding="utf-8") as makefile:
            makefile.write("headers:\n\tmkdir -p $(O)/usr/include\n")
        write_files(self.tree(), {folder + "gup_contract.c": "int main(void) { return 0; }\n",
                                  folder + "vm_util.c": "", folder + "hugepage_settings.c": ""})
        self.image = self.top / "bzImage"
        self.image.write_bytes(BZIMAGE)
        (self.top / "console").write_text(HEAD + program() + TAIL)

    def test_pass_and_what_is_written(self):
        document = self.repo / "Documentation"
        write_files(document, {"templates/kernels.md": "@kernels@\n@table@\n"})
        result = self.good("boot", "--kernel", str(self.image), "--kernel", str(self.image), "--write")
        self.assertIn("PASS: 6.1.9-test (bzImage): 1 passed", result.output)
        self.assertEqual(result.output.count(" boot  "), 2)
        self.assertIn("| 7.3.4 | 1 | 1 | 1 |", (document / "kernels.md").read_text())
        words = (self.repo / "build/results/latest/qemu-cmd").read_text()
        self.assertIn("printk.devkmsg=on", words)

    def test_a_guest_that_dies_is_not_written_and_a_failure_is(self):
        document = self.repo / "Documentation"
        write_files(document, {"templates/kernels.md": "@table@\n"})
        (self.top / "console").write_text(HEAD + TAIL)
        self.bad("boot", "boot", "--kernel", str(self.image), "--write", names=["before its tests began"])
        self.assertFalse((document / "kernels.md").exists())
        (self.top / "console").write_text(HEAD + program(("not ok 1 reads #  7 instead of 8", CASES[0]), 1) + TAIL)
        self.bad("test", "boot", "--kernel", str(self.image), "--write", names=["reads: 7 instead of 8"])
        self.assertIn("| reads | **fails** | 7 instead of 8; commit unknown |", (document / "kernels.md").read_text())

    def test_bad_input_is_refused_before_anything_is_made(self):
        write_files(self.top, {"text": "no kernel\n" * 100})
        (self.top / "vmlinux").write_bytes(b"\x7fELF\2\1" + b"\0" * 1000)
        (self.top / "bzImage32").write_bytes(image(HEADER, 0x400))
        for name, said in (("nothing", "no file"), ("text", "neither a Debian package nor"), (".", "no file"),
                           ("vmlinux", "neither a Debian package nor"), ("bzImage32", "a bzImage of 32 bits")):
            result = self.bad("usage", "boot", "--kernel", str(self.top / name), names=[said])
            self.assertNotIn(" build ", result.output)
        self.bad("usage", "boot", "--kernel", str(self.image), "--suite", "gup_alpha", names=["exclude each other"])
        self.bad("usage", "boot", "--write", names=["--kernel"])

    def test_a_tree_without_the_program(self):
        (self.tree() / "tools/testing/selftests/mm/gup_contract.c").unlink()
        self.bad("test", "boot", "--kernel", str(self.image), names=["gup_contract.c"])

    def test_a_program_that_does_not_compile(self):
        write_files(self.tree(), {"tools/testing/selftests/mm/gup_contract.c": "int main(void) { return x; }\n"})
        self.bad("build", "boot", "--kernel", str(self.image), names=["error:"])


if __name__ == "__main__":
    unittest.main()
