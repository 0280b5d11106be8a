# SPDX-License-Identifier: GPL-2.0
"""probe.py QEMU ACCEL [SECONDS]: does this accelerator run a guest? Status 0 or 1.

The guest is a boot sector that counts down from 30 million and then writes one
byte to QEMU's debug-exit port. A KVM that works needs 20 ms for the count. One
that emulates each instruction gets through the virtual BIOS, in seconds, but
not through this, and no kernel would ever come up on it.
"""

import subprocess
import sys
import tempfile
import time

from guest import Silence

COUNT = 30_000_000
CODE = (
    b"\x66\xb9" + COUNT.to_bytes(4, "little")  # mov ecx, COUNT
    + b"\x66\x49"  # 1: dec ecx
    + b"\x75\xfc"  # jnz 1b
    + b"\xb0\x31\xe6\xf4\xf4"  # mov al, 0x31; out 0xf4, al; hlt
)
REACHED = (0x31 << 1) | 1  # what isa-debug-exit makes of it


def runs(qemu, accel, seconds):
    with tempfile.NamedTemporaryFile(suffix=".img") as disk:
        disk.write(CODE.ljust(510, b"\0") + b"\x55\xaa")
        disk.flush()
        command = [
            qemu, "-nodefaults", "-display", "none", "-no-reboot", "-accel", accel,
            "-cpu", "max", "-smp", "2", "-m", "64",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-drive", f"file={disk.name},format=raw,if=ide",
        ]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        silence = Silence(process.pid)
        try:
            # A KVM that does not work takes CPU time; one that gets none may work.
            while process.poll() is None and not silence.exceeds(seconds):
                time.sleep(0.01)
            return process.poll() == REACHED
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    limit = float(sys.argv[3]) if len(sys.argv) > 3 else 5
    sys.exit(0 if runs(sys.argv[1], sys.argv[2], limit) else 1)
