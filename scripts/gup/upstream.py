# SPDX-License-Identifier: GPL-2.0
"""The kernel from kernel.org by git: the release and the stable ones after it."""

import re
import shutil
import subprocess

from gup import pristine
from gup.cli import Failure
from gup.git import Git

STABLE = "https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git"
# A transfer that stands still is ended; a slow one may take its time.
PATIENCE = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60")


def ask(git, *arguments):
    """git against the server; raises what it says if it fails."""
    result = git.run(*PATIENCE, *arguments, check=False)
    if result.returncode:
        lines = result.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Failure("fetch", lines[0] if lines else "git gave no reason")
    return result.stdout.decode()


def candidates(scratch, version, say):
    """The tags v<version> and v<version>.N, the newest first."""
    shutil.rmtree(scratch, ignore_errors=True)
    subprocess.run(["git", "init", "-q", "--bare", str(scratch)], check=True)
    git = Git(scratch)
    try:
        listed = ask(git, "ls-remote", "--tags", STABLE, f"v{version}", f"v{version}.*")
        names = set(re.findall(rf"refs/tags/(v{re.escape(version)}(?:\.\d+)?)$", listed, re.M))
        if not names:
            raise Failure("fetch", f"it has no tag v{version}")
        # Directories alone are a few megabytes, and tell which files a tag holds.
        ask(git, "fetch", "-q", "--depth", "1", "--filter=blob:none", STABLE,
            *(f"refs/tags/{name}:refs/tags/{name}" for name in names))
    except Failure as failure:
        say(f"kernel.org: {failure.what}")
        return
    for name in sorted(names, key=lambda name: [int(n) for n in name[1:].split(".")], reverse=True):
        yield Tag(scratch, name)


class Tag:
    """One tag, of which only the directories are here."""

    def __init__(self, scratch, name):
        self.scratch, self.name = scratch, name
        self.title = self.origin = f"kernel.org tag {name}"

    def blob(self, _, path):
        return Git(self.scratch).blob(self.name, path)

    def commit(self, repository):
        git = Git(repository)
        ask(git, "fetch", "-q", "--depth", "1", STABLE, f"refs/tags/{self.name}")
        return pristine.base_commit(git, git.text("rev-parse", "FETCH_HEAD^{tree}"))
