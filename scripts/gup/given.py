# SPDX-License-Identifier: GPL-2.0
"""scripts/boot --kernel: kernels that somebody else has built. FILE is what QEMU boots on one of the architectures
GIVEN (a bzImage, Image or vmlinux), a Debian package that has that, or the name of such a package, which is fetched from
the mirror with what it depends on. So is busybox, for an architecture that is not this machine's.

The guest runs tools/testing/selftests/mm/gup_contract, which is built from the tree, on an ext4 if the kernel
or its package has that, and the RAM disk that it is on. If suites named gup_* are built in and print, their
results count, too. What the kernel lacks is skipped, with the reason; that is no failure."""

import argparse
import functools
import gzip
import lzma
import pathlib
import re
import shlex
import shutil
import subprocess
import typing

from gup import cli, debkernels, guest, initramfs, kernel, limits, results, source
from gup.arch import ARM64, GIVEN, PPC64LE, RISCV64, S390X, X86, Arch
from gup.cli import BUILD, CACHE, ROOT, Failure
from gup.givenverdict import judge, write_table
from gup.packages import need
from gup.workspace import Workspace

NAME = re.compile(r"linux-image-([\w.+]+-)+[\w.+]+")
WANTED = ("brd", "crc32c_generic", "ext4")  # modules, beside those that they depend on
PROGRAM = "tools/testing/selftests/mm/gup_contract.c"
INIT = ROOT / "configs/any/init"
# The first hugepages= is of the default size, which is another one on each architecture; not all have 1 GiB.
ARGUMENTS = ("panic=-1", "printk.devkmsg=on", "secretmem.enable=1", "proc_mem.force_override=always",
             "kunit.enable=1", "kunit.filter=speed>slow", "hugepages=16", "hugepagesz=1G", "hugepages=1")
# What is where in an image, and whose it is.
IMAGES = (
    ({0x202: b"HdrS"}, X86),
    ({0x38: b"ARMd"}, ARM64),
    ({0x38: b"RSC\5"}, RISCV64),
    ({0x10008: b"S390EP"}, S390X),
    ({0: b"\x7fELF\2\1", 0x12: b"\x15\0"}, PPC64LE),
)
XLOADFLAGS, XLF_KERNEL_64 = 0x236, 1  # of a bzImage since v3.8


class Given(typing.NamedTuple):
    """What --kernel names."""
    title: str
    arch: Arch
    image: pathlib.Path
    modules: dict  # name of a module of its package: file


# ------------------------------------------------------------------------------- input

def is_package(path):
    with path.open("rb") as file:
        return file.read(8) == b"!<arch>\n"


def arch_of(image):
    """By its header."""
    with image.open("rb") as file:
        head = file.read(0x10010)
    found = next((arch for places, arch in IMAGES if all(head.startswith(what, at) for at, what in places.items())), None)
    if found is X86 and not int.from_bytes(head[XLOADFLAGS:XLOADFLAGS + 2], "little") & XLF_KERNEL_64:
        raise cli.usage(f"{image} is a bzImage of 32 bits, or older than v3.8", "give one of x86_64")
    if not found:
        raise cli.usage(f"{image} is neither a Debian package nor what boots on " + ", ".join(one.name for one in GIVEN),
                        "give " + ", ".join(dict.fromkeys(one.image for one in GIVEN)) + " of its build")
    return found


def arch_of_name(text):
    return next((one for one in GIVEN if (one.flavour or one.debian) in text.split("-")), None)


def named(text):
    """What --kernel takes, looked at before anything is done."""
    path = pathlib.Path(text)
    if not path.exists() and NAME.fullmatch(text) and arch_of_name(text):
        return text
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"no file {text}, and no name of a package, as linux-image-6.1.0-50-amd64 (there "
                                         f"are: {' '.join(one.flavour or one.debian for one in GIVEN)})")
    if not is_package(path):
        arch_of(path)
    return path.resolve()


def version(image, arch):
    """What the header of a bzImage says, or the kernel itself where it is not compressed."""
    data = image.read_bytes()
    if arch is X86:
        start = 0x200 + int.from_bytes(data[0x20e:0x210], "little")
        return data[start:start + 200].split(b"\0")[0].split(b" ")[0].decode("ascii", "replace") or image.name
    found = re.search(rb"Linux version ([\w.+-]+)", data)
    return found[1].decode() if found else image.name


def arch_of_package(package):
    status, said = cli.said(["dpkg-deb", "-f", package, "Architecture"])
    if status:
        raise Failure("usage", f"{package} is no Debian package: {said[-1] if said else status}")
    found = next((one for one in GIVEN if [one.debian] == said), None)
    if not found:
        raise Failure("usage", f"{package} is for {said[0] if said else 'nothing'}, and --kernel runs "
                      + ", ".join(one.debian for one in GIVEN))
    return found


def unpack(package, folder):
    """The kernel of a package, and of its modules those that may be wanted: it has some of these."""
    places = ("fs/ext4/", "fs/jbd2/", "fs/mbcache.", "lib/", "crypto/", "drivers/block/")
    debkernels.extract(package, folder, "*/vmlinu[xz]*", *(f"*/kernel/{place}*" for place in places))


def from_packages(title, packages):
    arch = arch_of_package(packages[0])
    folder = BUILD / "given" / title
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for package in packages:
        unpack(package, folder)
    images = sorted(folder.rglob("vmlinu[xz]*"))
    if len(images) != 1:
        raise Failure("usage", f"{title} has {len(images) or 'no'} kernels", "since 7.x a linux-image package is empty: "
                      "give its name, or that of the file linux-binary-..., which has the kernel")
    found = {path.name.split(".ko")[0].replace("-", "_"): path for path in folder.rglob("*.ko*")}
    if arch_of(images[0]) is not arch:
        raise Failure("usage", f"{title} is for {arch.debian}, and its kernel for {arch_of(images[0]).debian}")
    return Given(title, arch, images[0], found)


@functools.cache
def mirror(arch):
    cli.lock(CACHE / "debkernels.lock")
    return debkernels.Packages(arch)


def find(wanted):
    if isinstance(wanted, str):
        name = arch_of_name(wanted).debian
        return from_packages(wanted, mirror(name).kernel(wanted, name))
    if is_package(wanted):
        return from_packages(wanted.name.removesuffix(".deb"), [wanted])
    arch = arch_of(wanted)
    return Given(f"{version(wanted, arch)} ({wanted.name})", arch, wanted, {})


# ------------------------------------------------------------------------------- the guest

def decompressed(path):
    return {".xz": lzma.decompress, ".gz": gzip.decompress}.get(path.suffix, bytes)(path.read_bytes())


def modules(given, folder):
    """Files for insmod, those that others depend on first."""
    order = {}

    def add(name):
        name = name.replace("-", "_")
        path = given.modules.get(name)
        if path is None or name in order:
            return
        data = decompressed(path)
        needs = re.search(rb"\0depends=([^\0]*)\0", data)
        for other in filter(None, (needs[1].decode() if needs else "").split(",")):
            add(other)
        order[name] = folder / f"{name}.ko"
        order[name].write_bytes(data)

    for name in WANTED:
        add(name)
    return list(order.values())


@functools.cache
def busybox(arch):
    """This machine's, or the one that Debian has for that architecture."""
    if arch.is_host:
        return shutil.which("busybox")
    folder = BUILD / "given" / f"busybox-{arch.debian}"
    folder.mkdir(parents=True, exist_ok=True)
    debkernels.extract(mirror(arch.debian).file("busybox-static", arch.debian), folder, "*/bin/busybox")
    return next(folder.rglob("busybox"))


def program(workspace, arch):
    """Static, against the headers of the tree."""
    out, tree = BUILD / "o/any" / arch.name, workspace.tree
    if not (tree / PROGRAM).is_file():
        raise Failure("test", f"no {PROGRAM} in this tree", "scripts/tree status shows the patches")
    log, made = out / "build.log", out / "gup_contract"
    out.mkdir(parents=True, exist_ok=True)
    own = sorted(tree.glob("tools/testing/selftests/mm/*.[ch]"))
    stamp = kernel.digest(workspace.head, *own, pathlib.Path(__file__))
    if cli.text_of(out / "built") == stamp and made.exists():
        return made
    cli.stage("build", f"gup_contract, static, {arch.name}")
    folder = pathlib.Path(PROGRAM).parent
    sources = [folder / name for name in ("gup_contract.c", "vm_util.c", "hugepage_settings.c")]
    if (cli.logged(["make", "-s", f"O={out}", f"ARCH={arch.arch}", "headers"], log, cwd=tree) or
            cli.logged([arch.compiler, "-O2", "-Wall", "-static", "-U_FORTIFY_SOURCE", "-I.",
                        "-Itools/testing/selftests", "-isystem", out / "usr/include", "-o", made, *sources,
                        "-lpthread"], log, "a", cwd=tree)):
        error = re.search(r".*error:.*", cli.text_of(log))
        raise Failure("build", error[0] if error else "gup_contract does not compile", f"the whole log is {log}")
    cli.write(out / "built", stamp)
    return made


def initrd(given, contract, folder):
    """Of busybox, the program, the modules and a disk."""
    made = cli.scratch()
    (made / "modules").mkdir()
    files = {"bin/busybox": busybox(given.arch), "init": INIT, "gup_contract": contract,
             "disk.gz": initramfs.make_disk(made, 16)}
    paths = modules(given, made / "modules")
    files |= {f"modules/{number:02}-{path.name}": path for number, path in enumerate(paths)}
    image = folder / "initramfs.gz"
    shutil.copy(initramfs.pack(made / "initramfs", files), image)
    return image


def run(given, machine, contract, workspace, silent):
    """(class, summary, result) of one guest."""
    folder = results.new()
    image = initrd(given, contract, folder)
    command = machine.command(given.image, (f"console={given.arch.console}", *ARGUMENTS), image)
    (folder / "qemu-cmd").write_text(shlex.join(command) + "\n")
    cli.stage("boot", f"{given.title}; {machine}")
    guest.run(command, folder, silent or limits.SILENT)
    cli.stage("verdict", "kunit.py parse, splats")
    found = judge(workspace.tree, folder, given.title, given.arch)
    cli.stage_end()
    return found


def main(options):
    need("fetch", "initramfs", "disk", "compiler")
    kernels = [find(wanted) for wanted in options.kernel]
    arches = list(dict.fromkeys(given.arch for given in kernels))
    need(*(group for arch in arches for group in arch.packages))
    workspace = Workspace(source.choose(options.tree)).prepare()
    contracts = {arch: program(workspace, arch) for arch in arches}
    machines = {arch: guest.probe(arch) for arch in arches}
    found = []
    for given in kernels:
        found.append(run(given, machines[given.arch], contracts[given.arch], workspace, options.timeout))
        kind_of, summary, _ = found[-1]
        print(f"{'PASS' if kind_of == 'pass' else f'FAIL({kind_of})'}: {given.title}: {summary}", flush=True)
    bad = next((one for one in found if one[0] != "pass"), None)
    if options.write and all(result["complete"] for _, _, result in found):
        write_table([result for _, _, result in found])
    return cli.passed(*(bad or found[-1])[:2])
