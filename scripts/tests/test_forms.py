# SPDX-License-Identifier: GPL-2.0
"""scripts/forms: its table, the modules that it makes of it, and Debian's names of kernels."""

import contextlib
import io
import pathlib
import shutil
import tempfile
import unittest
from unittest import mock

from gup import counts, debkernels, forms

STANZA = """\
Package: linux-headers-{abi}-{flavour}
Version: {version}
Architecture: {arch}
Depends: linux-headers-{abi}-common (= {version}), linux-kbuild-{abi}, linux-compiler-gcc-12-x86
"""


def stanza(abi, version, flavour="amd64", arch="amd64"):
    return STANZA.format(abi=abi, version=version, flavour=flavour, arch=arch)


class Table(unittest.TestCase):
    def test_each_line_is_a_form(self):
        found = forms.load()
        self.assertGreater(len(found), 30)
        self.assertEqual(len({form.name for form in found}), len(found))
        for form in found:
            self.assertLessEqual(set(form.how), {"lock", "may", "vmas", "pin", "hand"}, form.name)
            self.assertRegex(form.call, r"(get|pin)_user_pages", form.name)
            self.assertTrue(form.until and form.apart, form.name)

    def test_no_two_forms_of_a_call_are_told_apart_by_the_same(self):
        """But for those that are one to the header, and differ in an argument."""
        one = {"get_8_int", "macro_8", "mmap_sem", "remote_8_vmas", "remote_7_vmas", "put_page", "put_pages", "put_dirty"}
        found = [(form.call.partition("(")[0], form.apart) for form in forms.load() if form.name not in one]
        self.assertEqual(len(set(found)), len(found))

    def test_what_drops_the_references(self):
        by_name = {form.name: form for form in forms.load()}
        self.assertIn("put_page(pages[i])", by_name["get_8"].put)
        self.assertEqual(by_name["pin_4"].put, "unpin_user_pages(pages, got)")
        self.assertEqual(by_name["put_pages"].put, "put_user_pages(pages, got)")

    def test_the_module_of_a_form(self):
        form = forms.Form("x", ("lock", "hand"), "call(1)", "drop()")
        self.assertEqual(form.text(), '#define FORM_NAME "x"\n#define FORM_HOW (0 | LOCK)\n#define FORM_CALL call(1)\n'
                         '#define FORM_PUT drop()\n#include "form.c"\n')

    def test_a_driver_before_it_is_converted(self):
        text = forms.Form("x", ("lock", "vmas"), "call(start, vmas)", "drop()").bare()
        self.assertIn("got = call(start, NULL);", text)
        self.assertIn('"gup_form: " "c_x" ": " fmt', text)
        self.assertNotIn("gup_legacy.h", text)
        self.assertNotRegex(text.split("*/")[1], r"FORM_(NAME|CALL|PUT)\b(?! from)")
        self.assertIn("(0 | LOCK) & VMAS", text)


class Trial(unittest.TestCase):
    """The driver of 2012."""

    def test_errors_that_porting_md_explains(self):
        known = ["driver.c:1:2: error: too many arguments to function 'get_user_pages'", "cc1: all warnings being treated as errors",
                 "driver.c:1:2: error: 'struct mm_struct' has no member named 'mmap_sem'; did you mean 'mmap_base'?"]
        self.assertEqual(forms.unexplained(known), [])
        other = "driver.c:1:2: error: implicit declaration of function 'vma_lookup'; did you mean 'key_lookup'?"
        self.assertEqual(forms.unexplained([*known, other]), [other])

    @unittest.skipUnless(shutil.which("patch") and shutil.which("spatch"), "no patch or no coccinelle")
    def test_both_ways(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        checks = counts.Checks()
        found = forms.trial(checks, folder, ("header", "today"))
        self.assertEqual([form.name for form in found], ["driver_header", "driver_today"])
        self.assertEqual(checks.failed, 0)
        header, today = ((folder / f"{form.name}.c").read_text() for form in found)
        self.assertIn('fmt\n\n#include "gup_legacy.h"\n', header)
        self.assertIn("get_user_pages(start, NR, FOLL_WRITE, buf->pages)", today)
        self.assertNotRegex(today, r"mmap_sem;|->mmap_sem|vmas\[")

    def test_a_patch_that_does_not_apply_is_a_failure(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "driver.c").write_text("int x;\n")
        shutil.copy(forms.TRIAL / "header.patch", folder)
        checks = counts.Checks()
        with mock.patch.object(forms, "TRIAL", folder), contextlib.redirect_stdout(io.StringIO()):
            (folder / "out").mkdir()
            forms.trial(checks, folder / "out", ("header",))
        self.assertEqual(checks.failed, 1)


class Kernels(unittest.TestCase):
    """Debian's packages, of which apt tells."""

    def headers(self, *stanzas):
        packages = debkernels.Packages.__new__(debkernels.Packages)
        names = "\n".join(line.split()[1] for text in stanzas for line in text.splitlines() if line.startswith("Package"))
        packages.apt = mock.Mock()
        packages.apt.run = lambda program, verb, *words: names if verb == "pkgnames" else "\n".join(stanzas)
        return [(one.release, one.abi, one.flavour, one.arch, one.needs) for one in packages.headers()]

    def test_the_newest_of_each_release_and_flavour(self):
        found = self.headers(stanza("6.1.0-47", "6.1.170-1"), stanza("6.1.0-50", "6.1.176-1"),
                             stanza("6.1.0-50", "6.1.176-1", "cloud-amd64"), stanza("5.10.0-32", "5.10.223-1"))
        self.assertEqual([row[1:3] for row in found], [("5.10.0-32", "amd64"), ("6.1.0-50", "amd64"), ("6.1.0-50", "cloud-amd64")])
        self.assertEqual(found[0][4], ("linux-headers-5.10.0-32-common", "linux-kbuild-5.10.0-32"))

    def test_builds_for_two_releases_of_debian_are_two(self):
        found = self.headers(stanza("6.12.95+deb12", "6.12.95-1~bpo12+1"), stanza("6.12.107+deb13", "6.12.107-1"))
        self.assertEqual([row[1] for row in found], ["6.12.95+deb12", "6.12.107+deb13"])

    def test_a_candidate_is_older_than_the_release(self):
        found = self.headers(stanza("7.3", "7.3~rc7-1~exp1"), stanza("7.3.4+deb13", "7.3.4-1~bpo13+1"))
        self.assertEqual([row[1] for row in found], ["7.3", "7.3.4+deb13"])

    def test_what_is_no_flavour(self):
        self.assertEqual(self.headers(stanza("6.1.0-50", "6.1.176-1", "common"), stanza("6.1.0-50", "6.1.176-1", "common-rt")), [])


class Report(unittest.TestCase):
    def test_a_cell_says_on_how_many_it_compiles(self):
        folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        (folder / "usr/src/common/include/linux").mkdir(parents=True)
        (folder / "usr/src/common/include/linux/mm.h").write_text("long get_user_pages(unsigned long a,\n\tint b);\n")
        two = [debkernels.Headers(f"linux-headers-{f}", "6.1.0-50", "6.1", f, "amd64", "6.1.176-1", ("common", "kbuild"))
               for f in ("amd64", "rt-amd64")]
        form = forms.Form("get_8", (), "get_user_pages(a | b)", "", "v4.5", "8 arguments")
        with mock.patch.object(debkernels, "FOLDER", folder):
            text = forms.table([form], two, {(two[0].name, "amd64"): {"get_8", "sample"}, (two[1].name, "amd64"): set()},
                               {"series": {"get_8"}, two[0].name: {"get_8"}}, {"get_8"})
        self.assertIn("| get_8 | `get_user_pages(a \\| b)` | v4.5 | 8 arguments | 1/2, runs | runs | fails | GPL |", text)
        self.assertIn("| linux-headers-amd64 (amd64) | 6.1.176-1 | 2 arguments | compiles |", text)
        self.assertIn("| linux-headers-rt-amd64 (amd64) | 6.1.176-1 | 2 arguments | fails |", text)


if __name__ == "__main__":
    unittest.main()
