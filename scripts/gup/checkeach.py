# SPDX-License-Identifier: GPL-2.0
"""scripts/check --each and --fixes: what must stand alone, and what must not be missing.

Each: prefix by prefix and topic by topic, in one work tree: make builds only what a
patch changes. What passed is remembered in the cache by all that decides it, so that a new patch
costs its own prefixes only: those before it are the same as ever.
"""

import json
import pathlib
import re
import time
from typing import NamedTuple

from gup import arch, boot, cli, guest, kernel, kconfig, ktap, lacks, limits, results, series, source, splat, suites, verdict
from gup.cli import CACHE, ROOT, note
from gup.kernel import Kernel, digest
from gup.packages import need
from gup.workspace import Workspace

VERIFIED = CACHE / "verified"
REFUSE = "a verdict is to be that of the series"
CODE = [pathlib.Path(module.__file__) for module in
        (boot, guest, kernel, kconfig, ktap, lacks, limits, results, splat, suites, verdict)]


def globs_of(selection, git, commit):
    """Of a patch to suites alone these are enough; any other patch, to what they share too, has to
    pass all that there are, and so has a topic."""
    if selection.first is None:
        return [None]
    files = [name for name in git.lines("diff-tree", "--no-commit-id", "--name-only", "-r", commit)
             if name.endswith((".c", ".h"))]
    names = [re.fullmatch(r"mm/tests/(gup_.*)_kunit\.c", name) for name in files]
    return [name[1] for name in names] if names and all(names) else [None]


def one(workspace, selection, architecture, globs, jobs):
    """(lines about what is wrong, summary) of what is selected."""
    workspace.prepare(selection, refuse_local=REFUSE)
    the_kernel = Kernel(workspace, "reference", architecture, jobs)
    wanted = [(glob, the_kernel.suites(glob)) for glob in globs]
    the_kernel.build()
    warnings = the_kernel.known_warnings()
    if warnings:
        return ["compiles with warnings", *warnings[:5]], ""
    machine, summary = guest.Machine(architecture), ""
    for glob, names in wanted:
        kind, summary = results.boot(the_kernel, machine, results.new(), names, glob)
        if kind != "pass":
            return [f"FAIL({kind}): {summary}"], ""
    return [], summary


class Verified:
    """What was good before, in the cache by all that decides it."""

    def __init__(self, workspace, architecture):
        kernel_of = Kernel(workspace, "reference", architecture)
        self.fixed = digest(architecture, *kernel_of.parts(), *CODE, pathlib.Path(__file__), ROOT / "kunit/um-lacks",
                            kernel_of.boot_arguments(), guest.emulator_version(architecture))

    def check(self, checks, name, decides, run):
        """run() returns (lines about what is wrong, summary), of what decides that."""
        cli.now.stages.clear()  # those of the one before
        key = VERIFIED / digest(self.fixed, *decides)[:40]
        if key.exists():
            checks.add(name, [])
            note(f"as before: {key.read_text()}")
            return
        try:
            wrong, summary = run()
        except cli.Failure as failure:
            wrong, summary = [f"FAIL({failure.kind}): {failure.what}"], ""
        checks.add(name, wrong)
        if not wrong:
            note(summary)
            cli.write(key, summary)


def prepared(architecture):
    need("fetch", "build", *architecture.packages)
    return Workspace(source.choose(), prefix=True).prepare(refuse_local=REFUSE)


def commit_of(workspace, selection):
    """(commit, tree) of what is selected."""
    commit = series.apply_series(workspace.tree, workspace.source.base, series.Series().select(selection))
    return commit, workspace.git.text("rev-parse", f"{commit}^{{tree}}")


def each(checks, chosen, architecture, jobs):
    workspace = prepared(architecture)
    verified = Verified(workspace, architecture)
    for selection, name in chosen:
        cli.stage("each", name)
        if selection.topics and architecture is arch.UM:
            # Without topic um the tests of the others find what it mends.
            selection = series.Selection(topics=("um", *selection.topics))
        commit, tree = commit_of(workspace, selection)
        globs = globs_of(selection, workspace.git, commit)
        verified.check(checks, name, (tree, globs),
                       lambda selection=selection, globs=globs: one(workspace, selection, architecture, globs, jobs))
        workspace.unlock()  # who waits for it has a turn
    for old in VERIFIED.glob("*"):  # of old series
        if time.time() - old.stat().st_mtime > 60 * 86400:
            old.unlink()


# -------------------------------------------------------------------------------- fixes

TOPICS = ("fixes-count", "fixes-huge", "fixes", "um", "tests")


class Fix(NamedTuple):
    """A line of kunit/fixes."""
    names: tuple
    arch: str
    dies: bool
    globs: list


def fixes():
    found = []
    for line in cli.lines_of(ROOT / "kunit/fixes"):
        match = re.fullmatch(r"([^:]+): (\w+)( dies)? (\S.*)", line)
        if not match:
            raise cli.Failure("usage", f"kunit/fixes: not 'PATCH...: ARCH [dies] TEST...': {line}")
        found.append(Fix(tuple(match[1].split()), match[2], bool(match[3]), match[4].split()))
    return found


def left_out(workspace, selection, architecture, fix, jobs):
    """(lines about what is wrong, summary): the tests must fail, each of them."""
    workspace.prepare(selection, refuse_local=REFUSE)
    the_kernel = Kernel(workspace, "reference", architecture, jobs)
    the_kernel.build()
    machine, summary = guest.Machine(architecture), ""
    for glob in fix.globs:
        folder = results.new()
        kind, summary = results.boot(the_kernel, machine, folder, the_kernel.suites(glob), glob, keep_going=True)
        run = json.loads((folder / "result.json").read_text())
        failures = [f"{suite}.{name}" for suite, counts in run["suites"].items() for name in counts["failures"]]
        # Of one in which the kernel died KUnit says no name.
        console = (folder / "console.log").read_text(errors="replace")
        good = kind in ("splat", "boot") and f"# Subtest: {glob.split('.')[0]}" in console if fix.dies else (
            kind == "test" and failures and all(name.startswith(glob) for name in failures))
        if not good:
            return [f"{glob}: {kind}: {summary}"], ""
    return [], summary


def without_fixes(checks, architecture, jobs):
    workspace = prepared(architecture)
    verified, there = Verified(workspace, architecture), {entry.section for entry in series.Series().entries}
    topics = tuple(name for name in TOPICS if name in there)
    for fix in fixes():
        if fix.arch != architecture.name:
            continue
        name = "without " + " ".join(fix.names)
        cli.stage("fix", name)
        selection = series.Selection(topics=topics, without=fix.names)
        what = f"{name}, {' '.join(fix.globs)} fails"
        try:
            tree = commit_of(workspace, selection)[1]
        except cli.Failure as failure:
            checks.add(what, [failure.what])
            continue
        verified.check(checks, what, (tree, fix),
                       lambda selection=selection, fix=fix: left_out(workspace, selection, architecture, fix, jobs))
        workspace.unlock()
