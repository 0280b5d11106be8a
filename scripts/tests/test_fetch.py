# SPDX-License-Identifier: GPL-2.0
"""Getting the kernel: from a package, without a network, on a full disk, interrupted."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import LIB, SandboxTest, git, write_files  # noqa: E402

# An xz that stops in the middle of the stream until it is told to go.
SLOW_XZ = """\
#!/bin/sh
sleep 1
touch "$FAKE_STARTED"
sleep 30
"""


class Fetch(SandboxTest):
    WITH_CACHE = False
    WITH_SERIES = False

    def base(self, result):
        return re.search(r"commit (\w{40})", result.output)[1]

    def test_the_package(self):
        self.make_deb()
        result = self.good("tree", "fetch")
        self.assertIn("Linux 7.3.4 (Debian package linux-source-7.3_7.3.4-1_all)", result.output)
        # Once per user: a second run, and a second clone, take it from the cache.
        again = self.good("tree", "fetch", FAKE_APT="down")
        self.assertEqual(self.base(again), self.base(result))
        self.assertFalse((self.cache / "download").exists())

    def test_the_same_package_gives_the_same_commit(self):
        self.make_deb()
        first = self.base(self.good("tree", "fetch"))
        shutil.rmtree(self.cache / "linux.git")
        self.assertEqual(self.base(self.good("tree", "fetch")), first)

    def test_what_is_imported_is_what_was_in_the_package(self):
        self.make_deb()
        self.good("tree", "apply")
        for path in self.kernel.rglob("*"):
            if path.is_file():
                copy = self.tree() / path.relative_to(self.kernel)
                self.assertEqual(copy.read_bytes(), path.read_bytes(), path)
                self.assertEqual(os.access(copy, os.X_OK), os.access(path, os.X_OK), path)

    def test_the_line_that_ignores_all_new_files_is_left_out(self):
        write_files(self.kernel, {".gitignore": "*.o\n/*\n!/debian/\n"})
        self.make_deb()
        self.good("tree", "apply")
        self.assertEqual((self.tree() / ".gitignore").read_text(), "*.o\n")

    def test_network_gone(self):
        self.bad("fetch", "tree", "fetch", names=["Failed to fetch", "kernel.org", "--tree DIR"],
                 FAKE_APT="down")
        self.assertEqual([p.name for p in self.cache.glob("linux.git*")], [])
        # And back.
        self.make_deb()
        self.good("tree", "fetch")

    def test_without_apt_it_is_kernel_org(self):
        (self.bin / "apt-get").unlink()
        tools = self.top / "tools"
        tools.mkdir()
        for folder in reversed(os.environ["PATH"].split(":")):
            for program in pathlib.Path(folder).glob("*"):
                if program.name != "apt-get" and not (tools / program.name).is_symlink():
                    (tools / program.name).symlink_to(program)
        self.bad("fetch", "tree", "fetch", names=["no apt here", "kernel.org"],
                 PATH=f"{self.bin}:{tools}")

    def test_kernel_org(self):
        # kernel.org, played by a local repository with the tag.
        upstream = self.top / "upstream"
        shutil.copytree(self.kernel, upstream)
        git(upstream, "init", "-q")
        git(upstream, "add", "-f", "-A")
        git(upstream, "commit", "-q", "-m", "older")
        git(upstream, "commit", "-q", "--allow-empty", "-m", "Linux 7.3")
        git(upstream, "tag", "-a", "-m", "v7.3", "v7.3")
        script = self.repo / "scripts/lib/fetch.sh"
        script.write_text(re.sub(r"(?m)^UPSTREAM=.*", f"UPSTREAM=file://{upstream}", script.read_text()))
        result = self.good("tree", "fetch", FAKE_APT="down")
        self.assertIn("kernel.org tag v7.3", result.output)
        shutil.rmtree(self.cache / "linux.git")
        self.make_deb()
        self.assertEqual(self.base(self.good("tree", "fetch")), self.base(result))

    def test_a_damaged_package(self):
        deb = self.make_deb()
        whole = deb.read_bytes()
        deb.write_bytes(whole[:len(whole) * 2 // 3])
        self.bad("fetch", "tree", "fetch", names=["could not be imported"])
        self.assertFalse((self.cache / "linux.git").exists())
        deb.write_bytes(whole)
        self.good("tree", "fetch")

    def test_a_package_with_something_else(self):
        (self.kernel / "Makefile").write_text("all:\n")
        self.make_deb()
        self.bad("fetch", "tree", "fetch", names=["Makefile"])

    def test_two_at_a_time(self):
        self.make_deb()
        results = []
        threads = [threading.Thread(target=lambda: results.append(self.script("tree", "fetch")))
                   for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([r.status for r in results], [0, 0, 0], "\n".join(r.output for r in results))
        self.assertEqual(len({self.base(r) for r in results}), 1)

    def test_interrupted_in_the_download(self):
        self.make_deb()
        self.interrupt("tree", "fetch", FAKE_APT="slow",
                       when=(self.cache / "download/sources.list").exists)
        self.good("tree", "fetch")

    def test_interrupted_while_unpacking(self):
        self.make_deb()
        started = self.top / "started"
        write_files(self.bin, {"xz": SLOW_XZ})
        (self.bin / "xz").chmod(0o755)
        self.interrupt("tree", "fetch", when=started.exists, FAKE_STARTED=str(started))
        self.assertEqual([p.name for p in self.cache.glob("linux.git*")], [])
        (self.bin / "xz").unlink()
        self.good("tree", "fetch")

    def test_interrupted_in_the_import(self):
        self.make_deb()
        started = self.top / "started"
        # git fast-import that does not end; every other git is the real one.
        real = shutil.which("git")
        write_files(self.bin, {"git": f'#!/bin/sh\ncase " $* " in *" fast-import "*)\n'
                               f'touch {started}; exec sleep 30;; esac\nexec {real} "$@"\n'})
        (self.bin / "git").chmod(0o755)
        self.interrupt("tree", "fetch", when=started.exists)
        (self.bin / "git").unlink()
        self.good("tree", "fetch")

    def test_killed_in_the_import_leaves_nothing_that_looks_whole(self):
        self.make_deb()
        (self.cache / "linux.git.new").mkdir()
        (self.cache / "linux.git.new/HEAD").write_text("half")
        self.good("tree", "fetch")


@unittest.skipUnless(os.geteuid() == 0, "mounting a small disk needs root")
class DiskFull(SandboxTest):
    WITH_CACHE = False
    WITH_SERIES = False

    def small_cache(self, size):
        shutil.rmtree(self.top / "cache")
        self.cache.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(self.cache)], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.cache)], check=True)

    def test_too_small_from_the_start(self):
        self.small_cache("20M")
        self.make_deb()
        self.bad("fetch", "tree", "fetch", names=["not enough disk space", "20 MiB free"])

    def test_full_in_the_middle(self):
        self.small_cache("24M")
        self.make_deb(extra={"big1": 8 << 20, "big2": 8 << 20})
        # As if the space had gone after the check.
        script = self.repo / "scripts/lib/fetch.sh"
        script.write_text(script.read_text().replace('need_space "$CACHE" 700 fetch', ":"))
        self.bad("fetch", "tree", "fetch", names=["disk", "same command"])
        self.assertFalse((self.cache / "linux.git").exists())
        subprocess.run(["mount", "-o", "remount,size=300M", str(self.cache)], check=True)
        self.good("tree", "fetch")


class Probe(unittest.TestCase):
    def run_probe(self, *arguments):
        return subprocess.run([sys.executable, str(LIB / "probe.py"), *arguments], check=False).returncode

    def test_an_accelerator_that_works_is_found_to(self):
        self.assertEqual(self.run_probe("qemu-system-x86_64", "tcg", "20"), 0)

    def test_one_that_does_not_exist(self):
        self.assertEqual(self.run_probe("qemu-system-x86_64", "nonesuch"), 1)

    def test_one_that_hangs_costs_no_more_than_its_limit(self):
        import tempfile
        with tempfile.TemporaryDirectory() as top:
            fake = pathlib.Path(top, "qemu")
            fake.write_text("#!/bin/sh\nexec sleep 60\n")
            fake.chmod(0o755)
            import time
            start = time.monotonic()
            self.assertEqual(self.run_probe(str(fake), "kvm", "1"), 1)
            self.assertLess(time.monotonic() - start, 10)


class Accelerator(SandboxTest):
    @unittest.skipUnless(os.access("/dev/kvm", os.W_OK), "there is no /dev/kvm to be wrong about")
    def test_kvm_that_does_not_run_a_guest_is_said(self):
        (self.cache / "accelerator").unlink()
        fake = self.bin / "qemu-system-x86_64"
        fake.write_text(fake.read_text().replace("#!/bin/sh\n", '#!/bin/sh\ncase " $* " in *isa-debug-exit*) exec sleep 60;; esac\n'))
        result = self.good("boot")
        self.assertIn("KVM opens but does not run a guest: using TCG", result.output)
        # Remembered until the host boots again.
        self.assertEqual((self.cache / "accelerator").read_text().splitlines()[1], "hangs")


if __name__ == "__main__":
    unittest.main()
