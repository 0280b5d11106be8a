# SPDX-License-Identifier: GPL-2.0
"""scripts/boot --kernel: kernels that somebody else has built. FILE is a bzImage, a Debian package that has
one, or the name of such a package, which is fetched from the mirror with what it depends on.

The guest runs tools/testing/selftests/mm/gup_contract, which is built from the tree, on an ext4 if the kernel
or its package has that, and the RAM disk that it is on. If suites named gup_* are built in and print, their
results count, too. What the kernel lacks is skipped, with the reason; that is no failure."""

import argparse
import gzip
import lzma
import pathlib
import re
import shlex
import shutil
import subprocess
import typing

from gup import cli, debkernels, guest, initramfs, kernel, limits, results, source
from gup.arch import X86
from gup.cli import BUILD, CACHE, ROOT, Failure
from gup.givenverdict import judge, write_table
from gup.packages import need
from gup.workspace import Workspace

NAME = re.compile(r"linux-image-([\w.+]+-)+[\w.+]+")
WANTED = ("brd", "crc32c_generic", "ext4")  # modules, beside those that they depend on
PROGRAM = "tools/testing/selftests/mm/gup_contract.c"
INIT = ROOT / "configs/any/init"
ARGUMENTS = ("console=ttyS0", "panic=-1", "printk.devkmsg=on", "secretmem.enable=1", "proc_mem.force_override=always",
             "kunit.enable=1", "kunit.filter=speed>slow",
             "hugepagesz=2M", "hugepages=64", "hugepagesz=1G", "hugepages=1")


class Given(typing.NamedTuple):
    """What --kernel names."""
    title: str
    image: pathlib.Path
    modules: dict  # name of a module of its package: file


# ------------------------------------------------------------------------------- input

def kind(path):
    """bzImage, package, or what else it is."""
    with path.open("rb") as file:
        head = file.read(0x206)
    if head.startswith(b"!<arch>\n"):
        return "package"
    if head[0x202:] == b"HdrS":
        return "bzImage"
    if head.startswith(b"\x7fELF"):
        return "an ELF file: arch/x86/boot/bzImage beside it is what boots"
    return "neither a bzImage of x86_64 nor a Debian package"


def named(text):
    """What --kernel takes, looked at before anything is done."""
    path = pathlib.Path(text)
    if not path.exists() and NAME.fullmatch(text):
        return text
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"no file {text}, and no name of a package, as linux-image-6.1.0-50-amd64")
    found = kind(path)
    if found not in ("bzImage", "package"):
        raise argparse.ArgumentTypeError(f"{text} is {found}")
    return path.resolve()


def version(image):
    """What the header of a bzImage says."""
    data = image.read_bytes()
    start = 0x200 + int.from_bytes(data[0x20e:0x210], "little")
    return data[start:start + 200].split(b"\0")[0].split(b" ")[0].decode("ascii", "replace") or image.name


def unpack(package, folder):
    """The kernel of a package, and of its modules those that may be wanted: it has some of these."""
    status, said = cli.said(["dpkg-deb", "-f", package, "Architecture"])
    if status:
        raise Failure("usage", f"{package} is no Debian package: {said[-1] if said else status}")
    if said != ["amd64"]:
        raise Failure("usage", f"{package} is for {said[0] if said else 'nothing'}, and --kernel runs amd64 alone")
    places = ("fs/ext4/", "fs/jbd2/", "fs/mbcache.", "lib/", "crypto/", "drivers/block/")
    parts = [f"*/kernel/{place}*" for place in places]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-xf", "-", "-C", folder, "--wildcards", "*/vmlinuz*", *parts], stdin=archive.stdout,
                       stderr=subprocess.DEVNULL, check=False)


def from_packages(title, packages):
    folder = BUILD / "given" / title
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for package in packages:
        unpack(package, folder)
    images = sorted(folder.rglob("vmlinuz*"))
    if len(images) != 1 or kind(images[0]) != "bzImage":
        raise Failure("usage", f"{title} has {len(images) or 'no'} kernels", "since 7.x a linux-image package is empty: "
                      "give its name, or that of the file linux-binary-..., which has the kernel")
    found = {path.name.split(".ko")[0].replace("-", "_"): path for path in folder.rglob("*.ko*")}
    return Given(title, images[0], found)


def find(wanted):
    if isinstance(wanted, str):
        return from_packages(wanted, debkernels.Packages().kernel(wanted))
    if kind(wanted) == "bzImage":
        return Given(f"{version(wanted)} ({wanted.name})", wanted, {})
    return from_packages(wanted.name.removesuffix(".deb"), [wanted])


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


def program(workspace):
    """Static, against the headers of the tree."""
    out, tree = BUILD / "o/any", workspace.tree
    if not (tree / PROGRAM).is_file():
        raise Failure("test", f"no {PROGRAM} in this tree", "scripts/tree status shows the patches")
    log, made = out / "build.log", out / "gup_contract"
    out.mkdir(parents=True, exist_ok=True)
    own = sorted(tree.glob("tools/testing/selftests/mm/*.[ch]"))
    stamp = kernel.digest(workspace.head, *own, pathlib.Path(__file__))
    if cli.text_of(out / "built") == stamp and made.exists():
        return made
    cli.stage("build", "gup_contract, static")
    folder = pathlib.Path(PROGRAM).parent
    sources = [folder / name for name in ("gup_contract.c", "vm_util.c", "hugepage_settings.c")]
    if (cli.logged(["make", "-s", f"O={out}", f"ARCH={X86.name}", "headers"], log, cwd=tree) or
            cli.logged([X86.compiler, "-O2", "-Wall", "-static", "-U_FORTIFY_SOURCE", "-I.",
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
    files = {"bin/busybox": shutil.which("busybox"), "init": INIT, "gup_contract": contract,
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
    command = machine.command(given.image, ARGUMENTS, image)
    (folder / "qemu-cmd").write_text(shlex.join(command) + "\n")
    cli.stage("boot", f"{given.title}; {machine}")
    guest.run(command, folder, silent or limits.SILENT)
    cli.stage("verdict", "kunit.py parse, splats")
    found = judge(workspace.tree, folder, given.title)
    cli.stage_end()
    return found


def main(options):
    need("fetch", "boot", "initramfs", "disk", "compiler")
    if any(isinstance(wanted, str) for wanted in options.kernel):
        cli.lock(CACHE / "debkernels.lock")
    kernels = [find(wanted) for wanted in options.kernel]
    workspace = Workspace(source.choose(options.tree)).prepare()
    contract = program(workspace)
    machine = guest.probe(X86)
    found = []
    for given in kernels:
        found.append(run(given, machine, contract, workspace, options.timeout))
        kind_of, summary, _ = found[-1]
        print(f"{'PASS' if kind_of == 'pass' else f'FAIL({kind_of})'}: {given.title}: {summary}", flush=True)
    bad = next((one for one in found if one[0] != "pass"), None)
    if options.write and all(one[0] in ("pass", "test") for one in found):
        write_table([result for _, _, result in found])
    return cli.passed(*(bad or found[-1])[:2])
