# SPDX-License-Identifier: GPL-2.0
"""The kernel tree with the series applied: build/tree, one commit per patch.

  fetch    get the pristine kernel into the cache (once per user)
  apply    bring the tree to what series and patches/ say; local changes are never overwritten
  refresh  write series and patches/ from the commits in the tree
  status   base, applied patches, local changes, difference to patches/
"""

from gup import cli, refresh, series, source
from gup.cli import Failure, note
from gup.packages import need
from gup.workspace import BRANCH, Workspace

VERBS = ("fetch", "apply", "refresh", "status")


def options(parser):
    parser.add_argument("verb", metavar="VERB", choices=VERBS, help=", ".join(VERBS))
    cli.option(parser, "--tree DIR", "use the kernel in DIR (a clone, a checkout or an unpacked tarball of the "
               "series' version) as the base; nothing in DIR is changed")


def apply(workspace):
    workspace.prepare()
    kernel = workspace.source
    note(f"{series.count()} patches applied to Linux {kernel.version} ({kernel.origin}) in {workspace.tree}")


def refuse_unfinished(workspace):
    """Only what is committed on our branch becomes patches."""
    tree = workspace.tree
    for busy in ("rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD", "MERGE_HEAD"):
        if (tree / ".git" / busy).exists():
            raise Failure("tree", f"{tree} is in the middle of a rebase or a merge ({busy})",
                          "finish or abort it there, then refresh")
    if workspace.git.text("symbolic-ref", "-q", "--short", "HEAD", check=False) != BRANCH:
        raise Failure("tree", f"{tree} is not on its branch {BRANCH}", f"git -C {tree} checkout {BRANCH}, then refresh")
    dirty = workspace.dirty()
    if dirty:
        raise Failure("tree", f"{tree} has uncommitted changes, first: {dirty[0]}",
                      "commit them there (git commit --fixup and git rebase -i --autosquash help), then refresh")


def write_patches(workspace):
    """The tree must stand on the series as it is on disk; otherwise patches that somebody else
    changed would be overwritten."""
    workspace.prepare()
    refuse_unfinished(workspace)
    cli.stage("refresh", f"patches/ and series from {workspace.tree}")
    base, head = workspace.source.base, workspace.head
    refresh.refresh(workspace.tree, base, head)
    # What was written is what the tree holds, by construction.
    workspace.set_state(hash=series.Series.hash(base, series.Series().select()), head=head)


def status(workspace):
    kernel, git, the_series = workspace.source, workspace.git, series.Series()
    print(f"base       Linux {kernel.version}, {kernel.origin}\n           commit {kernel.base}")
    print(f"series     {len(the_series.entries)} patches, made for v{the_series.base}")
    if not workspace.tree.is_dir():
        print("tree       not made yet: scripts/tree apply")
        return
    state, dirty, head = workspace.state(), workspace.dirty(), workspace.current()
    applied = git.lines("log", "--reverse", "--format=%s", f"{kernel.base}..{state['head'] or 'HEAD'}", check=False)
    print(f"tree       {workspace.tree} at {git.text('log', '-1', '--format=%h %s')}")
    print(f"applied    {len(applied)} patches")
    cli.indented(applied, indent=13 * " ")
    if head == state["head"] and not dirty:
        print("local      no changes")
    else:
        print("local      changes:")
        cli.indented(git.lines("log", "--reverse", "--format=commit %h %s", f"{state['head']}..HEAD"), indent=13 * " ")
        cli.indented([line.strip() for line in dirty], 20, 13 * " ")
    current = series.Series.hash(kernel.base, the_series.select()) == state["hash"]
    print("patches/   " + ("as applied" if current else "changed since they were applied: scripts/tree apply"))


def main(options):
    need("fetch")
    workspace = Workspace(source.choose(options.tree))
    kernel = workspace.source
    if options.verb == "fetch":
        note(f"Linux {kernel.version} ({kernel.origin}), commit {kernel.base}")
    else:
        {"apply": apply, "refresh": write_patches, "status": status}[options.verb](workspace)
