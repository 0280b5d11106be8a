# SPDX-License-Identifier: GPL-2.0
"""The kernel that the series is made on: its version, its commit, and what patches/base records."""

import pathlib
import re

from gup.cli import Failure, text_of
from gup.git import Git
from gup.series import PATCHES, Series

RECORD = PATCHES / "base"
# A base commit names nobody and no time: only the tree decides its id.
NOBODY = {
    "GIT_AUTHOR_NAME": "kernel source",
    "GIT_AUTHOR_EMAIL": "kernel-source@invalid",
    "GIT_AUTHOR_DATE": "@0 +0000",
    "GIT_COMMITTER_NAME": "kernel source",
    "GIT_COMMITTER_EMAIL": "kernel-source@invalid",
    "GIT_COMMITTER_DATE": "@0 +0000",
}


def base_commit(git, tree):
    """The commit for a kernel tree: no parent, so shallow clones do as well."""
    makefile = git.run("cat-file", "blob", f"{tree}:Makefile", check=False)
    if makefile.returncode:
        raise Failure("tree", "the archive holds no kernel: no Makefile at its top")
    version = ".".join(kernel_version(makefile.stdout.decode("utf-8", "replace")))
    return git.text("commit-tree", tree, "-m", f"Linux {version}", **NOBODY)


def kernel_version(makefile):
    """(VERSION, PATCHLEVEL, SUBLEVEL) of a kernel's Makefile."""
    found = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL) *= *(\d+)$", makefile, re.M))
    if len(found) != 3:
        raise Failure("tree", "no kernel: its Makefile has no VERSION, PATCHLEVEL, SUBLEVEL")
    return found["VERSION"], found["PATCHLEVEL"], found["SUBLEVEL"]


class Recorded:
    """patches/base: the blobs of the files that the series changes, and of which version."""

    def __init__(self):
        pairs = [line.split(None, 1) for line in text_of(RECORD).splitlines() if not line.startswith("#")]
        self.blobs = {path: blob for blob, path in pairs if blob != "version"}
        self.version = dict(pairs).get("version", f"{Series().base}.x")

    def differing(self, blob_of):
        """The files of which blob_of(path) is not as recorded."""
        return [path for path, blob in self.blobs.items() if blob_of(path) != blob]


def base_record(git, base, head):
    """The blobs of the files that the series changes and the base already has."""
    touched = git.text("diff", "--name-only", "--no-renames", base, head).splitlines()
    blobs = {path: blob for path in sorted(touched) if (blob := git.blob(base, path))}
    recorded = Recorded()
    # Another stable release with the same files is no other base.
    version = recorded.version if RECORD.exists() and blobs == recorded.blobs else version_of(git, base)
    lines = ["# SPDX-License-Identifier: GPL-2.0",
             "# The files that the series changes, as they were in the base it was made on.",
             "# Written by scripts/tree refresh; another v7.3.x will do if these are the same.",
             f"version {version}",
             *(f"{blob} {path}" for path, blob in blobs.items())]
    return "".join(line + "\n" for line in lines)


def version_of(git, base):
    return ".".join(kernel_version(git.text("show", f"{base}:Makefile")))


def check_version(git, base):
    """The kernel's version, which must be the series' or a stable release of it."""
    version, wanted = version_of(git, base), Series().base
    if version.rpartition(".")[0] != wanted:
        raise Failure("tree", f"this kernel is {version}, the series is made for v{wanted}",
                      f"use a tree of v{wanted} or v{wanted}.x")
    return version


def check_base(repo, base):
    """(its version, a remark or None): it must be the series', its files the recorded ones."""
    git, recorded = Git(repo), Recorded()
    version = check_version(git, base)
    if not RECORD.exists():
        return version, "no patches/base yet: nothing to compare the base with"
    differ = recorded.differing(lambda path: git.blob(base, path))
    if not differ:
        return version, None
    what = (f"the base {version} has other contents than the recorded {recorded.version} in: "
            f"{', '.join(differ)}")
    # Written by fetch, which found no kernel with the recorded files.
    nearest = pathlib.Path(repo, "nearest")
    if text_of(nearest).splitlines() == differ:
        return version, f"{what}; it is the nearest that fetch found (to look again: rm -r {repo})"
    raise Failure("tree", what, "use a tree whose files match, or rebase the series and refresh it")
