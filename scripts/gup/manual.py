# SPDX-License-Identifier: GPL-2.0
"""Makes Documentation/get_user_pages.9 of the kernel-doc of get_user_pages_legacy(), with the
kernel's own scripts/kernel-doc: man -l shows it."""

import difflib
import os
import re
import subprocess

from gup import cli, source
from gup.cli import ROOT, Failure
from gup.packages import need
from gup.workspace import Workspace

USAGE = "scripts/manual [--check]"
PAGE = ROOT / "Documentation/get_user_pages.9"
FUNCTION = "get_user_pages_legacy"


def options(parser):
    cli.option(parser, "--check", "write nothing; fail if it is not current, or groff warns of it")


def manual_page(workspace):
    """kernel-doc names all other functions of a file as well, so it gets this one alone. The date
    is that of the patch."""
    source_text = (workspace.tree / "mm/gup.c").read_text()
    function = re.search(rf"/\*\*\n \* {FUNCTION}\(\) - .*?^}}\n", source_text, re.S | re.M)
    if not function:
        raise Failure("check", f"mm/gup.c has no kernel-doc of {FUNCTION}()")
    scratch = cli.scratch()
    (scratch / "mm").mkdir()
    (scratch / "mm/gup.c").write_text(function[0])
    date = workspace.git.text("log", "-1", "--format=%ad", "--date=format:%Y-%m-%d", "-S", FUNCTION, "--", "mm/gup.c")
    done = subprocess.run([workspace.tree / "scripts/kernel-doc", "-man", "mm/gup.c"], cwd=scratch, check=False,
                          stdout=subprocess.PIPE, text=True, env=dict(os.environ, KBUILD_BUILD_TIMESTAMP=date))
    if done.returncode or not re.search(r'^\.SH "?RETURN', done.stdout, re.M):
        raise Failure("check", "scripts/kernel-doc failed", "see above")
    return '.\\" SPDX-License-Identifier: GPL-2.0\n' + done.stdout.rstrip("\n") + "\n"


def check(workspace):
    text = manual_page(workspace)
    if PAGE.read_text() != text:
        cli.indented(list(difflib.unified_diff(PAGE.read_text().splitlines(), text.splitlines(), lineterm="", n=0)), 20)
        raise Failure("check", "Documentation/get_user_pages.9 is not current", "run scripts/manual")
    warnings = subprocess.run(["groff", "-man", "-ww", "-Tutf8", str(PAGE)], check=False, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True).stderr
    if warnings:
        raise Failure("check", f"groff warns of Documentation/get_user_pages.9: {warnings.splitlines()[0]}")


def main(options):
    need("fetch", "manual")
    workspace = Workspace(source.choose(), prefix=True).prepare()
    if options.check:
        check(workspace)
        return "Documentation/get_user_pages.9 is current"
    PAGE.write_text(manual_page(workspace))
    return "Documentation/get_user_pages.9 was written"
