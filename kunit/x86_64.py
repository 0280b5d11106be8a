# SPDX-License-Identifier: GPL-2.0
"""A guest for kunit.py --qemu_config in which all suites find what they need.

Two CPUs, so that there are races; memory and a CPU with 1 GiB pages, so that there
are PUD leaves. The Kconfig part is that of kunit.py's own x86_64.py, and what only this
architecture has: both can share a --build_dir if the other gets it by --kconfig_add.
"""

from ..qemu_config import QemuArchParams

QEMU_ARCH = QemuArchParams(
    linux_arch='x86_64',
    kconfig='''
CONFIG_SERIAL_8250=y
CONFIG_SERIAL_8250_CONSOLE=y
CONFIG_X86_USER_SHADOW_STACK=y
CONFIG_CHECKPOINT_RESTORE=y
CONFIG_MEM_SOFT_DIRTY=y''',
    qemu_arch='x86_64',
    kernel_path='arch/x86/boot/bzImage',
    kernel_command_line=('console=ttyS0 kunit.filter=speed>slow '
                         'hugepagesz=2M hugepages=64 hugepagesz=1G hugepages=1'),
    extra_qemu_params=['-bios', 'qboot.rom', '-smp', '2', '-m', '4G', '-cpu', 'max'])
