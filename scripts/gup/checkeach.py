# SPDX-License-Identifier: GPL-2.0
"""scripts/check --each, --fixes and --stable: what must stand alone, and what must not be missing.

Each: prefix by prefix and topic by topic, in one work tree: make builds only what a
patch changes. What passed is remembered in the cache by all that decides it, so that a new patch
costs its own prefixes only: those before it are the same as ever.
"""

import collections
import json
import pathlib
import re

from gup import cli, guest, ktap, lacks, results, series, source, splat, suites, verdict
from gup.cli import CACHE, ROOT, note
from gup.kernel import Kernel, digest, remove_unused
from gup.packages import need
from gup.workspace import Workspace

VERIFIED = CACHE / "verified"
REFUSE = "a verdict is to be that of the series"


def globs_of(selection, git, commit):
    """Of a patch to suites alone these are enough; any other patch, to what they share too, has to
    pass all that there are, and so has a topic."""
    if selection.first is None:
        return [None]
    files = [name for name in git.lines("diff-tree", "--no-commit-id", "--name-only", "-r", commit)
             if name.endswith((".c", ".h"))]
    names = [re.fullmatch(r"mm/tests/(gup_.*)_kunit\.c", name) for name in files]
    return [name[1] for name in names] if names and all(names) else [None]


def passes(the_kernel, globs):
    """(lines about what is wrong, summary): it compiles without a warning, and the tests pass."""
    found = suites.suites(the_kernel.tree)
    if any(glob and found[glob].slow for glob in globs):
        globs = [None]  # a slow suite is in no normal run, this one neither
    wanted = [(glob, the_kernel.suites(glob)) for glob in globs]
    the_kernel.build()
    warnings = the_kernel.known_warnings()
    if warnings:
        return ["compiles with warnings", *warnings[:5]], ""
    machine, summary = guest.Machine(the_kernel.arch), ""
    for glob, names in wanted:
        kind, summary = results.boot(the_kernel, machine, results.new(), names, glob)
        if kind != "pass":
            return [f"FAIL({kind}): {summary}"], ""
    return [], summary


class Verified:
    """What was good before, in the cache by all that decides it."""

    def __init__(self, checks, architecture, jobs, chosen=None, config="reference"):
        need("fetch", "build", *architecture.packages)
        self.checks, self.arch, self.jobs, self.config = checks, architecture, jobs, config
        self.workspace = Workspace(chosen or source.choose(), prefix=True).prepare(refuse_local=REFUSE)
        kernel = Kernel(self.workspace, config, architecture)
        self.fixed = digest(*results.decides(kernel, ktap, lacks, results, splat, suites, verdict),
                            pathlib.Path(__file__), *sorted(lacks.FOLDER.iterdir()))

    def check(self, name, selection, decides, run):
        """decides(commit) is what decides beside the tree of what is selected; run(kernel, that) returns
        (lines about what is wrong, summary)."""
        cli.now.stages.clear()  # those of the one before
        try:
            wrong, summary = self.found(selection, decides, run)
        except cli.Failure as failure:
            wrong, summary = [f"FAIL({failure.kind}): {failure.what}"], ""
        self.checks.add(name, wrong)
        if not wrong:
            note(summary)
        self.workspace.unlock()  # who waits for it has a turn

    def found(self, selection, decides, run):
        git, base = self.workspace.git, self.workspace.source.base
        commit = series.apply_series(self.workspace.tree, base,
                                     series.Series(self.workspace.source.series).select(selection))
        decided = decides(commit)
        key = VERIFIED / digest(self.fixed, git.text("rev-parse", f"{commit}^{{tree}}"), decided)[:40]
        if key.exists():
            return [], f"as before: {key.read_text()}"
        self.workspace.prepare(selection, refuse_local=REFUSE)
        wrong, summary = run(Kernel(self.workspace, self.config, self.arch, self.jobs), decided)
        if not wrong:
            cli.write(key, summary)
        return wrong, summary


def each(checks, chosen, architecture, jobs):
    verified = Verified(checks, architecture, jobs)
    git = verified.workspace.git
    for selection, name in chosen:
        cli.stage("each", name)
        if selection.topics and architecture.folder == "um":
            # Without topic um the tests of the others find what it mends.
            selection = series.Selection(topics=("um", *selection.topics))
        verified.check(name, selection, lambda commit, selection=selection: globs_of(selection, git, commit), passes)
    remove_unused(VERIFIED)  # of old series


# -------------------------------------------------------------------------------- fixes

Fix = collections.namedtuple("Fix", "names arch dies globs")  # a line of kunit/fixes


def fixes(file=ROOT / "kunit/fixes"):
    return [Fix(tuple(names.split()), name, bool(dies), globs.split()) for names, name, dies, globs in cli.matched(
        file, r"([^:]+): ([\w-]+)( dies)? (\S.*)", "'PATCH...: ARCH [dies] TEST...'")]


def fails(the_kernel, fix):
    """(lines about what is wrong, summary): the tests must fail, each of them."""
    the_kernel.build()
    machine, summary = guest.Machine(the_kernel.arch), ""
    for glob in fix.globs:
        folder = results.new()
        kind, summary = results.boot(the_kernel, machine, folder, the_kernel.suites(glob), glob, keep_going=True)
        run = json.loads((folder / "result.json").read_text())
        failures = [f"{suite}.{name}" for suite, counts in run["suites"].items() for name in counts["failures"]]
        # Of one in which the kernel died KUnit says no name.
        console = cli.text_of(folder / "console.log")
        good = kind in ("splat", "boot") and f"# Subtest: {glob.split('.')[0]}" in console if fix.dies else (
            kind == "test" and failures and all(name.startswith(glob) for name in failures))
        if not good:
            return [f"{glob}: {kind}: {summary}"], ""
    return [], summary


def without_fixes(checks, architecture, jobs):
    """On what comes before them and the suites."""
    without(Verified(checks, architecture, jobs), fixes(), series.Selection(first=series.Series().until("tests")))


def without(verified, there, selection):
    """Each of these fixes."""
    for fix in there:
        if fix.arch == verified.arch.name:
            name = "without " + " ".join(fix.names)
            cli.stage("fix", name)
            verified.check(f"{name}, {' '.join(fix.globs)} fails", selection._replace(without=fix.names),
                           lambda _, fix=fix: fix, fails)


def stable(checks, file, architecture, jobs, directory=None):
    """An older kernel with all of its backports passes, and without each of them fails."""
    one = architecture._replace(cpus=1)  # configs/stable has no more
    verified = Verified(checks, one, jobs, source.stable(file, directory), "stable")
    name = f"all patches on Linux {verified.workspace.source.version}"
    cli.stage("stable", name)
    verified.check(f"{name}, the tests pass", series.ALL, lambda _: [None], passes)
    without(verified, fixes(file.with_name("fixes")), series.ALL)
