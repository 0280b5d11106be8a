# SPDX-License-Identifier: GPL-2.0
"""scripts/manual: what it makes of kernel-doc, and that its checks can fail."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import ROOT  # noqa: E402

from gup import checkkernel, cli, manual  # noqa: E402

SOURCE = """\
.\\" SPDX-License-Identifier: GPL-2.0
.TH ONE 9 2026-11-29 "Linux 7.3" "Kernel API Manual"
.SH NAME
one \\- get one page
.SH SYNOPSIS
.nf
@@synopsis one
.fi
.SH ARGUMENTS
@@arguments one
.SH DESCRIPTION
@@text one takes
@@context one
.SH RETURN VALUE
@@return one
.SH ERRORS
@@errors other one
.SH EXAMPLES
.EX
@@example
.EE
.SH SEE ALSO
.BR other (9)
"""
EXAMPLE = "// SPDX-License-Identifier: GPL-2.0\n\nint example(void)\n{\n\treturn -1;\n}\n"


def doc(arguments, **sections):
    return types.SimpleNamespace(
        other_stuff={"functiontype": "struct page *"}, parameterlist=list(arguments), parametertypes=arguments,
        parameterdescs={name: f"what {name} is\n" for name in arguments}, sections=sections)


DOCS = {
    "one": doc({"start": "unsigned long start", "pages": "struct page **pages"}, Context="may sleep.\n",
               Description="one takes\na page.\n\nThis is not shown.\n",
               Return="* a page, see other()\n* %-ENOMEM - no @pages,\n  .or so\n"),
    "other": doc({}, Return="* %-EFAULT - nothing is mapped\n* %-EINVAL - @locked is not 1\n"),
}


class Pages(unittest.TestCase):
    def setUp(self):
        self.pages = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "man9"
        (self.pages / "src").mkdir(parents=True)
        (self.pages / "src/one.9").write_text(SOURCE)
        (self.pages / "src/one.c").write_text(EXAMPLE)
        self.enterContext(mock.patch.object(manual, "PAGES", self.pages))
        self.docs = dict(DOCS)
        self.enterContext(mock.patch.object(manual, "kernel_docs", lambda tree: self.docs))

    def page(self):
        return manual.pages(None)[self.pages / "one.9"]

    def wrong(self, checkers=()):
        with mock.patch.object(manual, "CHECKERS", checkers):
            return list(manual.wrong(None))

    def test_kernel_doc_becomes_a_page(self):
        for piece in ('.BI "struct page *one(unsigned long " start ", struct page **" pages ");"\n',
                      ".TP\n.I start\nwhat start is\n", ".SH DESCRIPTION\none takes a page.\nMay sleep.\n.SH RETURN",
                      ".IP \\[u2022] 3\na page, see \\fBother\\fP()\n.SH ERRORS\n",
                      ".TP\n.B \\-EFAULT\nNothing is mapped.\n",
                      ".TP\n.B \\-ENOMEM\nNo \\fIpages\\fP, .or so.\n.SH EXAMPLES\n",
                      "int example(void)\n{\n        return \\-1;\n}\n.EE\n"):
            self.assertIn(piece, self.page())

    def test_no_line_of_text_is_a_request(self):
        lines = manual.filled("word " * 14 + "worded .so /etc/passwd 'quoted' -EFAULT @locked->x %NULL f*()")
        self.assertEqual(lines[1], "\\&.so /etc/passwd 'quoted' \\-EFAULT \\fIlocked->x\\fP NULL \\fBf*\\fP()")

    def test_a_page_that_is_not_current_is_found(self):
        self.assertIn("+.SH NAME", self.wrong())
        (self.pages / "one.9").write_text(self.page())
        self.assertEqual(self.wrong(), [])
        self.docs["one"] = doc(DOCS["one"].parametertypes, **{**DOCS["one"].sections, "Context": "never sleeps.\n"})
        self.assertEqual(self.wrong()[3:], ["-May sleep.", "+Never sleeps."])

    def test_a_finding_of_a_checker_is_found(self):
        (self.pages / "one.9").write_text(self.page())
        self.assertEqual(self.wrong(("true", "sh -c true")), [])
        self.assertEqual(self.wrong(("ls -d --",)), [])  # what a page looks like is no finding
        self.assertEqual(len(self.wrong(("ls no-such-file --",))), 1)

    @unittest.skipUnless(all(shutil.which(words.split()[0]) for words in manual.CHECKERS), "no mandoc, groff or man")
    def test_the_real_checkers(self):
        (self.pages / "one.9").write_text(self.page())
        self.assertEqual(list(manual.wrong(None)), [])
        for bad, names in ((".SH NOTES\n.PP\nx\n", ("mandoc",)), (".nosuchmacro\n", ("mandoc", "groff", "man"))):
            (self.pages / "src/one.9").write_text(SOURCE + bad)
            (self.pages / "one.9").write_text(self.page())
            self.assertEqual({line.split()[0] for line in manual.wrong(None)}, set(names))

    def test_kernel_doc_that_is_missing_is_named(self):
        for line, words in (("@@synopsis three", "no kernel-doc of three()"), ("@@context other", "no Context"),
                            ("@@return nothing", "no Return in the kernel-doc of nothing()"),
                            ("@@text one gives", "no 'gives' in the kernel-doc of one()")):
            self.docs["nothing"] = doc({})
            (self.pages / "src/one.9").write_text(SOURCE + line + "\n")
            with self.assertRaisesRegex(cli.Failure, re.escape(words)) as caught:
                self.wrong()
            self.assertEqual(caught.exception.kind, "check")
            self.assertIn("one.9", str(caught.exception))


class Examples(unittest.TestCase):
    """With a make that compiles what it is given."""

    def examples(self, source):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "src").mkdir()
            (folder / "build").mkdir()
            (folder / "src/one.c").write_text(source)

            def make(log, *words):
                objects = [word for word in words if word.endswith(".o")]
                with open(log, "a" if objects else "w", encoding="utf-8") as file:
                    return max([0, *(subprocess.run(["gcc", "-Wall", "-c", name.replace(".o", ".c")], check=False,
                                                    cwd=folder / "build", stderr=file).returncode for name in objects)])

            kernel = types.SimpleNamespace(out=folder, make=make)
            with mock.patch.object(manual, "PAGES", folder):
                return checkkernel.Check.examples(kernel, folder / "build")

    def test_one_that_compiles(self):
        self.assertEqual(self.examples(EXAMPLE), [])

    def test_one_that_does_not(self):
        self.assertIn("error: ", self.examples(EXAMPLE.replace(";", ""))[0])

    def test_one_with_a_warning(self):
        self.assertIn("warning: ", self.examples(EXAMPLE.replace("return -1", "int unused = 1"))[0])


class Repository(unittest.TestCase):
    def test_each_page_has_its_source_and_the_other_way_round(self):
        pages = ROOT / "Documentation/man9"
        names = {path.stem for path in pages.glob("src/*.9")}
        self.assertEqual(names, {path.stem for path in pages.glob("*.9")})
        self.assertEqual(names, {path.stem for path in pages.glob("src/*.c")})
        text = (ROOT / "README.md").read_text()
        self.assertEqual([name for name in names if name not in text], [])


if __name__ == "__main__":
    unittest.main()
