# SPDX-License-Identifier: GPL-2.0
"""The architectures of --arch: all that differs between them, but for what configs/arch/NAME/
has in place of configs/fragments/."""

from typing import NamedTuple

from gup.cli import usage


class Arch(NamedTuple):
    """An architecture, and the guest that its kernel boots in."""
    name: str  # as the kernel's make has it, too
    image: str  # what boots, in the folder of the build
    end: str  # the line of a guest that has done all
    off: str  # what an init calls to end the guest
    packages: tuple  # groups of packages.py, beside those that every build needs
    emulator: tuple = ()  # QEMU and its machine; none for a kernel that is a program
    compiler: str = "gcc"
    cpus: int = 2
    memory: str = "4G"

    @property
    def machine(self):
        return "QEMU" if self.emulator else "UML"

    def suffix(self, config):
        """Of the folder that this configuration is built in."""
        if self is X86:
            return config
        return self.name if config == "reference" else f"{self.name}-{config}"


X86 = Arch("x86_64", "arch/x86/boot/bzImage", r"reboot: (Restarting system|machine restart)", "reboot",
           ("boot",), ("qemu-system-x86_64", "-bios", "qboot.rom", "-serial", "stdio"))
# To reboot a UML is to run it again.
UM = Arch("um", "linux", r"reboot: System halted", "halt", (), cpus=1, memory="2G")
ARCHES = {arch.name: arch for arch in (X86, UM)}


def named(name):
    if name not in ARCHES:
        raise usage(f"no architecture '{name}'", "there are: " + " ".join(ARCHES))
    return ARCHES[name]
