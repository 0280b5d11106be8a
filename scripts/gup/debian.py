# SPDX-License-Identifier: GPL-2.0
"""Debian's packages of the kernel source, from every suite of the mirror.

A newer package replaces an older one, in each suite at its own time. So the one that
the series was made on may be gone from one suite and still be in another.

apt is given lists and folders of its own: nothing under /etc/apt or /var/lib/apt
changes. Of the machine's own lists only the address of the mirror is used.
"""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

from gup import archive as archives
from gup import cli
from gup.cli import Failure
from gup.git import Git

# Releases by code name, because that says more, and by role for those to come.
RELEASES = ("trixie", "forky", "duke", "oldstable", "stable", "testing")
POCKETS = ("", "-backports", "-backports-sloppy", "-updates", "-proposed-updates")
SUITES = ("sid", "unstable", "experimental", *(r + p for r in RELEASES for p in POCKETS))
# Released with an older kernel, which they keep: their long lists need not be fetched.
# Their backports are another matter.
TOO_OLD = ("bullseye", "bookworm", "trixie")

HELPER = "/usr/lib/apt/apt-helper"
# What apt says of a suite that a mirror simply does not have.
NOT_THERE = re.compile(r"404|not found|no such file", re.I)
# What apt would fetch first: mirror, suite, and the name of its file in the lists.
RELEASE = re.compile(r"^'(\S+/)dists/([^/]+)/InRelease' (\S+)", re.M)


class Apt:
    """apt-get and apt-cache with sources, lists and cache in a folder of their own.

    target says which lists update() fetches, in apt's words. There are none of one that
    apt does not know: "none" means the Release files alone."""

    def __init__(self, folder, target):
        self.folder, self.target = pathlib.Path(folder), target
        for part in ("lists/partial", "archives/partial"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        self.options = [word for option in (
            f"Dir::Etc::sourcelist={self.folder}/sources.list", "Dir::Etc::sourceparts=/dev/null",
            f"Dir::State::Lists={self.folder}/lists", f"Dir::Cache={self.folder}",
            # Containers often have none, and then each call reads all lists again.
            "Dir::Cache::pkgcache=pkgcache.bin", "Dir::Cache::srcpkgcache=srcpkgcache.bin",
            "APT::Sandbox::User=root", "Acquire::Languages=none",
            "Acquire::Retries=2", "Acquire::http::Timeout=30", "Acquire::https::Timeout=30",
        ) for word in ("-o", option)]

    def run(self, program, *words):
        """What it printed. In "/", for apt-get download looks at what is there."""
        _, lines = cli.said([program, "-q", *self.options, *words], cwd="/", env=dict(os.environ, LC_ALL="C"))
        output = "".join(f"{line}\n" for line in lines)
        with open(self.folder / "apt.log", "a", encoding="utf-8") as log:
            log.write(f"$ {program} {' '.join(words)}\n{output}")
        return output

    def update(self, places, arches=""):
        """{reason: [suite]} of what could not be fetched for these [(mirror, suite)]. arches: others than this
        machine's, with commas."""
        options = f"target={self.target}" + (f" arch={arches}" if arches else "")
        (self.folder / "sources.list").write_text("".join(
            f"deb [{options}] {mirror} {suite} main\n" for mirror, suite in places))
        failed = {}
        for suite, reason in errors(self.run("apt-get", "update")):
            failed.setdefault(reason, []).append(suite)
        return failed

    def download(self, name, path):
        """A package, by name or name=version. apt-get download would start again where apt-helper continues, and
        would take what is there already if only its size is right."""
        output = self.run("apt-get", "download", "--print-uris", name)
        found = re.search(r"^'(\S+)' \S+ (\d+) (SHA\d+):(\w+)", output, re.M)
        if not found:
            raise Failure("fetch", f"could not be downloaded: {first_error(output)}")
        uri, size, kind, digest = found.groups()
        for _ in range(2):  # again, if what an interrupted run has left was damaged
            if kept(path, int(size), kind, digest):
                return path
            output = self.run(HELPER, "download-file", uri, str(path), f"{kind}:{digest}")
        if not kept(path, int(size), kind, digest):
            raise Failure("fetch", f"could not be downloaded: {first_error(output)}")
        return path

    def codenames(self):
        """{(mirror, suite): code name} of those whose Release file is here."""
        found = {}
        for mirror, suite, name in RELEASE.findall(self.run("apt-get", "update", "--print-uris")):
            texts = (cli.text_of(self.folder / "lists" / file) for file in (name, name.replace("InRelease", "Release")))
            codename = re.search(r"^Codename: (\S+)", "".join(texts), re.M)
            if codename:
                found[mirror, suite] = codename[1]
        return found


def kept(path, size, kind, digest):
    """Is all of it here? What is complete and wrong is removed."""
    if not path.exists() or path.stat().st_size < size:
        return False
    with path.open("rb") as package:
        if hashlib.file_digest(package, kind.lower()).hexdigest() == digest:
            return True
    path.unlink()
    return False


def errors(output):
    """[(suite, reason)] of what apt printed."""
    return re.findall(r"^Err:\d+ \S+ ([^\s/]+).*\n  (.+)$", output, re.M)


def first_error(output):
    """The reason alone, for what has but one."""
    reasons = [reason for _, reason in errors(output)] + re.findall(r"^E: (.*)", output, re.M)
    return reasons[0] if reasons else "apt gave no reason"


def mirrors():
    """{mirror: one of its suites}: the archives that this machine's apt already uses."""
    def ask(*words):
        return subprocess.run(["apt-get", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True, check=False).stdout

    listed = ask("indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)|$(RELEASE)", "Created-By: Packages")
    known = re.findall(r"^Debian\|Debian\|(.*)\|(.*)$", listed, re.M)
    # No lists yet (a new machine): no origins are known, go by the names.
    return dict(known or ((mirror, suite) for mirror, suite, _ in RELEASE.findall(ask("update", "--print-uris"))
                          if mirror.endswith("/debian/")))


def suites(apt, mirror, known, say, too_old=TOO_OLD):
    """[(mirror, suite)] that may have the package, each release under one name only."""
    # One suite first: a mirror that does not answer need not fail to for each of them.
    for asked in ([known], SUITES):
        failed = apt.update([(mirror, suite) for suite in asked])
        wrong = [reason for reason in failed if not NOT_THERE.search(reason)]
        for reason in wrong:
            say(f"{mirror}: {reason} ({', '.join(failed[reason])})")
        if wrong and asked == [known]:
            return []
    found = {}
    for place, codename in apt.codenames().items():
        if codename not in too_old:
            found.setdefault(codename, place)
    return list(found.values())


def versions(apt, name):
    """{version: [suite]}, the newest first."""
    found = {}
    listed = apt.run("apt-cache", "madison", name)
    for version, suite in re.findall(rf"^ *{re.escape(name)} *\| *(\S+) *\| *\S+ ([^/\s]+)", listed, re.M):
        found.setdefault(version, []).append(suite)
    return found


def candidates(folder, name, say, too_old=TOO_OLD):
    """The packages of that name, the newest first."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        say("no apt here: not trying Debian's packages")
        return
    addresses = mirrors()
    if not addresses:
        say("this machine's apt uses no mirror of Debian")
    # In a folder of their own, or apt would remove the lists that an interrupted run has left.
    releases = Apt(pathlib.Path(folder, "releases"), "none")
    places = [place for item in addresses.items() for place in suites(releases, *item, say, too_old)]
    if not places:
        return
    apt = Apt(folder, "Packages")
    for reason, failed in apt.update(places).items():
        say(f"{reason} ({', '.join(failed)})")
    found = versions(apt, name)
    if not found:
        say(f"Debian has no {name}; looked in {', '.join(dict.fromkeys(s for _, s in places))}")
    for version, where in found.items():
        yield Package(apt, name, version, where)


class Package:
    """One version of the package. Only its import tells which files it holds."""

    def __init__(self, apt, name, version, where):
        self.apt, self.name, self.version = apt, name, version
        self.title = f"{name} {version} in {', '.join(where)}"
        self.origin = f"Debian package {name}_{version}_all"
        self.path = apt.folder / f"{name}_{version.replace(':', '%3a')}_all.deb"
        self.imported = None

    def blob(self, repository, path):
        return Git(repository).blob(self.commit(repository), path)

    def commit(self, repository):
        """Its tree, as a commit in the repository."""
        if self.imported is None:
            self.apt.download(f"{self.name}={self.version}", self.path)
            try:
                with unpacked(self.path, f"./usr/src/{self.name}.tar.xz") as archive:
                    self.imported = archives.import_archive(repository, archive, strip=1)
            except Failure as failure:
                raise Failure("fetch", f"could not be imported: {failure.what}") from failure
        return self.imported


@contextlib.contextmanager
def unpacked(package, member):
    """A compressed tar archive in the package, as a stream that must be good to its end."""
    stages, stream = [], None
    for command in (["dpkg-deb", "--fsys-tarfile", str(package)], ["tar", "-xOf", "-", member],
                    ["xz", "-dc", "-T0"]):
        stages.append(subprocess.Popen(command, stdin=stream, stdout=subprocess.PIPE))
        if stream:
            stream.close()
        stream = stages[-1].stdout
    try:
        yield stream
        while stream.read(1 << 20):
            pass
    finally:
        stream.close()
        failed = [stage.args[0] for stage in stages if stage.wait()]
    if failed:
        raise Failure("fetch", f"{failed[0]} failed")
