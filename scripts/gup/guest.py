# SPDX-License-Identifier: GPL-2.0
"""One guest: which accelerator works, the command, and the run of it.

run() writes console.log as it comes and guest.json: how it ended. A panic gets two seconds for its
trace. A guest that hangs is stopped, see limits.py; one that prints for ever meets a limit of its
own, on what it prints.
"""

import contextlib
import errno
import os
import pathlib
import resource
import selectors
import shutil
import signal
import subprocess
import tempfile
import time

from gup import cli, limits
from gup.cli import CACHE, Failure, note

MOST_OUTPUT = 64 << 20  # all suites print 104 KiB
PANIC = b"Kernel panic - not syncing"
GRACE = 2.0
LOOK = 0.2  # seconds between two looks at the clock


# ----------------------------------------------------------------------- the accelerator

COUNT = 30_000_000
# A boot sector that counts down and then writes one byte to QEMU's debug-exit port. A KVM that
# works needs 20 ms for the count. One that emulates each instruction gets through the virtual
# BIOS, in seconds, but not through this, and no kernel would ever come up on it.
CODE = (
    b"\x66\xb9" + COUNT.to_bytes(4, "little")  # mov ecx, COUNT
    + b"\x66\x49"  # 1: dec ecx
    + b"\x75\xfc"  # jnz 1b
    + b"\xb0\x31\xe6\xf4\xf4"  # mov al, 0x31; out 0xf4, al; hlt
)
REACHED = (0x31 << 1) | 1  # what isa-debug-exit makes of it


def accelerator_runs(qemu, accel, seconds=5):
    with tempfile.NamedTemporaryFile(suffix=".img") as disk:
        disk.write(CODE.ljust(510, b"\0") + b"\x55\xaa")
        disk.flush()
        process = subprocess.Popen([
            qemu, "-nodefaults", "-display", "none", "-no-reboot", "-accel", accel, "-cpu", "max", "-smp", "2",
            "-m", "64", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-drive", f"file={disk.name},format=raw,if=ide",
        ], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        silence = limits.Silence(process.pid)
        try:
            # A KVM that does not work takes CPU time; one that gets none may work.
            while process.poll() is None and not silence.exceeds(seconds):
                time.sleep(0.01)
            return process.poll() == REACHED
        finally:
            process.kill()
            process.wait()


def kvm_runs(qemu):
    """/dev/kvm may open, create a machine and never run it, so a tiny guest is booted. The
    answer holds until the host reboots."""
    memory = CACHE / "accelerator"
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    key = f"{boot} {shutil.which(qemu)}"
    known = cli.text_of(memory).splitlines()
    if known[:1] != [key]:
        known = [key, "runs" if accelerator_runs(qemu, "kvm") else "hangs"]
        cli.write(memory, "\n".join(known) + "\n")
    return known[1] == "runs"


def append(arguments):
    return ["-append", arguments]


def in_memory(arguments):
    """The arguments at 0, which is where a kernel looks for them that finds 0 in its registers. A device writes
    eight bytes."""
    data = arguments.encode() + b"\0"
    return [word for at in range(0, len(data), 8) for word in (
        "-device", f"loader,addr={at},data-len=8,data={int.from_bytes(data[at:at + 8], 'little')}")]


class Machine:
    """What kernels of an architecture boot on here; a verb may change what is in it."""

    def __init__(self, arch, emulate=None):
        """emulate: why there must be no accelerator."""
        self.arch, self.cpus, self.memory = arch, arch.cpus, arch.memory
        self.cpu = arch.cpu  # "" for QEMU's own choice, which is that of kunit.py
        self.thread = "multi"  # or single, which -icount wants
        self.extra = []
        self.accel, self.why = ("tcg", emulate) if emulate else self.choose_accelerator()

    def choose_accelerator(self):
        if not self.arch.emulator:
            return "native", f"{self.arch.machine} is a program: nothing is emulated"
        if not self.arch.is_host:
            return "tcg", f"no accelerator runs {self.arch.name} here: using TCG"
        if not os.path.exists("/dev/kvm"):
            return "tcg", "no /dev/kvm: using TCG"
        if not os.access("/dev/kvm", os.W_OK):
            return "tcg", "no right to open /dev/kvm: using TCG"
        if kvm_runs(self.arch.emulator[0]):
            return "kvm", "KVM runs a guest"
        return "tcg", "KVM opens but does not run a guest: using TCG"

    def __str__(self):
        return f"{self.cpus} CPUs, {self.memory}, {self.accel}"

    def command(self, image, arguments, initrd=None):
        if not self.arch.emulator:
            return [str(image), f"mem={self.memory}", *([f"initrd={initrd}"] if initrd else []), *arguments]
        qemu, *board = self.arch.emulator
        accel = "kvm" if self.accel == "kvm" else f"tcg,thread={self.thread}"
        return [qemu, "-nodefaults", "-display", "none", "-no-reboot", "-accel", accel,
                *(["-cpu", self.cpu] if self.cpu else []), "-smp", str(self.cpus), "-m", self.memory, *board,
                "-kernel", str(image), *(in_memory if self.arch.bare else append)(" ".join(arguments)),
                *(["-initrd", str(initrd)] if initrd else []), *self.extra]


def probe(arch, emulate=None):
    cli.stage("probe", "accelerator")
    machine = Machine(arch, emulate)
    note(machine.why)
    return machine


def without_kvm(machine, command):
    """For a program that tries /dev/kvm by itself, and hangs where that does not run."""
    if machine.accel == "kvm" or not os.path.exists("/dev/kvm"):
        return command
    return ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c",
            'mount --bind /dev/null /dev/kvm && exec "$@"', "sh", *command]


# ------------------------------------------------------------------------------ the run

def size(path):
    return path.stat().st_size if path and path.exists() else 0


def watch(process, log, silent=limits.SILENT, also=None, until=None):
    """Copy the console; return why the run is over: exit, panic, nothing (printed), silent,
    flood, or enough (says until() of what was printed); and the silence allowed."""
    silence, progress = limits.Silence(process.pid), limits.Progress()
    end, printed, tail, panic, looked, news, grown = None, 0, b"", None, 0.0, False, 0
    os.set_blocking(process.stdout.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not end:
            selector.select(LOOK)
            # Not the end of its output: what it has started may hold that open.
            ended = process.poll() is not None
            data = process.stdout.read()
            if data:
                log.write(data)
                log.flush()
                printed += len(data)
                news = progress.add(data) or news
                if until and until(data):
                    end = "enough"
                if panic is None and PANIC in tail + data:
                    panic = limits.Silence(process.pid)
                tail = (tail + data)[-len(PANIC):]
            elif ended:
                end = "panic" if panic else "exit"
            elif data == b"":
                time.sleep(0.01)  # it is about to end, and select() does not wait any more
            if end or time.monotonic() - looked < LOOK:
                continue
            looked = time.monotonic()
            if panic and panic.exceeds(GRACE):
                end = "panic"
            elif printed > MOST_OUTPUT:
                end = "flood"
            elif news or size(also) != grown:
                news, grown = False, size(also)
                silence.restart()
            elif silence.exceeds(silent):
                end = "silent" if printed else "nothing"
    return end, silent * silence.slow


def end_all(process):
    """The guest, and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run(command, folder, silent=limits.SILENT, also=None, until=None):
    """also: another file that the guest writes, and makes progress when it grows. until: called
    with what it prints, ends it when it returns true."""
    start = time.monotonic()
    # A UML that panics dumps core, and keeps files in ~/.uml that it removes only if it ends
    # by itself. In a group of its own, since it then sends a signal to all of its group.
    with tempfile.TemporaryDirectory() as home, open(folder / "console.log", "wb") as log, \
            open(folder / "qemu.err", "wb") as err:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, start_new_session=True,
                env={**os.environ, "HOME": home}, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            raise Failure("environment", f"this machine does not run {command[0]}: {error.strerror}",
                          "a UML of 32 bits wants a kernel that has the 32-bit system calls") from error
        try:
            end, allowed = watch(process, log, silent, also, until=until)
        finally:
            end_all(process)
            process.stdout.close()
    found = {"end": end, "status": process.returncode if end == "exit" else None,
             "seconds": round(time.monotonic() - start, 2), "silence_allowed": round(allowed, 1)}
    cli.save(folder / "guest.json", found)
    return found
