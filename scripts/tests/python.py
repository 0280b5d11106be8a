# SPDX-License-Identifier: GPL-2.0
"""python.py EXECUTABLE: a Python that has started already, for the scripts in sandboxes.

A run of scripts/boot starts six, and what takes their time is what they import from the
standard library, and to free it all in the end. Here that is imported once. python3.c, which is
EXECUTABLE, and python3 in a sandbox, asks for a fork of this process, which runs what it would
have run, and has its arguments, environment, folder, umask and open files.

Our standard input is the socket that it asks at. We end with the process that has started us.
"""

import array
import atexit
import fcntl
import gc
import importlib
import os
import pathlib
import select
import signal
import socket
import struct
import sys
import threading
import types
from contextlib import suppress
from importlib.machinery import SourceFileLoader

PARENT = os.getppid()
# What scripts/lib and the kernel's kunit.py import. That of a sandbox they import themselves.
STANDARD = ("argparse bisect concurrent.futures.thread dataclasses datetime difflib fnmatch hashlib importlib.util "
            "json pathlib resource selectors shlex shutil statistics subprocess tarfile tempfile textwrap typing "
            "xml.sax.saxutils")
MOST = 100  # open files, as in python3.c
HEAD = struct.Struct(f"{4 + MOST}i")
ABOVE = 300  # all that a client has open is below


def serve(listener):
    """In a fork: the socket of its client."""
    clients = {}
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while os.getppid() == PARENT:
        # One at a time: what comes next may have been closed by then, and opened for another.
        ready = next((file for file, _ in poll.poll(1000)), None)
        if ready == listener.fileno():
            client, _ = listener.accept()
            pid = os.fork()
            if not pid:
                return client
            with suppress(OSError):  # it has done it itself, and ended
                os.setpgid(pid, pid)
            answer(client, pid)
            end = os.pidfd_open(pid)
            clients[end] = clients[client.fileno()] = (client, pid, end)
            poll.register(end, select.POLLIN)
            poll.register(client, 0)  # which tells of its end alone
        elif ready is not None:
            client, pid, end = clients[ready]
            if ready != end:
                os.killpg(pid, signal.SIGKILL)  # as its client was
            answer(client, os.waitpid(pid, 0)[1])
            for one in (client.fileno(), end):
                poll.unregister(one)
                del clients[one]
            os.close(end)
            client.close()
    sys.exit()


def answer(client, number):
    with suppress(OSError):  # it was killed
        client.sendall(struct.pack("i", number))


def become(client):
    """Take the place of the client: (its arguments, its environment)."""
    os.setpgid(0, 0)
    data, control, _, _ = client.recvmsg(HEAD.size, socket.CMSG_SPACE(4 * MOST))
    umask, ignored, count, open_files, *numbers = HEAD.unpack(data)
    received = array.array("i")
    received.frombytes(control[0][2])
    words = client.makefile("rb").read().split(b"\0")[:-1]
    os.umask(umask)
    os.fchdir(received[open_files])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if ignored & 1 << number:
            signal.signal(number, signal.SIG_IGN)
    # Each to its number, over whatever has that here.
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, ABOVE) for file in received]
    client.detach()
    os.closerange(0, ABOVE)
    for file, number in zip(moved, numbers[:open_files]):
        os.dup2(file, number)
    os.closerange(ABOVE, max(moved) + 1)
    return words[:count], dict(word.split(b"=", 1) for word in words[count:] if b"=" in word)


def code(arguments):
    """What python3 -S with these arguments runs."""
    what, *rest = (os.fsdecode(word) for word in arguments[2:])
    sys.path[0], name = "", None
    if what == "-c":
        text, sys.argv = rest[0], ["-c", *rest[1:]]
    elif what == "-":
        text, sys.argv = sys.stdin.read(), ["-", *rest]
    else:
        sys.path[0], name, sys.argv = os.path.dirname(os.path.realpath(what)), what, [what, *rest]
        with open(what, "rb") as file:
            text = file.read()
    return compiled(text, name or "<string>"), name


def compiled(text, name):
    return CODE.get(text) or compile(text, name, "exec", dont_inherit=True)


# Sandboxes have copies of these.
LIB = pathlib.Path(__file__).resolve().parent.parent / "lib"
CODE = {path.read_bytes(): compile(path.read_bytes(), path, "exec", dont_inherit=True) for path in LIB.glob("*.py")}
SourceFileLoader.source_to_code = lambda _, text, name: compiled(text, name)
for module in STANDARD.split():
    importlib.import_module(module)
gc.freeze()
words, environment = become(serve(socket.socket(fileno=0)))
os.environb.clear()
os.environb.update(environment)
sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(":"))
sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
sys.executable = sys.argv[1]
run, name = code(words)
main = sys.modules["__main__"] = types.ModuleType("__main__")
if name:
    main.__file__ = name
status = 0
try:
    exec(run, main.__dict__)
except SystemExit as end:
    if not isinstance(end.code, (int, types.NoneType)):
        raise
    status = end.code or 0
# The end of any Python, but that it frees nothing.
threading._shutdown()
atexit._run_exitfuncs()
sys.stdout.flush()
os._exit(status & 255)
