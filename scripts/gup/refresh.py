# SPDX-License-Identifier: GPL-2.0
"""The commits of a tree as the files of patches/ and series."""

import collections
import itertools
import re
import tempfile

from gup import pristine
from gup.cli import ROOT, Failure, note, write
from gup.git import Git
from gup.series import PATCHES, SERIES, Applier, Series

# Every option that could come from a user's configuration is given.
DIFF = ["-p", "--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/", "--no-renames",
        "--diff-algorithm=histogram", "--indent-heuristic"]
FORMAT_PATCH = ["format-patch", "--stdout", "--zero-commit", "--no-numbered", "--no-signature", "--no-cover-letter",
                "--no-base", "--no-thread", "--no-attach", "--no-signoff", "--no-from", "--no-notes",
                "--encode-email-headers", "--subject-prefix=PATCH", *DIFF,
                "--stat=72", "--summary", "--unified=3", "--abbrev=12"]


def subject_of(content):
    """The subject of a mail-format patch, unfolded and without [PATCH]."""
    head = content.decode("utf-8", "replace").split("\n\n", 1)[0]
    found = re.search(r"^Subject: (?:\[PATCH[^]]*\] *)?(.*(?:\n[ \t].*)*)", head, re.M)
    return re.sub(r"\n[ \t]", " ", found[1]) if found else ""


def file_name(subject, taken):
    slug = re.sub(r"[^a-z0-9_]+", "-", subject.lower()).strip("-")
    if len(slug) > 60:  # cut between words
        slug = slug[:61].rpartition("-")[0] or slug[:60]
    names = itertools.chain([slug or "patch"], (f"{slug or 'patch'}-{number}" for number in itertools.count(2)))
    return next(f"{name}.patch" for name in names if f"{name}.patch" not in taken)


def increasing(values):
    """Indices of a longest non-decreasing subsequence."""
    def rank(chain):
        return len(chain), -values[chain[-1]]

    chains = []  # the longest that ends with each value
    for index, value in enumerate(values):
        before = max((chain for chain in chains if values[chain[-1]] <= value), key=rank, default=[])
        chains.append([*before, index])
    return set(max(chains, key=rank, default=[]))


def place(series, names):
    """[(block, name)] in the order of names: patches stay in their block; new
    ones, and ones moved across a section, take the block of the one before."""
    own = {entry.name: entry.block for entry in series.entries}
    known = [name for name in names if name in own]
    kept = increasing([own[name] for name in known])
    stays = {name for index, name in enumerate(known) if index in kept}
    default = series.entries[0].block if series.entries else len(series.blocks) - 1
    placed, block = [], default
    for name in names:
        block = own[name] if name in stays else block
        placed.append((block, name))
    return placed


def numbered(series, placed):
    """[(name, name with the folder of its block and its number there)]"""
    folders = {entry.block: entry.folder for entry in series.entries}
    count, names = collections.Counter(), []
    for block, name in placed:
        folder = folders.get(block, "")
        count[folder] += 1
        slug = re.sub(r"^\d{4}-", "", name.rpartition("/")[2])
        names.append((name, f"{folder}/{count[folder]:04}-{slug}" if folder else name))
    return names


def export(repo, base, head):
    """{path: content} of what series and patches/ must be for BASE..HEAD."""
    git, series = Git(repo), Series()
    if not git.good("merge-base", "--is-ancestor", base, head):
        raise Failure("tree", f"{head[:12]} does not descend from the base {base[:12]}",
                      f"rebase your commits onto it: git -C {repo} rebase")
    if git.text("rev-list", "--merges", f"{base}..{head}"):
        raise Failure("tree", "the branch holds a merge, which no patch can carry",
                      f"make it linear: git -C {repo} rebase {base[:12]}")

    # A patch whose subject is unchanged keeps its file's name.
    names = {}
    for entry in series.entries:
        if entry.path.is_file():
            names.setdefault(subject_of(entry.content()), []).append(entry.name)
    commits = git.text("rev-list", "--reverse", f"{base}..{head}").split()
    patches = {}
    for commit in commits:
        content = git.run(*FORMAT_PATCH, "-1", commit).stdout
        subject = subject_of(content)
        if names.get(subject):
            name = names[subject].pop(0)
        else:
            # A topic's name says what the subject begins with.
            short = re.sub(r"^[^ ]*: ", "", subject) if any(e.folder for e in series.entries) else subject
            name = file_name(short, {e.name for e in series.entries} | patches.keys())
        patches[name] = content
    verify(repo, base, zip(commits, patches.items()))
    placed = place(series, list(patches))
    names = numbered(series, placed)
    return {
        **{PATCHES / new: patches[old] for old, new in names},
        SERIES: series.text([(block, new) for (block, _), (_, new) in zip(placed, names)]).encode(),
        pristine.RECORD: pristine.base_record(git, base, head).encode(),
    }


def verify(repo, base, exported):
    """What was exported must give the same trees and messages back. A message
    with a line of three dashes, say, would not."""
    forms = {"contents": "%T", "message": "%B", "author": "%an %ae %at"}
    with tempfile.TemporaryDirectory() as scratch:
        applier = Applier(repo, base, scratch)
        for commit, (name, content) in exported:
            again = applier.apply(name, content)
            for what, form in forms.items():
                old, new = (applier.git.text("show", "-s", f"--format={form}", c) for c in (commit, again))
                if old != new:
                    raise Failure("tree", f"the {what} of commit {commit[:12]} would not survive as a mail ({name})",
                                  "look for lines of '---' or of a diff in its message: "
                                  f"git -C {repo} show {commit[:12]}")


def refresh(repo, base, head):
    PATCHES.mkdir(exist_ok=True)
    files = export(repo, base, head)
    gone = [e.path for e in Series().entries if e.path not in files and e.path.is_file()]
    written = [path for path, content in files.items() if write(path, content)]
    for path in gone:
        path.unlink()
    for verb, paths in (("wrote", written), ("removed", gone)):
        for path in paths:
            note(f"{verb} {path.relative_to(ROOT)}")
    if not written and not gone:
        note("nothing to change")


def different(repo, base, head):
    """What refresh() would change."""
    return [str(path.relative_to(ROOT)) for path, content in export(repo, base, head).items()
            if not path.is_file() or path.read_bytes() != content]
