# SPDX-License-Identifier: GPL-2.0
"""tar2git.py REPOSITORY [--strip N]: the tree of a tar archive (stdin) as a commit.

Streams the archive into `git fast-import`: one pack, no unpacked copy, half a
minute for a kernel. The commit depends on the tree alone (see base_commit()),
so the same kernel has the same id wherever it came from. Prints the id.
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile

from common import Failure, Git, main

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


def wanted(path, content):
    """Debian's tarball ends .gitignore with "/*", which would hide every new
    file from git status; those two lines are the only thing left out."""
    if path != ".gitignore":
        return content
    drop = (b"/*", b"!/debian/")
    return b"".join(l for l in content.splitlines(True) if l.strip() not in drop)


def stream(archive, strip, out):
    count = 0
    out.write(b"feature done\ncommit refs/import\n")
    out.write(b"committer import <import@invalid> 0 +0000\ndata 6\nimport\n")
    with tarfile.open(fileobj=archive, mode="r|", bufsize=1 << 20) as tar:
        for member in tar:
            parts = [p for p in member.name.split("/") if p not in ("", ".")][strip:]
            if not parts or member.isdir():
                continue
            path = "/".join(parts)
            if parts[0] == ".git" or '"' in path or "\n" in path:
                raise Failure("fetch", f"unexpected name in the archive: {path!r}")
            if member.issym():
                mode, content = "120000", member.linkname.encode()
            elif member.isfile():
                mode = "100755" if member.mode & 0o100 else "100644"
                content = wanted(path, tar.extractfile(member).read())
            else:
                raise Failure("fetch", f"{path}: neither file, directory nor symbolic link")
            out.write(f"M {mode} inline {path}\ndata {len(content)}\n".encode())
            out.write(content + b"\n")
            count += 1
    if not count:
        raise Failure("fetch", "the archive is empty")
    out.write(b"done\n")
    return count


def import_archive(repository, archive, strip):
    """The id of the commit that holds the archive's tree."""
    git = Git(repository)
    # Compression 1 and no deltas: this pack is written once and read often.
    importer = subprocess.Popen(
        ["git", "-C", str(repository), "-c", "core.compression=1",
         "fast-import", "--quiet", "--force", "--depth=0"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=git.environment)
    broken = None
    try:
        stream(archive, strip, importer.stdin)
        importer.stdin.close()
    except (tarfile.TarError, EOFError) as error:
        broken = f"the archive is damaged: {error}"
    except BrokenPipeError:
        broken = "git fast-import stopped"
    except Failure as failure:
        broken = failure.what
    if broken:
        # Without "done" fast-import refuses what it has, which is the point.
        try:
            importer.stdin.close()
        except BrokenPipeError:
            pass
    if importer.wait() or broken:
        raise Failure("fetch", broken or "git fast-import failed")
    commit = base_commit(git, git.text("rev-parse", "refs/import^{tree}"))
    git.run("update-ref", "-d", "refs/import")
    return commit


def run():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository")
    parser.add_argument("--strip", type=int, default=0, metavar="N")
    options = parser.parse_args()
    print(import_archive(options.repository, sys.stdin.buffer, options.strip))
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    main(run)
