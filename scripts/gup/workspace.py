# SPDX-License-Identifier: GPL-2.0
"""Workspaces: a kernel tree with patches of the series as commits, and the O= directories that
were built from it.

    build/                 the whole series; build/tree is the one to edit
    build/prefix/          what --only, --topics, check --each, mutants and test switch around in
    build/given/<name>/    the same for a --tree DIR (with its own prefix/)

Each holds tree/, o/<configuration>/ and "state": what we put into tree/. The relative path from
O= to tree/ is the same in all, so ccache serves them all.
"""

import json
import subprocess
import time

from gup import cli, series
from gup.cli import Failure, note
from gup.git import Git

BRANCH = "gup"


class Workspace:
    """After prepare(): "head" is what is checked out, "hash" that of the series in it, and
    "local" what was changed locally ("" if nothing)."""

    def __init__(self, source, prefix=False):
        self.source = source
        self.folder = source.workspace / "prefix" if prefix else source.workspace
        self.tree, self.state_file, self.merged = (self.folder / name for name in ("tree", "state", "merged.json"))
        self.git = Git(self.tree)
        self.selection, self.head, self.hash, self.local = series.ALL, "", "", ""

    # ----------------------------------------------------------------------- the state file

    def state(self):
        found = dict(line.split("=", 1) for line in cli.text_of(self.state_file).splitlines())
        return {"hash": "", "head": "", "switching": "", "to": "", **found}

    def set_state(self, **values):
        cli.write(self.state_file, "".join(f"{key}={value}\n" for key, value in
                                           {"base": self.source.base, **values}.items()))

    def current(self):
        return self.git.text("rev-parse", "HEAD")

    def dirty(self):
        return self.git.lines("status", "--porcelain")

    def lock(self):
        cli.lock(self.folder / "lock", self.folder)

    def unlock(self):
        cli.unlock(self.folder / "lock")

    # ------------------------------------------------------------------------------ applying

    def prepare(self, selection=series.ALL, refuse_local=None):
        """Bring the tree to the selected patches, or leave it where the user has changed it.
        refuse_local: why that would not do."""
        self.selection, self.local = selection, ""
        self.lock()
        chosen = series.Series(self.source.series).select(selection)
        if self.source.made_on:
            chosen += series.for_the_suites(self.source.version, chosen)
        self.hash = series.Series.hash(self.source.base, chosen)
        self.create()
        self.drop_mutant()
        self.finish_switch()
        state = self.state()
        self.head, dirty = self.current(), self.dirty()
        if state["hash"] == self.hash and self.is_told():
            self.describe_local(state["head"], dirty)
        else:
            cli.stage("apply", f"{series.count(self.source.series)} patches in series" + (f", selected: {selection}" if str(selection) else ""))
            self.bring_to(self.apply(chosen), state, dirty)
        if self.local and refuse_local:
            raise Failure("tree", f"{self.tree} has {self.local}, and {refuse_local}",
                          f"keep what you need of it and remove {self.folder}; it is made anew")
        return self

    def apply(self, chosen):
        """The commit, which on another kernel than the series' holds what could be merged; MERGED tells."""
        if not self.source.made_on:
            return series.apply_series(self.tree, self.source.base, chosen)
        store, base = self.source.made_on
        self.borrow(self.tree, store, self.source.store)
        series.apply_series(self.tree, base, series.Series().select())  # for the files that a merge is made from
        head, found = series.merge_series(self.tree, self.source.base, chosen)
        cli.save(self.merged, {"hash": self.hash, "found": found})
        return head

    def is_told(self):
        """Is MERGED, where there has to be one, about this series? A run that was stopped may have written it."""
        return not self.source.made_on or self.merged.exists() and json.loads(self.merged.read_text())["hash"] == self.hash

    def bring_to(self, new, state, dirty):
        if self.head == state["head"] and not dirty:
            self.switch_to(new)
            self.head = new
        elif self.stands_on(new, state["head"]):
            self.set_state(hash=self.hash, head=new)
            self.describe_local(new, dirty)
        else:
            self.refuse_diverged(new, state["head"], dirty)

    def stands_on(self, new, old):
        """Have the user's commits been rebased from the series as it was to the series as it
        is? Where patches were removed from the end, new is below old, and a tree that still
        holds old has not been."""
        def below(one, other):
            return self.git.good("merge-base", "--is-ancestor", one, other)
        return below(new, "HEAD") and not (below(new, old) and below(old, "HEAD"))

    def describe_local(self, head, dirty):
        found = ["commits other than the series'"] if self.head != head else []
        self.local = " and ".join(found + ["uncommitted changes"] * bool(dirty))
        if self.local:
            note(f"tree has local changes ({self.local}): they are built as they are in {self.tree}")

    def refuse_diverged(self, new, old, dirty):
        self.git.run("branch", "-qf", "series-on-disk", new)
        rebase = f"git -C {self.tree} rebase --onto series-on-disk {old[:12]}"
        what, step = ("uncommitted changes", f"commit or stash there, then: {rebase}") if dirty else (
            "commits of its own", f"{rebase}, then scripts/tree refresh")
        raise Failure("tree", f"series or patches/ changed, and {self.tree} has {what}: neither is overwritten", step)

    # -------------------------------------------------------------------------- the work tree

    def has_base(self):
        return self.git.good("cat-file", "-e", f"{self.source.base}^{{tree}}")

    def create(self):
        """A repository of our own that borrows the objects of the store."""
        if self.tree.is_dir():
            if not self.has_base():
                # The cache was emptied, or DIR moved on: borrow from where the base is now.
                self.borrow(self.tree)
            if not self.has_base():
                raise Failure("tree", f"{self.tree} cannot find its base {self.source.base}",
                              "move it away; it will be made anew")
            return
        cli.stage("tree", f"checking out {self.source.origin}")
        cli.need_space(self.folder, 2500)
        with cli.anew(self.tree) as new:
            subprocess.run(["git", "init", "-q", "-b", BRANCH, str(new)], check=True)
            self.borrow(new)
            git = Git(new)
            git.run("config", "checkout.workers", "0")
            git.run("config", "core.untrackedCache", "true")
            if not git.good("reset", "-q", "--hard", self.source.base):
                raise Failure("environment", f"the kernel tree could not be written to {new}", "look at the disk space")
            # First what is in it: a tree without that would look like a user's own.
            self.set_state(hash="none", head=self.source.base)

    def borrow(self, tree, *stores):
        objects = [store / "objects" for store in stores or [self.source.store]]
        further = [cli.text_of(folder / "info/alternates") for folder in objects]  # git follows alternates, but only so deep
        (tree / ".git/objects/info/alternates").write_text("".join(f"{folder}\n" for folder in objects) + "".join(further))

    def switch_to(self, commit):
        """Only files that differ are written, all others keep their times, so make rebuilds no
        more than it must. The tree is known to be clean."""
        head = self.state()["head"]
        self.set_state(hash="none", head=head, switching=commit, to=self.hash)
        done = self.git.run("checkout", "-q", "-B", BRANCH, commit, check=False)
        if done.returncode:
            cli.complain(done.stderr.decode("utf-8", "replace").rstrip())
        if 0 < done.returncode < 128:
            # git has refused, and changed nothing: somebody edits the tree right now.
            self.set_state(hash="none", head=head)
            raise Failure("tree", f"git would not check out the series in {self.tree}",
                          "commit or stash what is there, and try again")
        done.check_returncode()
        self.set_state(hash=self.hash, head=commit)

    def finish_switch(self):
        """The last run was stopped in switch_to()."""
        state = self.state()
        if not state["switching"]:
            return
        note("finishing the checkout that was interrupted")
        for name in ("index.lock", "HEAD.lock"):
            (self.tree / ".git" / name).unlink(missing_ok=True)
        self.save_dirty()
        self.git.run("checkout", "-q", "-f", "-B", BRANCH, state["switching"])
        self.set_state(hash=state["to"], head=state["switching"])

    def save_dirty(self):
        """Half of an interrupted checkout, most likely; but if somebody has edited the tree
        since, it is not lost."""
        saved = self.git.text("stash", "create", check=False)
        if saved:
            ref = time.strftime("refs/saved/%Y%m%d-%H%M%S")
            self.git.run("update-ref", ref, saved)
            note(f"what was in the tree is kept: git -C {self.tree} diff HEAD {ref}")

    # scripts/mutants puts one into the tree and takes it out again, or the next run does. The
    # mark is there for as long as what is in the tree is nobody's work.

    def mark_mutant(self):
        (self.folder / "mutant").touch()

    def drop_mutant(self):
        if (self.folder / "mutant").exists():
            (self.tree / ".git/index.lock").unlink(missing_ok=True)
            self.git.run("reset", "-q", "--hard")
            (self.folder / "mutant").unlink()
