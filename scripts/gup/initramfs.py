# SPDX-License-Identifier: GPL-2.0
"""KUnit runs before init. What is to be seen only after the suites is done by an init of the
configuration's own, which ends the guest as well."""

import gzip
import os
import re
import shutil
import subprocess

from gup import cli
from gup.cli import Failure, lines_of
from gup.packages import need

LIST = """\
dir /dev 0755 0 0
nod /dev/console 0600 0 0 c 5 1
dir /bin 0755 0 0
dir /debug 0755 0 0
file /bin/busybox {busybox} 0755 0 0
file /init {init} 0755 0 0
"""


def boot_words(kernel, words):
    """Boot arguments with what there is for init. Of two of the same the last one counts; what is
    behind -- goes to it."""
    return [*words, "kunit_shutdown=none", "--", kernel.arch.off] if (kernel.folder / "init").is_file() else words


def make_programs(kernel):
    """What configs/NAME/programs says."""
    for line in lines_of(kernel.folder / "programs"):
        name, *sources = line.split()
        log = kernel.out / f"{name}.log"
        if cli.logged([kernel.arch.compiler, "-O2", "-static", "-U_FORTIFY_SOURCE", "-I.", "-Itools/testing/selftests",
                       "-isystem", "tools/include/uapi", "-o", str(kernel.out / name),
                       *(source.format(folder=kernel.folder) for source in sources), "-lpthread", "-lm"],
                      log, cwd=kernel.tree):
            error = re.search(r".*error:.*", cli.text_of(log))
            raise Failure("build", error[0] if error else f"{name} does not compile", f"the whole log is {log}")


def make_disk(folder, mebibytes=256):
    """An ext4, for the guest to copy to a RAM disk. Busybox makes an ext2 only."""
    disk, packed = folder / "disk", folder / "disk.gz"
    with open(disk, "wb") as file:
        file.truncate(mebibytes << 20)
    if subprocess.run(["mkfs.ext4", "-q", "-b", "4096", "-E", "lazy_itable_init=0,nodiscard", disk], check=False,
                      env=dict(os.environ, PATH=os.environ["PATH"] + ":/sbin")).returncode:
        raise Failure("environment", f"mkfs.ext4 made no file system in {disk}", "look at the disk space")
    packed.write_bytes(gzip.compress(disk.read_bytes(), 1, mtime=0))
    disk.unlink()
    return packed


def pack(folder, files):
    """Of {name: file}, without a tree of the kernel: the image, beside the folder that is packed."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "dev").mkdir(parents=True)
    for name, path in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / name)
    for name in ("init", *(name for name in files if "." not in name)):
        (folder / name).chmod(0o755)
    names = "\n".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*")))
    archive = subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], cwd=folder, input=names.encode(), check=True,
                             capture_output=True).stdout
    image = folder.with_suffix(".gz")
    image.write_bytes(gzip.compress(archive, 1, mtime=0))
    return image


def make(kernel, more=()):
    """Where it is, or None if the configuration has no init. more: lines for gen_init_cpio."""
    init = kernel.folder / "init"
    if not init.is_file():
        return None
    need("initramfs")
    make_programs(kernel)
    listing, image = kernel.out / "initramfs.list", kernel.out / "initramfs.gz"
    lines = [*lines_of(kernel.folder / "files"), *more]
    listing.write_text(LIST.format(busybox=shutil.which("busybox"), init=init) + "".join(line + "\n" for line in lines))
    archive = subprocess.run(["usr/gen_init_cpio", str(listing)], cwd=kernel.out, check=True, stdout=subprocess.PIPE)
    image.write_bytes(gzip.compress(archive.stdout, 1, mtime=0))
    return image
