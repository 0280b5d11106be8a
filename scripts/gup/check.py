# SPDX-License-Identifier: GPL-2.0
"""Everything about the series and this repository that can be seen without running a test. Without an
option: --static and --kernel. In files that the base has already, only new warnings count.
"""

import re

from gup import arch, checkeach, checkkernel, cli, kernel, series, static
from gup.cli import ROOT, wrong
from gup.counts import Checks
from gup.packages import need

EXCLUDE = ("--arch --static --kernel", "--stable --static --kernel --each --fixes --part")


def options(parser):
    add = cli.option
    add(parser, "--static", "this repository: shellcheck, SPDX tags, series against patches/")
    add(parser, "--kernel", "the patches: refresh changes nothing, each topic applies on what it stands on, and the rest "
        "without it, quilt and git make the same of the series; checkpatch --strict, sparse and W=1 on the files they "
        "touch, kernel-doc, MAINTAINERS, manual pages and their examples, Sphinx on the documents, litmus tests and the "
        "functions that they model, and mm/gup.o and the tests compile where the kernel has little")
    add(parser, "--each", "with each patch the series builds without a warning, boots and passes, and so does each topic "
        "on what it stands on; those that did before are not done again (~/.cache/gup-series/verified)")
    add(parser, "--fixes", "without each fix of kunit/fixes the tests named there fail")
    add(parser, "--part I/N", "for --each, every N-th of these, beginning with the I-th; auto/N: I depends on the series alone, so "
        "that each state of it gets one part")
    add(parser, "--stable VERSION", "the backports of patches/stable/VERSION: Debian's newest kernel of that version passes the "
        "tests with all of them, and fails without each (Documentation/stable.md)", series.stable)
    add(parser, "--tree DIR", "for --stable: your own tree of that version, which is not changed")
    add(parser, "--arch NAME", f"for --each, --fixes and --stable, one of: {' '.join(arch.ARCHES)}. On um the suites run from the patch on that "
        "lets them; those before it are built and booted", arch.named)
    add(parser, "--jobs N", f"compile with N jobs ({cli.CPUS})", cli.jobs, default=cli.CPUS)


def check_static(checks):
    need("fetch", "check")
    cli.stage("static", "this repository")
    for name in static.files():
        if re.match(r"#!/bin/(ba)?sh\b", static.text(name)):
            checks.add(f"shellcheck {name}", wrong(["shellcheck", "-x", "-a", ROOT / name]))
    for name, check in static.CHECKS.items():
        checks.run(name, lambda check=check: list(check()))
    checks.add("codespell", wrong(["codespell", "-q", "3", "-L", "extraversion,iput",
                                  *(str(ROOT / name) for name in ("scripts", "configs", "kunit", "README.md"))]))


def main(options):
    if options.part and not options.each:
        raise cli.usage("--part is for --each")
    if options.arch and not (options.each or options.fixes or options.stable):
        raise cli.usage("--arch is for --each, --fixes and --stable")
    if options.tree and not options.stable:
        raise cli.usage("--tree is for --stable")
    if options.stable:
        kernel.check_arch("stable", options.arch or arch.X86)
    chosen = series.part(series.each(series.Series()), options.part or "1/1") if options.each else []
    checks = Checks()
    neither = not (options.static or options.kernel or options.each or options.fixes or options.stable)
    if options.static or neither:
        check_static(checks)
    if options.kernel or neither:
        checkkernel.check(checks, options.jobs)
    if options.each:
        checkeach.each(checks, chosen, options.arch or arch.X86, options.jobs)
    if options.fixes:
        checkeach.without_fixes(checks, options.arch or arch.X86, options.jobs)
    if options.stable:
        checkeach.stable(checks, options.stable, options.arch or arch.X86, options.jobs, options.tree)
    cli.stage_end()
    checks.conclude()
