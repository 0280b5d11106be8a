# SPDX-License-Identifier: GPL-2.0
"""Where the pristine kernel comes from: a tree of the user's, the cache, or the network.

Each way ends in the same form: a git object store and a parentless commit of the kernel's tree
in it, whose id depends on that tree alone.

From the network comes a kernel that has the files which patches/base records. Debian's packages
are looked through first, then the tags of kernel.org, each the newest first. If no kernel has
these files, the nearest is taken, which is the one that differs in the fewest of them, provided
that the whole series applies to it.
"""

import hashlib
import itertools
import os
import pathlib
import re
import shutil
import subprocess
from typing import NamedTuple, Optional

from gup import archive, cli, debian, pristine, series, upstream
from gup.cli import BUILD, CACHE, Failure, note
from gup.git import Git
from gup.packages import need

PRISTINE = CACHE / "linux.git"


class Source(NamedTuple):
    """A pristine kernel."""
    store: pathlib.Path
    base: str  # the commit
    origin: str
    workspace: pathlib.Path  # of the trees that are made of it
    version: str
    series: Optional[pathlib.Path] = None  # that of a folder in patches/stable, if not the one at the top
    made_on: Optional[tuple] = None  # (store, commit) of the kernel that the patches were made on, if this is another


def choose(directory=None, selection=series.ALL, merge=False):
    """That in a directory of the user's, or our own. A patch that cannot be read is told before the kernel is
    fetched. merge: theirs may be another kernel than the one that the series is made for."""
    if directory:
        folder = real_directory(directory)
        store, base, origin = from_user(directory, folder)
        workspace = BUILD / "given" / store_name(folder)
    else:
        chosen = series.Series().select(selection)
        series.Series.hash("", chosen)
        store, base, origin = from_cache()
        workspace = BUILD
    try:
        version, remark = pristine.check_base(store, base)
    except Failure as failure:
        if not merge:
            raise
        note(f"{failure.what}: what does not apply is merged, or left out (Documentation/next.md)")
        return Source(store, base, origin, workspace, pristine.version_of(Git(store), base), made_on=from_cache()[:2])
    if remark:
        cli.complain(f"       {remark}")
    return Source(store, base, origin, workspace, version)


def stable(file, directory=None):
    """What the patches of another series are for: the newest package of that kernel, or a tree of the user's.
    There is no record of files, so a newer package is taken, and a patch that does not apply to it is named."""
    the_series = series.Series(file)
    if directory:
        folder = real_directory(directory)
        store, base, origin = from_user(directory, folder)
    else:
        store, base, origin = from_cache(CACHE / f"linux-{the_series.base}.git", lambda new: newest_into(new, the_series))
    return Source(store, base, origin, BUILD / "stable" / (store_name(folder) if directory else the_series.base),
                  pristine.check_version(Git(store), base, the_series), file)


# ----------------------------------------------------------------------------- the cache

def in_cache(store):
    """The base, if it and its tree are there."""
    found = Git(store).lines("rev-parse", "refs/heads/base", "refs/heads/base^{tree}", check=False)
    return found[0] if store.is_dir() and len(found) == 2 else None


def from_cache(store=PRISTINE, into=None):
    lock = CACHE / "lock"
    cli.lock(lock)
    base = in_cache(store)
    if not base:
        fetch(store, into or fetch_into)
        base = in_cache(store)
    cli.unlock(lock)
    return store, base, (store / "origin").read_text().strip()


def fetch(store, into):
    """Into the cache. All is made in temporary places and renamed when complete, so an
    interrupted run leaves nothing that the next could take for the whole."""
    need("fetch")
    cli.need_space(CACHE, 1000, "fetch")
    cli.stage("fetch", f"the kernel into {CACHE}")
    with cli.anew(store) as new:
        subprocess.run(["git", "init", "-q", "--bare", str(new)], check=True)
        (CACHE / "download").mkdir(exist_ok=True)
        into(new)
    shutil.rmtree(CACHE / "download")  # it is in the repository now


def newest_into(new, the_series):
    """The newest of Debian's packages that can be had. Releases keep an older kernel: all are asked."""
    for candidate in debian.candidates(CACHE / "download", f"linux-source-{the_series.base}", note, too_old=()):
        try:
            commit = take(candidate, new, the_series)
        except Failure as failure:
            note(f"{candidate.title}: {failure.what}")
            continue
        keep(new, commit, candidate.title, candidate.origin)
        return
    raise Failure("fetch", f"no package of Debian has Linux {the_series.base}",
                  f"look at the network; or get Linux {the_series.base} yourself, and give it: --tree DIR")


def keep(new, commit, title, origin):
    git = Git(new)
    git.run("update-ref", "refs/heads/base", commit)
    git.run("symbolic-ref", "HEAD", "refs/heads/base")
    (new / "origin").write_text(origin + "\n")
    note(f"taken: {title}")


def fetch_into(new):
    download, recorded, version = CACHE / "download", pristine.Recorded(), series.Series().base
    chosen, commit, differ = pick(new, itertools.chain(
        debian.candidates(download, f"linux-source-{version}", note),
        upstream.candidates(download / "tags.git", version, note)), recorded)
    for crash in new.glob("fast_import_crash_*"):  # of a package that was damaged
        crash.unlink()
    origin = chosen.origin
    if differ:
        (new / "nearest").write_text("\n".join(differ) + "\n")
        origin += f", the nearest to {recorded.version}"
    keep(new, commit, chosen.title, origin)


def pick(repository, candidates, recorded):
    """(candidate, its commit, the files that differ from the recorded ones)"""
    others = []
    for candidate in candidates:
        try:
            differ = recorded.differing(lambda path: candidate.blob(repository, path))
            if not differ:
                return candidate, take(candidate, repository), differ
            note(f"{candidate.title}: differs from the recorded {recorded.version} in {', '.join(differ)}")
            others.append((candidate, differ))
        except Failure as failure:
            note(f"{candidate.title}: {failure.what}")
            cli.need_space(repository, 100, "fetch")  # the likely reason, and no other kernel would help
    for candidate, differ in sorted(others, key=lambda other: len(other[1])):
        try:
            commit = take(candidate, repository)
            series.apply_series(repository, commit, series.Series().select())
            return candidate, commit, differ
        except Failure as failure:
            note(f"{candidate.title}: {failure.what}")
    raise Failure("fetch", "no kernel source: " + (
        "the series applies to none of those that could be had" if others else
        "neither a package of Debian nor a tag of kernel.org could be had"),
        f"look at the network; or get Linux {recorded.version} yourself (kernel.org keeps every "
        f"tag, Debian's snapshot archive every package), and give it: --tree DIR")


def take(candidate, repository, the_series=None):
    """The candidate's commit; a kernel of another version is none."""
    commit = candidate.commit(repository)
    pristine.check_version(Git(repository), commit, the_series)
    return commit


# --------------------------------------------------------------------- a tree of the user's

# A checkout or clone, or an unpacked tarball. Nothing in it is written: git's optional locks
# (status would refresh the index) are off, and our objects go into a store of our own.

def real_directory(directory):
    if not os.path.isdir(directory):
        raise Failure("tree", f"--tree {directory}: no such directory", "name the top of a kernel tree")
    return pathlib.Path(directory).resolve()


def from_user(name, folder):
    makefile = folder / "Makefile"
    if not (folder / "objects").is_dir() and not (
            makefile.is_file() and re.search(r"^PATCHLEVEL *=", makefile.read_text(errors="replace"), re.M)):
        raise Failure("tree", f"--tree {name} is no kernel: it has no kernel Makefile", "name the top of a kernel tree")
    store = BUILD / "stores" / store_name(folder)
    lock = store.with_name(store.name + ".lock")
    cli.lock(lock, store)
    git = UsersGit(folder)
    base, origin = from_git(store, git, folder) if git.is_top() else from_files(store, folder)
    cli.unlock(lock)
    return store, base, origin


class UsersGit(Git):
    def __init__(self, folder):
        super().__init__(folder, GIT_OPTIONAL_LOCKS="0")

    def run(self, *arguments, **keywords):
        return super().run("-c", f"safe.directory={self.directory}", "-c", "core.fsmonitor=false", "-c", "gc.auto=0",
                           *arguments, **keywords)

    def is_top(self):
        if not self.good("rev-parse", "--git-dir"):
            return False
        return self.text("rev-parse", "--show-toplevel", check=False) in ("", self.directory)  # "": bare


def from_git(store, git, folder):
    changed = git.lines("status", "--porcelain", "--untracked-files=no", check=False)
    if changed:
        raise Failure("tree", f"--tree {folder} has uncommitted changes, first: {changed[0]}",
                      "commit or stash them: only what is committed can be named as tested")
    if git.text("config", "--get", "extensions.partialclone", check=False):
        raise Failure("tree", f"--tree {folder} is a partial clone, which may lack objects",
                      "use a full or a shallow (--depth) clone")
    tree = git.text("rev-parse", "-q", "--verify", "HEAD^{tree}", check=False)
    if not tree:
        raise Failure("tree", f"--tree {folder} has no commit checked out", "check out the version of the series there")
    if not store.is_dir():
        with cli.anew(store) as new:
            subprocess.run(["git", "init", "-q", "--bare", str(new)], check=True)
    objects = folder / git.text("rev-parse", "--git-path", "objects")
    (store / "objects/info/alternates").write_text(f"{objects.resolve()}\n")
    base = pristine.base_commit(Git(store), tree)
    Git(store).run("update-ref", "refs/heads/base", base)
    return base, f"{folder} at {git.text('rev-parse', '--short=12', 'HEAD')}"


def from_files(store, folder):
    """An unpacked tarball: imported once per state of its files."""
    if (folder / ".config").exists() or (folder / "include/config").is_dir():
        raise Failure("tree", f"--tree {folder} has been built in, which a build elsewhere cannot start from",
                      "make mrproper there, or use a clean copy")
    listing = subprocess.run(["find", ".", "-path", "./.git", "-prune", "-o", "-printf", r"%P %s %T@ %m\n"], cwd=folder,
                             check=True, capture_output=True).stdout
    state = hashlib.sha256(b"\n".join(sorted(listing.splitlines()))).hexdigest()

    if cli.text_of(store / "state") != state:
        cli.stage("import", f"{folder} (not a git repository: importing a copy)")
        with cli.anew(store) as new:
            subprocess.run(["git", "init", "-q", "--bare", str(new)], check=True)
            with subprocess.Popen(["tar", "-C", str(folder), "--exclude=./.git", "-cf", "-", "."],
                                  stdout=subprocess.PIPE) as tar:
                base = archive.import_archive(new, tar.stdout)
            if tar.returncode:
                raise Failure("tree", f"--tree {folder}: not all of it can be read", "look at what tar says")
            Git(new).run("update-ref", "refs/heads/base", base)
            (new / "state").write_text(state)
    return Git(store).text("rev-parse", "refs/heads/base"), f"{folder} (files)"


def store_name(folder):
    """Its name in build/, without what the kernel's make refuses in a path."""
    return f"{re.sub('[^A-Za-z0-9._-]', '_', folder.name)}-{hashlib.sha256(f'{folder}{chr(10)}'.encode()).hexdigest()[:8]}"
