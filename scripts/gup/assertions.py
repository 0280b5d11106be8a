# SPDX-License-Identifier: GPL-2.0
"""scripts/mutants --assertions: does the test fail when an assertion that it reaches does not hold?

kunit/perturb.h, which each file of mm/tests includes here, numbers the assertions and lets the one that is named on
the command line see the opposite of what it sees. One boot tells which test is the first to reach each; then each is
tried with that test alone (mutantjob.py). It is reached then, and its report arrives; what in mm/gup.c makes it
fail is for mutants to show. What no test reaches is listed: on UML that is what kunit/lacks/um leaves out, and
KUNIT_FAIL(), which a failure alone reaches.
"""

import re
import shutil

from gup import cli, contract, generated, mutantfile, splat
from gup.cli import BUILD, ROOT, note

HEADER = ROOT / "kunit/perturb.h"
MAIN = "gup_kunit_lib.c"
SITE = re.compile(r"gup_site (\d+) (\S+:\d+) (\d+) (\S+)")


class Site:
    """An assertion: its number, where it is, how often it was reached, and by which test first."""

    def __init__(self, number, where, hits, test):
        self.number, self.where, self.hits, self.test = int(number), where, int(hits), test


class Subject:
    """The suites with their assertions numbered, and the folder from which these are tried."""

    def __init__(self, the_kernel):
        self.kernel, self.folder = the_kernel, BUILD / "assertions" / the_kernel.arch.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.build()

    def build(self):
        workspace, log = self.kernel.workspace, self.folder / "build.log"
        (self.kernel.out / "built").unlink(missing_ok=True)
        workspace.mark_mutant()
        for path in sorted((self.kernel.tree / "mm/tests").glob("gup_*.c")):
            path.write_text(numbered(path.read_text(), path.name == MAIN))
        status = self.kernel.make(log, self.kernel.image.name)
        workspace.drop_mutant()
        if status:
            self.kernel.explain(log)
        shutil.copy(self.kernel.image, self.folder / "image")

    def sites(self):
        """Of a boot in which no assertion is perturbed. For the others a job is left in the folder."""
        image = self.folder / "image"
        expected, lines = generated.unmutated(self.kernel, image)
        found = [Site(*match.groups()) for match in map(SITE.search, map(splat.plain, lines)) if match]
        suites = {test: suite for suite, test in contract.read("".join(lines))}
        first = {site.number: f"{suites[site.test]}.{site.test}" for site in found if site.hits}
        cli.save(self.folder / "boot.json", generated.boot_job(self.kernel, image, expected, first))
        return found


def numbered(text, main):
    """A file of mm/tests that includes HEADER after its last header. No line moves."""
    last = list(re.finditer(r"^#include .*\n(#endif.*\n)?", text, re.M))[-1].end()
    define = "#define GUP_PERTURB_MAIN\n" if main else ""
    return f'{text[:last]}{define}#include "{HEADER}"\n#line {text.count(chr(10), 0, last) + 1}\n{text[last:]}'


def main(options):
    the_kernel = mutantfile.prepared_kernel(options, "parallel")
    the_kernel.configure()
    cli.stage("build", "the suites with their assertions numbered")
    subject = Subject(the_kernel)
    cli.stage("boot", "which assertions are reached")
    sites = subject.sites()
    reached = [site for site in sites if site.hits]
    for site in sites:
        if not site.hits:
            note(f"not reached: {site.where}")
    cli.stage("boot", f"{len(reached)} assertions, one at a time")
    silent = []
    for number, (site, found) in enumerate(generated.spread(subject, "boot", reached, options.jobs), 1):
        if found["verdict"] != "killed" or site.test not in found["by"]:
            silent.append(site)
            print(f"  {found['verdict']}: {site.where} in {site.test} {found['by']}")
        if number % generated.STEP == 0:
            cli.stage("boot", f"{number} of {len(reached)}")
    print(f"{len(reached) - len(silent)} passed, {len(silent)} failed", flush=True)
    text = f"{len(reached)} assertions fail their test, {len(sites) - len(reached)} were not reached"
    return cli.passed("test" if silent else "pass", f"{len(silent)} assertions do not fail their test" if silent else text)
