# SPDX-License-Identifier: GPL-2.0
"""The architectures of --arch: all that differs between them, but for what configs/arch/NAME/
says of their kernel: fragments, boot arguments, and which options it lacks."""

import platform
from typing import NamedTuple

from gup.cli import usage


class Arch(NamedTuple):
    """An architecture, and the guest that its kernel boots in. Where there are several of one
    family (page sizes, depths of the page tables), the first has the family's name."""
    name: str
    image: str  # what boots, in the folder of the build
    packages: tuple = ()  # groups of packages.py, beside those that every build needs
    emulator: tuple = ()  # QEMU and its machine; none for a kernel that is a program
    make: str = ""  # what the kernel's make calls it, if not NAME
    subarch: str = ""  # what a UML is made for, if not for this machine
    cross: str = ""  # what the names of its compiler and binutils begin with
    llvm: str = ""  # or what those of LLVM end with, which has all of them
    family: str = ""  # whose folder below configs/arch/ it has, if not NAME
    fragments: tuple = ()  # of that folder, beside those of the configuration
    arguments: tuple = ()  # to boot with, beside those of that folder
    bare: bool = False  # QEMU starts it without firmware, and sets no register: not that of -append
    cpu: str = "max"
    cpus: int = 2
    console: str = "ttyS0"
    debian: str = ""  # what Debian calls it
    flavour: str = ""  # that word in the names of Debian's kernels, if not DEBIAN
    memory: str = "4G"
    off: str = "reboot"  # what an init calls to end the guest
    end: str = r"reboot: Restarting system"  # the line of a guest that has done all
    unfit: str = ""  # why scripts/matrix compiles it only: the suites do not pass there yet, or not on each machine

    @property
    def machine(self):
        return "QEMU" if self.emulator else "UML"

    @property
    def arch(self):
        """ARCH= of the kernel's make."""
        return self.make or self.name

    @property
    def folder(self):
        """In configs/arch/."""
        return self.family or self.name

    @property
    def compiler(self):
        return f"clang{self.llvm}" if self.llvm else f"{self.cross}gcc"

    @property
    def size(self):
        """The program."""
        return f"llvm-size{self.llvm}" if self.llvm else f"{self.cross}size"

    @property
    def words(self):
        """What the kernel's make is told, and its Kconfig."""
        words = {"ARCH": self.arch, "CROSS_COMPILE": self.cross, "LLVM": self.llvm}
        return words | {"SUBARCH": self.subarch} if self.subarch else words

    @property
    def boots(self):
        """Or is it only compiled?"""
        return bool(self.emulator) or self.off == "halt"

    @property
    def is_host(self):
        """Can an accelerator run it here?"""
        return self.folder == {"aarch64": "arm64"}.get(platform.machine(), platform.machine())

    def suffix(self, config):
        """Of the folder that this configuration is built in."""
        if self is X86:
            return config
        build = "-".join([self.folder, *(name.removesuffix(".config") for name in self.fragments), *["clang"] * bool(self.llvm)])
        return build if config == "reference" else f"{build}-{config}"


PC = ("-bios", "qboot.rom", "-serial", "stdio")
VIRT = ("-machine", "virt", "-serial", "stdio")

X86 = Arch("x86_64", "arch/x86/boot/bzImage", ("boot",), ("qemu-system-x86_64", *PC),
           debian="amd64", end=r"reboot: (Restarting system|machine restart)")
# To reboot a UML is to run it again.
UM = Arch("um", "linux", cpus=1, memory="2G", off="halt", end=r"reboot: System halted")
# The CPU of qemu-system-i386 is an Athlon that is not for SMP, of which the kernel warns (findings/i386-athlon.sh).
I386 = Arch("i386", "arch/x86/boot/bzImage", ("boot",), ("qemu-system-x86_64", *PC), memory="2G",
            end=r"reboot: (Restarting system|machine restart)", arguments=("hugepagesz=4M", "hugepages=16"))
ARM64 = Arch("arm64", "arch/arm64/boot/Image", ("arm64",), ("qemu-system-aarch64", *VIRT), cross="aarch64-linux-gnu-",
             cpu="max,pauth-impdef=on", console="ttyAMA0", debian="arm64",
             arguments=("hugepagesz=64K", "hugepages=64", "hugepagesz=2M", "hugepages=64", "hugepagesz=1G", "hugepages=1"))
RISCV64 = Arch("riscv64", "arch/riscv/boot/Image", ("riscv64",), ("qemu-system-riscv64", *VIRT), make="riscv",
               cross="riscv64-linux-gnu-", cpu="rv64", debian="riscv64")
S390X = Arch("s390x", "arch/s390/boot/bzImage", ("s390x",),
             ("qemu-system-s390x", "-machine", "s390-ccw-virtio", "-serial", "stdio"), make="s390",
             cross="s390x-linux-gnu-", debian="s390x",
             end=r"^(not )?ok \d+ gup_")  # its console is off before the kernel says that it restarts
LOONGARCH64 = Arch("loongarch64", "vmlinux", ("loongarch64", "llvm"), ("qemu-system-loongarch64", *VIRT), make="loongarch",
                   llvm="-19", fragments=("16k.config",), arguments=("hugepagesz=32M", "hugepages=16"), bare=True,
                   cpu="la464-loongarch-cpu", cpus=1)
PPC64LE = Arch("ppc64le", "vmlinux", ("ppc64le",), ("qemu-system-ppc64", "-machine", "pseries", "-serial", "stdio"),
               make="powerpc", cross="powerpc64le-linux-gnu-", cpu="power9", console="hvc0", debian="ppc64el",
               flavour="powerpc64le")
GIVEN = (X86, ARM64, RISCV64, S390X, PPC64LE)  # whose kernels scripts/boot --kernel takes
# Compiled only: nothing here boots them, or the suites do not know their page tables.
OTHERS = (
    PPC64LE._replace(emulator=()),
    Arch("arm", "arch/arm/boot/zImage", ("arm",), cross="arm-linux-gnueabihf-"),
    Arch("arm-lpae", "arch/arm/boot/zImage", ("arm",), make="arm", cross="arm-linux-gnueabihf-", family="arm",
         fragments=("lpae.config",)),
    Arch("m68k", "vmlinux", ("m68k",), cross="m68k-linux-gnu-"),
    Arch("sh4", "arch/sh/boot/zImage", ("sh4",), make="sh", cross="sh4-linux-gnu-"),
    Arch("sparc64", "vmlinux", ("sparc64",), make="sparc", cross="sparc64-linux-gnu-"),
    Arch("mips64", "vmlinux", ("mips64",), make="mips", cross="mips64el-linux-gnuabi64-"),
    Arch("mips64-2level", "vmlinux", ("mips64",), make="mips", cross="mips64el-linux-gnuabi64-", family="mips64",
         fragments=("2level.config",)),
    Arch("riscv64-nommu", "vmlinux", ("riscv64",), make="riscv", cross="riscv64-linux-gnu-"))
# Of families and of rows that stand for another page size or depth of the tables.
ARCHES = {row.name: row for row in (
    X86, UM, I386, ARM64, RISCV64, S390X, LOONGARCH64,
    UM._replace(name="um-i386", packages=("um-i386",), make="um", subarch="i386", cross="i686-linux-gnu-", family="um",
                fragments=("i386.config",), memory="512M",
                unfit="not booted by scripts/matrix: takes a machine that runs programs of 32 bits"),
    I386._replace(name="i386-pae", make="i386", family="i386", fragments=("pae.config",),
                  arguments=("hugepagesz=2M", "hugepages=64"), unfit="not booted since the suites pass on i386"),
    ARM64._replace(name="arm64-16k", make="arm64", family="arm64", fragments=("16k.config",),
                   arguments=("hugepagesz=2M", "hugepages=64", "hugepagesz=32M", "hugepages=8")),
    ARM64._replace(name="arm64-2level", make="arm64", family="arm64", fragments=("16k.config", "2level.config"),
                   arguments=("hugepagesz=2M", "hugepages=64", "hugepagesz=32M", "hugepages=8")),
    ARM64._replace(name="arm64-64k", make="arm64", family="arm64", fragments=("64k.config",),
                   arguments=("hugepagesz=2M", "hugepages=64", "hugepagesz=512M", "hugepages=4"), memory="12G",
                   unfit="not booted since it has four hugetlb pages of 512 MiB, and wants no folio of a file that large"),
    ARM64._replace(name="arm64-nolpa2", make="arm64", family="arm64",
                   cpu="max,pauth-impdef=on,lpa2=off"),
    RISCV64._replace(name="riscv64-sv39", family="riscv64", arguments=("no4lvl",)),
    RISCV64._replace(name="riscv64-svnapot", family="riscv64", fragments=("svnapot.config",), cpu="rv64,svnapot=true",
                     arguments=("hugepagesz=64K", "hugepages=64")),
    LOONGARCH64._replace(name="loongarch64-2level", family="loongarch64", fragments=("2level.config",)),
    X86._replace(name="x86_64-clang", packages=("boot", "llvm"), make="x86_64", family="x86_64", llvm="-19"),
    ARM64._replace(name="arm64-clang", packages=("arm64", "llvm"), make="arm64", family="arm64", cross="", llvm="-19"),
    *OTHERS,
)}

MUTATED = {row.name: row for row in (X86, UM)}  # where bugs are seeded: one is fast, one has all


def mutated(name):
    if name not in MUTATED:
        raise usage(f"no bug is seeded on '{name}'", "there are: " + " ".join(MUTATED))
    return MUTATED[name]


def named(name):
    if name not in ARCHES:
        raise usage(f"no architecture '{name}'", "there are: " + " ".join(ARCHES))
    return ARCHES[name]
