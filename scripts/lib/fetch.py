# SPDX-License-Identifier: GPL-2.0
"""fetch.py CACHE: the pristine kernel into CACHE/linux.git.new, from wherever it still is.

The kernel must have the files that patches/base records. Debian's packages are looked
through first, then the tags of kernel.org, each the newest first. If no kernel has these
files, the nearest is taken, which is the one that differs in the fewest of them, provided
that the whole series applies to it.
"""

import itertools
import pathlib
import shutil
import subprocess
import sys

import debian
import series
import upstream
from common import Failure, Git, main


def say(text):
    print(f"       {text}", flush=True)


def refuse_full_disk(folder):
    """The likely reason of an import that failed, and no other kernel would help."""
    free = shutil.disk_usage(folder).free >> 20
    if free < 100:
        raise Failure("fetch", f"not enough disk space: {folder} has {free} MiB free",
                      "free some space there and run the same command again")


def choose(repository, candidates, recorded):
    """(candidate, its commit, the files that differ from the recorded ones)"""
    others = []
    for candidate in candidates:
        try:
            differ = recorded.differing(lambda path: candidate.blob(repository, path))
            if not differ:
                return candidate, take(candidate, repository), differ
            say(f"{candidate.title}: differs from the recorded {recorded.version} in {', '.join(differ)}")
            others.append((candidate, differ))
        except Failure as failure:
            say(f"{candidate.title}: {failure.what}")
            refuse_full_disk(repository)
    for candidate, differ in sorted(others, key=lambda other: len(other[1])):
        try:
            commit = take(candidate, repository)
            whole = series.Series()
            series.apply_series(repository, commit, whole.select())
            return candidate, commit, differ
        except Failure as failure:
            say(f"{candidate.title}: {failure.what}")
    raise Failure("fetch", "no kernel source: " + (
        "the series applies to none of those that could be had" if others else
        "neither a package of Debian nor a tag of kernel.org could be had"),
        f"look at the network; or get Linux {recorded.version} yourself (kernel.org keeps every "
        f"tag, Debian's snapshot archive every package), and give it: --tree DIR")


def take(candidate, repository):
    """The candidate's commit; a kernel of another version is none."""
    commit = candidate.commit(repository)
    series.check_version(Git(repository), commit)
    return commit


def run():
    cache = pathlib.Path(sys.argv[1])
    new, download = cache / "linux.git.new", cache / "download"
    download.mkdir(exist_ok=True)
    subprocess.run(["git", "init", "-q", "--bare", str(new)], check=True)
    recorded, version = series.Recorded(), series.Series().base
    chosen, commit, differ = choose(new, itertools.chain(
        debian.candidates(download, f"linux-source-{version}", say),
        upstream.candidates(download / "tags.git", version, say)), recorded)
    for crash in new.glob("fast_import_crash_*"):  # of a package that was damaged
        crash.unlink()
    git = Git(new)
    git.run("update-ref", "refs/heads/base", commit)
    git.run("symbolic-ref", "HEAD", "refs/heads/base")
    origin = chosen.origin
    if differ:
        (new / "nearest").write_text("\n".join(differ) + "\n")
        origin += f", the nearest to {recorded.version}"
    (new / "origin").write_text(origin + "\n")
    say(f"taken: {chosen.title}")
    return 0


if __name__ == "__main__":
    main(run)
