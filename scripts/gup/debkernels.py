# SPDX-License-Identifier: GPL-2.0
"""The kernels that Debian has: headers, the tools to build modules with, and images, of each release
and flavour, for this and another architecture. Nothing is installed: packages are unpacked in the cache."""

import functools
import os
import pathlib
import re
import subprocess
import typing

from gup import cli, debian
from gup.cli import CACHE, Failure

SUITES = ("bullseye", "bookworm", *debian.SUITES)
# Debian's name: the kernel's, a compiler, and what an object for the kernel wants to be compiled with.
ARCHES = {
    "amd64": ("x86", "gcc", ["-mcmodel=kernel", "-mno-sse", "-mno-red-zone", "-fcf-protection=none"]),
    "arm64": ("arm64", "aarch64-linux-gnu-gcc", ["-mgeneral-regs-only"]),
}
NAME = re.compile(r"linux-headers-((\d+\.\d+)[.\d]*(?:-\d+|\+\w+)?)-((?!common)[a-z][-\w]*)$")
FOLDER = CACHE / "debkernels"


class Headers(typing.NamedTuple):
    """A headers package, the newest of its release and flavour."""
    name: str
    abi: str  # 6.1.0-50
    release: str  # 6.1
    flavour: str
    arch: str  # in Debian's words
    version: str
    needs: tuple  # linux-headers-...-common, linux-kbuild-...

    @property
    def folder(self):
        return FOLDER / f"usr/src/{self.name}"

    @property
    def common(self):
        return FOLDER / "usr/src" / self.needs[0]

    def exports(self):
        """{symbol: is it for modules under the GPL alone}"""
        rows = [line.split("\t") for line in (self.folder / "Module.symvers").read_text().splitlines()]
        return {row[1]: row[3].endswith("_GPL") for row in rows}

    def command(self):
        """Compiles for it. Without kbuild, whose programs may want a newer C library than there is."""
        arch, compiler, flags = ARCHES[self.arch]
        places = [f"{top}/{part}" for part in (f"arch/{arch}/include", f"arch/{arch}/include/generated", "include",
                  f"arch/{arch}/include/uapi", f"arch/{arch}/include/generated/uapi", "include/uapi",
                  "include/generated/uapi") for top in (self.common, self.folder)]
        own = subprocess.run([compiler, "-print-file-name=include"], check=True, capture_output=True, text=True).stdout.strip()
        return [compiler, "-nostdinc", *(f"-I{place}" for place in places), "-isystem", own,  # until v5.15
                "-include", f"{self.common}/include/linux/kconfig.h", "-include",
                f"{self.common}/include/linux/compiler_types.h", "-D__KERNEL__", "-DMODULE", '-DKBUILD_MODNAME="form"',
                '-DKBUILD_BASENAME="form"', "-D__KBUILD_MODNAME=form", "-std=gnu11", "-O2", "-fshort-wchar",
                "-fms-extensions", "-fno-strict-aliasing", "-fno-pie", "-Wall", "-Werror", "-Wno-pointer-sign",
                "-Wno-attributes", "-Wno-address-of-packed-member", *flags]


def order(one, other):
    """As sorted() wants it: older versions first."""
    def holds(relation):
        return not subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False).returncode
    return -1 if holds("lt") else 1 if holds("gt") else 0


def extract(package, folder, *members):
    """These of its files, by patterns; some of them may be missing if there are several patterns."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-xf", "-", "-C", folder, "--wildcards", *members], stdin=archive.stdout,
                       stderr=subprocess.DEVNULL, check=len(members) == 1)


class Packages:
    """Of the mirror that this machine's apt uses."""

    def __init__(self, arch="amd64"):
        """The lists of ARCHES, or of one that is none of these."""
        arches = ARCHES if arch in ARCHES else [arch]
        self.apt = debian.Apt(FOLDER / ("apt" if arch in ARCHES else f"apt-{arch}"), "Packages")
        self.apt.options += [word for one in arches for word in ("-o", f"APT::Architectures::={one}")]
        places = [(mirror, suite) for mirror in debian.mirrors() for suite in SUITES]
        if not places:
            raise Failure("fetch", "this machine's apt uses no mirror of Debian")
        releases = debian.Apt(FOLDER / "releases", "none")
        releases.update(places)
        found = {codename: place for place, codename in reversed(releases.codenames().items())}  # by code name
        self.apt.update(list(found.values()), ",".join(arches))

    def headers(self):
        """Sorted by version."""
        names = [name for name in self.apt.run("apt-cache", "pkgnames", "linux-headers-").split() if NAME.match(name)]
        newest = {}
        for stanza in self.apt.run("apt-cache", "show", *(f"{n}:{a}" for n in names for a in ARCHES)).split("\n\n"):
            fields = dict(re.findall(r"^(Package|Version|Architecture|Depends): (.*)", stanza, re.M))
            match = NAME.match(fields.get("Package", ""))
            needs = re.findall(r"linux-(?:headers-[^\s,]+-common[^\s,]*|kbuild-[^\s,]+)", fields.get("Depends", ""))
            if match and len(needs) == 2:
                one = Headers(match[0], match[1], match[2], match[3], fields["Architecture"], fields["Version"], tuple(needs))
                # Its tools want the C library of the Debian release that it was built for.
                key = one.release, one.abi.partition("+")[2], one.flavour, one.arch
                if key not in newest or order(newest[key].version, one.version) < 0:
                    newest[key] = one
        by_version = functools.cmp_to_key(lambda one, other: order(one.version, other.version))
        return sorted(sorted(newest.values(), key=lambda one: (one.arch, one.flavour)), key=by_version)

    def unpack(self, name, arch, *members):
        """In FOLDER, once. The Makefile of a headers package names the place where it is usually installed."""
        done = FOLDER / "unpacked" / f"{name}_{arch}"
        if done.exists():
            return
        try:
            path = self.apt.download(f"{name}:{arch}", self.apt.folder / f"{name}_{arch}.deb")
        except Failure as failure:
            raise Failure("fetch", f"{name}: {failure.what}") from failure
        extract(path, FOLDER, *(members or ["./usr/*"]))
        makefile = FOLDER / f"usr/src/{name}/Makefile"
        if makefile.exists() and makefile.stat().st_size < 1000:
            makefile.write_text(makefile.read_text().replace("/usr/src/", f"{FOLDER}/usr/src/"))
        path.unlink()
        cli.write(done, "")

    def there(self, version, *parts):
        """Those of an image's packages that the mirror has. Since 7.x linux-image is empty and depends on the others."""
        known = set(self.apt.run("apt-cache", "pkgnames", "linux-").split())
        return [name for name in (f"linux-{part}-{version}" for part in parts) if name in known]

    def kernel(self, name, arch):
        """The packages of this image, downloaded."""
        names = self.there(name.removeprefix("linux-image-"), "image", "binary", "modules")
        if name not in names:
            raise Failure("usage", f"the mirror has no {name}", "its version is part of the name: "
                          "apt-cache search linux-image")
        return [self.file(one, arch) for one in names]

    def file(self, name, arch):
        (FOLDER / "images").mkdir(parents=True, exist_ok=True)
        return self.apt.download(f"{name}:{arch}", FOLDER / f"images/{name}_{arch}.deb")

    def image(self, one):
        """The kernel of these headers, or None."""
        version = f"{one.abi}-{one.flavour}"
        names = self.there(version, "binary", "image")
        if not names:
            return None
        self.unpack(names[0], one.arch, "*/vmlinuz*")
        return next(path for path in (FOLDER / f"usr/lib/modules/{version}/vmlinuz", FOLDER / f"boot/vmlinuz-{version}")
                    if path.exists())


def modules(one, folder, log):
    """Build them with the package's own tools: what it said if it failed."""
    with open(log, "w", encoding="utf-8") as file:
        status = cli.call(["make", "-C", one.folder, f"M={folder}", f"CC={ARCHES[one.arch][1]}", f"-j{os.cpu_count()}",
                           "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"], stdout=file, stderr=subprocess.STDOUT)
    lines = pathlib.Path(log).read_text(errors="replace").splitlines()
    found = [line for line in lines if re.search(r"error|\*\*\*|GLIBC", line, re.I)][:5]
    return (found or [f"make ended with status {status}, see {log}"]) if status else []
