# SPDX-License-Identifier: GPL-2.0
"""What must be installed, and installing it."""

import os
import re
import shutil
import subprocess
import time

from gup import cli
from gup.cli import Failure, note

# For each group what:package, where "what" is a program, which may have its package's name, or a file that must exist.
PACKAGES = {
    "fetch": "git xz:xz-utils /etc/ssl/certs/ca-certificates.crt:ca-certificates",
    "build": "gcc /usr/include/stdio.h:libc6-dev make bc bison flex ccache perl "
             "/usr/include/libelf.h:libelf-dev /usr/include/openssl/opensslv.h:libssl-dev",
    "compiler": "gcc /usr/include/stdio.h:libc6-dev make",
    "boot": "qemu-system-x86_64:qemu-system-x86",
    "um-i386": "i686-linux-gnu-gcc:gcc-i686-linux-gnu /usr/i686-linux-gnu/lib/libc.a:libc6-dev-i386-cross",
    "arm64": "qemu-system-aarch64:qemu-system-arm aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu "
             "/usr/aarch64-linux-gnu/include/stdio.h:libc6-dev-arm64-cross",
    "riscv64": "qemu-system-riscv64:qemu-system-misc riscv64-linux-gnu-gcc:gcc-riscv64-linux-gnu "
               "/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin:qemu-system-data "
               "/usr/riscv64-linux-gnu/include/stdio.h:libc6-dev-riscv64-cross",
    "s390x": "qemu-system-s390x:qemu-system-misc s390x-linux-gnu-gcc:gcc-s390x-linux-gnu "
             "/usr/s390x-linux-gnu/include/stdio.h:libc6-dev-s390x-cross",
    "loongarch64": "qemu-system-loongarch64:qemu-system-misc",
    "llvm": "clang-19 ld.lld-19:lld-19 llvm-ar-19:llvm-19",
    "ppc64le": "qemu-system-ppc64:qemu-system-ppc /usr/share/qemu/slof.bin:qemu-system-data "
               "powerpc64le-linux-gnu-gcc:gcc-powerpc64le-linux-gnu "
               "/usr/powerpc64le-linux-gnu/include/stdio.h:libc6-dev-ppc64el-cross",
    "arm": "arm-linux-gnueabihf-gcc:gcc-arm-linux-gnueabihf",
    "m68k": "m68k-linux-gnu-gcc:gcc-m68k-linux-gnu",
    "sh4": "sh4-linux-gnu-gcc:gcc-sh4-linux-gnu",
    "sparc64": "sparc64-linux-gnu-gcc:gcc-sparc64-linux-gnu",
    "mips64": "mips64el-linux-gnuabi64-gcc:gcc-mips64el-linux-gnuabi64",
    "initramfs": "busybox:busybox-static",
    "forms": "aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu spatch:coccinelle patch",
    "disk": "/sbin/mkfs.ext4:e2fsprogs",
    "selftests": "/sbin/mkfs.ext4:e2fsprogs /usr/include/numa.h:libnuma-dev "
                 "/usr/include/sys/capability.h:libcap-dev /usr/include/liburing.h:liburing-dev",
    "coverage": "gcovr",
    "clang": "/usr/lib/python3/dist-packages/clang/cindex.py:python3-clang",
    "parallel": "parallel",
    "rsync": "rsync",
    "export": "b4",
    "manual": "groff:groff-base man:man-db mandoc",
    "sphinx": "/usr/bin/sphinx-build:python3-sphinx",
    "plot": "gnuplot:gnuplot-nox",
    "check": "quilt sparse shellcheck codespell "
             "/usr/lib/python3/dist-packages/ply:python3-ply /usr/lib/python3/dist-packages/git:python3-git",
}

# What apt says of a lock that another process has. DPkg::Lock::Timeout would wait for dpkg's
# alone, and say so in the log only.
LOCKED = re.compile(r"^E: Could not get lock (\S+?)(?:\. It is held by (process \d+ \(.*\))| - open \(11: .*)$", re.M)


def missing(groups):
    """The packages of these groups that are not there."""
    wanted = [word.partition(":") for group in dict.fromkeys(groups) for word in PACKAGES[group].split()]
    return [package or what for what, _, package in wanted
            if not (os.path.exists(what) if what.startswith("/") else shutil.which(what))]


def as_root():
    """What a command begins with to have the right to install, or None."""
    if os.geteuid() == 0:
        return []
    sudo = subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True) if shutil.which("sudo") else None
    return ["sudo", "-n"] if sudo and sudo.returncode == 0 else None


def apt_get(root, *words):
    """(did it work, what it said). Waits while another process holds one of apt's or dpkg's
    locks, as on a new cloud machine in its first minutes."""
    waited = False
    while True:
        done = subprocess.run([*root, "env", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "apt-get", *words],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False)
        held = LOCKED.search(done.stdout) if done.returncode else None
        if not held:
            return done.returncode == 0, done.stdout
        if not waited:
            note(f"waiting, for as long as it takes: {held[1]} is held by {held[2] or 'another process'}")
        waited = True
        time.sleep(2)


def need(*groups):
    """Install what is missing."""
    wanted = missing(groups)
    if not wanted:
        return
    names = " ".join(wanted)
    if not shutil.which("apt-get"):
        raise Failure("environment", f"missing: {names} (Debian's names), and there is no apt-get",
                      "install them with this system's package manager")
    root = as_root()
    if root is None:
        raise Failure("environment", f"missing: {names}, and no right to install",
                      f"run as root: apt-get install {names}")
    note(f"installing {names}")
    install = ("install", "-y", "--no-install-recommends", *wanted)
    good, said = apt_get(root, *install)
    if not good:
        apt_get(root, "update")
        good, said = apt_get(root, *install)
    if not good:
        cli.complain("\n".join(said.splitlines()[-5:]))
        raise Failure("environment", f"apt-get could not install {names}",
                      "repair apt (see above), or install them by hand")
    if missing(groups):
        names = " ".join(missing(groups))
        raise Failure("environment", f"still missing after installing: {names}",
                      f"look at PATH, and at apt-get install {names}")
