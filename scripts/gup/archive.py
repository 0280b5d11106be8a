# SPDX-License-Identifier: GPL-2.0
"""The tree of a tar archive as a commit.

Streams the archive into `git fast-import`: one pack, no unpacked copy, half a minute for a
kernel. The commit depends on the tree alone (pristine.base_commit()), so the same kernel has the same
id wherever it came from.
"""

import contextlib
import subprocess
import tarfile

from gup import pristine
from gup.cli import Failure
from gup.git import Git


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
            out.write(f"M {mode} inline {path}\ndata {len(content)}\n".encode("utf-8", "surrogateescape"))
            out.write(content + b"\n")
            count += 1
    if not count:
        raise Failure("fetch", "the archive is empty")
    out.write(b"done\n")
    return count


def import_archive(repository, archive, strip=0):
    """The id of the commit that holds the archive's tree."""
    git = Git(repository)
    # Compression 1 and no deltas: this pack is written once and read often.
    importer = subprocess.Popen(
        ["git", "-C", str(repository), "-c", "core.compression=1", "fast-import", "--quiet", "--force", "--depth=0"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=git.environment)
    broken = None
    try:
        stream(archive, strip, importer.stdin)
    except (tarfile.TarError, EOFError) as error:
        broken = f"the archive is damaged: {error}"
    except BrokenPipeError:
        broken = "git fast-import stopped"
    except Failure as failure:
        broken = failure.what
    # Without "done" fast-import refuses what it has, which is the point.
    with contextlib.suppress(BrokenPipeError):
        importer.stdin.close()
    if importer.wait() or broken:
        raise Failure("fetch", broken or "git fast-import failed")
    commit = pristine.base_commit(git, git.text("rev-parse", "refs/import^{tree}"))
    git.run("update-ref", "-d", "refs/import")
    return commit
