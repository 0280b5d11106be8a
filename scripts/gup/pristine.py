# SPDX-License-Identifier: GPL-2.0
"""The kernel that the series is made on: its version, its commit, and what patches/base records."""

import pathlib
import re

from gup.cli import Failure, text_of
from gup.git import Git, person
from gup.series import PATCHES, Series

RECORD = PATCHES / "base"


def base_commit(git, tree):
    """The commit for a kernel tree, which alone decides its id: no parent, so shallow clones do as well."""
    makefile = git.run("cat-file", "blob", f"{tree}:Makefile", check=False)
    if makefile.returncode:
        raise Failure("tree", "the archive holds no kernel: no Makefile at its top")
    version = ".".join(kernel_version(makefile.stdout.decode("utf-8", "replace")))
    nobody = person("kernel source", "kernel-source@invalid", "@0 +0000")
    return git.text("commit-tree", tree, "-m", f"Linux {version}", **nobody)


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
    return ("# SPDX-License-Identifier: GPL-2.0\n"
            "# The files that the series changes, as they were in the base it was made on.\n"
            "# Written by scripts/tree refresh; another v7.3.x will do if these are the same.\n"
            f"version {version}\n" + "".join(f"{blob} {path}\n" for path, blob in blobs.items()))


def version_of(git, base):
    return ".".join(kernel_version(git.text("show", f"{base}:Makefile")))


def check_version(git, base, the_series=None):
    """The kernel's version, which must be the series' or a stable release of it."""
    version, wanted = version_of(git, base), (the_series or Series()).base
    if version.rpartition(".")[0] != wanted:
        raise Failure("tree", f"this kernel is {version}, the series is made for v{wanted}",
                      f"use a tree of v{wanted} or v{wanted}.x; scripts/boot --tree DIR --topics LIST merges what it can")
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
    what = f"the base {version} has other contents than the recorded {recorded.version} in: {', '.join(differ)}"
    # Written by fetch, which found no kernel with the recorded files.
    if text_of(pathlib.Path(repo, "nearest")).splitlines() == differ:
        return version, f"{what}; it is the nearest that fetch found (to look again: rm -r {repo})"
    raise Failure("tree", what, "use a tree whose files match, or rebase the series and refresh it")
