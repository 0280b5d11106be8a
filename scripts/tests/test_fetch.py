# SPDX-License-Identifier: GPL-2.0
"""Getting the kernel: from a mirror's suites, by git, on a full disk, interrupted."""

import contextlib
import functools
import hashlib
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import GUP_C, HANG, KERNEL, ROOT, SandboxTest, git, programs, write_files  # noqa: E402

from gup import cli, debian, guest, pristine, source, upstream  # noqa: E402

NAME = "linux-source-7.3"
# The machine's apt has this configuration alone, and nothing is installed.
APT_CONFIG = """\
Dir::Etc { main "/dev/null"; parts "/dev/null"; sourcelist "%(top)s/sources.list"; sourceparts "/dev/null"; };
Dir::State::Lists "%(top)s/lists";
Dir::Cache "%(top)s/apt";
Acquire { AllowInsecureRepositories "true"; http::Proxy "DIRECT"; Retries::Delay "false"; };
APT::Get::AllowUnauthenticated "true";
"""
APT_GET = f"""\
case " $* " in *" install "*) exit 100 ;; esac
exec {shutil.which("apt-get")} "$@"
"""
# An xz that stops in the middle of the stream.
SLOW_XZ = f"""\
touch "$FAKE_STARTED"
exec {HANG}
"""


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, notes what was asked for, and can continue a file."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        first = re.match(r"bytes=(\d+)-$", self.headers.get("Range") or "")
        path = pathlib.Path(self.translate_path(self.path))
        if path.suffix != ".deb" or not path.is_file():
            return super().do_GET()
        content = path.read_bytes()
        start = int(first[1]) if first else 0
        self.send_response(206 if first else 200)
        self.send_header("Last-Modified", self.date_time_string(int(path.stat().st_mtime)))
        self.send_header("Content-Length", str(len(content) - start))
        if first:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.server.stall:
            self.wfile.write(content[start:len(content) // 2])
            self.wfile.flush()
            self.server.stalled.set()
            self.server.closing.wait()
        else:
            self.wfile.write(content[start:])
        return None


class Mirror:
    """A Debian mirror of a few suites, with real lists for the real apt-get."""

    def __init__(self, top):
        self.top, self.number = top / "mirror", 0
        self.architecture = subprocess.run(["dpkg", "--print-architecture"], check=True, text=True,
                                           capture_output=True).stdout.strip()
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Server, directory=str(self.top)))
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # apt closes connections as it likes
        self.server.asked, self.server.stall = [], False
        self.server.stalled, self.server.closing = threading.Event(), threading.Event()
        self.address = f"http://127.0.0.1:{self.server.server_port}/debian/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def publish(self, suite, *packages, codename=None):
        """A suite with these [(version, path of the .deb)]."""
        self.number += 1
        folder = self.top / "debian/dists" / suite
        lists = f"main/binary-{self.architecture}/Packages"
        # apt does not even ask for a list of nothing.
        text = "Package: other\nVersion: 1\nArchitecture: all\nFilename: pool/other\n\n"
        for version, deb in packages:
            content = deb.read_bytes()
            text += (f"Package: {NAME}\nVersion: {version}\nArchitecture: all\n"
                     f"Maintainer: nobody <nobody@invalid>\nDescription: fake\n"
                     f"Filename: pool/{deb.name}\nSize: {len(content)}\n"
                     f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n")
            (self.top / "debian/pool").mkdir(parents=True, exist_ok=True)
            shutil.copy(deb, self.top / "debian/pool")
        write_files(folder, {lists: text, "Release": (
            f"Origin: Debian\nLabel: Debian\nSuite: {suite}\nCodename: {codename or suite}\n"
            f"Date: Sat, 28 Nov 2026 00:00:{self.number:02} UTC\nArchitectures: {self.architecture}\n"
            f"Components: main\nSHA256:\n {hashlib.sha256(text.encode()).hexdigest()} {len(text)} {lists}\n")})
        # apt takes no other list of the same date, nor asks for one of the same second.
        os.utime(folder / "Release", (1_700_000_000 + self.number,) * 2)

    def asked(self, part):
        """The requests for files with this in their names."""
        return [(path, start) for path, start in self.server.asked if part in path]


@unittest.skipUnless(shutil.which("apt-get"), "needs apt-get")
class MirrorTest(SandboxTest):
    """Its machine's apt uses the mirror, of which it has fetched no list yet."""

    WITH_CACHE = False
    WITH_SERIES = False

    def setUp(self):
        super().setUp()
        self.mirror = Mirror(self.top)
        self.addCleanup(self.mirror.close)
        self.mirror.publish("trixie")
        programs(self.bin, {"apt-get": APT_GET})
        write_files(self.top, {"sources.list": f"deb {self.mirror.address} trixie main\n",
                               "apt.conf": APT_CONFIG % {"top": self.top}})
        self.environment["APT_CONFIG"] = str(self.top / "apt.conf")
        # What is asked for but not there takes most of the time; all of them are in Lists.
        with open(self.repo / "scripts/gup/debian.py", "a", encoding="utf-8") as module:
            module.write('\nSUITES = ("sid", "experimental", "forky", "trixie", "trixie-backports")\n')

    def deb(self, version, files=(), extra=()):
        """A package as Debian's, holding the fake kernel with these files instead."""
        top = self.top / f"packages/{version}"
        shutil.copytree(self.kernel, top / NAME)
        write_files(top / NAME, dict(files))
        for name, size in dict(extra).items():
            (top / NAME / name).write_bytes(os.urandom(size))
        write_files(top / "deb", {"DEBIAN/control": (
            f"Package: {NAME}\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: nobody <nobody@invalid>\nDescription: fake\n")})
        (top / "deb/usr/src").mkdir(parents=True)
        subprocess.run(["tar", "-C", str(top), "-cJf", str(top / f"deb/usr/src/{NAME}.tar.xz"), NAME],
                       check=True, env=dict(os.environ, XZ_OPT="-0"))
        deb = top / f"{NAME}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "-Znone", "-b", str(top / "deb"), str(deb)], check=True,
                       stdout=subprocess.DEVNULL)
        return deb

    def offer(self, suite, version="7.3.4-1", **contents):
        """A suite with this package; where it is in the mirror's pool."""
        deb = self.deb(version, **contents)
        self.mirror.publish(suite, (version, deb))
        return self.mirror.top / "debian/pool" / deb.name

    def record(self):
        """patches/base, made on the fake kernel as it is now."""
        blob = git(self.top, "hash-object", str(self.kernel / "mm/gup.c"))
        write_files(self.repo, {"patches/base": f"# comment\nversion 7.3.4\n{blob} mm/gup.c\n"})

    def kernel_org(self, **tags):
        """kernel.org, played by a repository with these tags of {tag: files}."""
        repository = self.top / "upstream"
        shutil.copytree(self.kernel, repository)
        git(repository, "init", "-q")
        git(repository, "config", "uploadpack.allowFilter", "true")
        for name, files in tags.items():
            write_files(repository, files)
            git(repository, "add", "-f", "-A")
            git(repository, "commit", "-q", "--allow-empty", "-m", name)
            git(repository, "tag", "-a", "-m", name, name.replace("_", "."))
        self.environment.update(GIT_CONFIG_COUNT="1", GIT_CONFIG_VALUE_0=upstream.STABLE,
                                GIT_CONFIG_KEY_0=f"url.file://{repository}.insteadOf")

    def base(self, result):
        return re.search(r"commit (\w{40})", result.output)[1]


OTHER = {"mm/gup.c": GUP_C.replace("four", "five")}


class Suites(MirrorTest):
    """Which package is taken, by the whole verb."""

    def test_the_one_that_matches_is_looked_for_in_every_suite(self):
        shutil.copy(ROOT / "scripts/gup/debian.py", self.repo / "scripts/gup")  # all of them
        self.record()
        self.offer("sid", "7.3.6-1", files=OTHER)
        self.offer("experimental", "7.3.5-1")
        self.offer("trixie-backports", "7.3.4-1")
        result = self.good("tree", "fetch")
        self.assertIn("7.3.6-1 in sid: differs from the recorded 7.3.4 in mm/gup.c", result.output)
        self.assertIn("taken: linux-source-7.3 7.3.5-1 in experimental", result.output)
        # No more is downloaded than it takes to know.
        self.assertEqual([path.rpartition("/")[2] for path, _ in self.mirror.asked(".deb")],
                         [f"{NAME}_7.3.6-1_all.deb", f"{NAME}_7.3.5-1_all.deb"])

    def test_a_package_that_is_listed_and_not_there(self):
        self.offer("sid", "7.3.5-1").unlink()
        self.offer("trixie-backports")
        result = self.good("tree", "fetch")
        self.assertRegex(result.output, r"7\.3\.5-1 in sid: could not be downloaded: .* 404 ")
        self.assertIn("taken: linux-source-7.3 7.3.4-1 in trixie-backports", result.output)

    def test_a_package_that_is_no_kernel(self):
        self.offer("sid", "7.3.6-1", files={"Makefile": "all:\n"})
        self.offer("forky", "7.3.5-1", files={"Makefile": KERNEL["Makefile"].replace("= 3", "= 2")})
        self.offer("trixie-backports")
        result = self.good("tree", "fetch")
        self.assertIn("7.3.6-1 in sid: could not be imported: no kernel: its Makefile", result.output)
        self.assertIn("7.3.5-1 in forky: this kernel is 7.2.4", result.output)
        self.assertIn("Linux 7.3.4 (Debian package linux-source-7.3_7.3.4-1_all)", result.output)

    def test_no_suite_has_one_and_kernel_org_does(self):
        self.record()
        self.mirror.publish("sid")
        self.mirror.publish("trixie-backports")
        self.kernel_org(v7_3=OTHER, v7_3_4=KERNEL, v7_3_5=OTHER)
        result = self.good("tree", "fetch")
        self.assertIn("Debian has no linux-source-7.3; looked in sid, trixie-backports", result.output)
        self.assertIn("v7.3.5: differs from the recorded 7.3.4 in mm/gup.c", result.output)
        self.assertIn("Linux 7.3.4 (kernel.org tag v7.3.4)", result.output)
        # The same tree has the same commit, wherever it came from.
        shutil.rmtree(self.cache / "linux.git")
        self.offer("sid")
        self.assertEqual(self.base(self.good("tree", "fetch")), self.base(result))

    def test_backports_are_for_the_newest_of_any_release(self):
        """One that is too old for the series may have the kernel of others."""
        for version in ("7.2", "7.3"):
            write_files(self.repo, {f"patches/stable/{version}/series": f"# BASE v{version}\nnone.patch\n"})
        self.offer("trixie", "7.3.5-1")
        self.offer("sid", "7.3.4-1")
        result = self.bad("apply", "check", "--stable", "7.3", names=[
            "patches/stable/7.3/series line 2 names patches/none.patch, which does not exist"])
        self.assertIn("taken: linux-source-7.3 7.3.5-1 in trixie", result.output)
        self.assertEqual([path.name for path in self.cache.glob("linux*")], ["linux-7.3.git"])
        self.bad("fetch", "check", "--stable", "7.2", names=["no package of Debian has Linux 7.2", "--tree DIR"])

    def test_none_is_left(self):
        self.record()
        self.offer("sid", files=OTHER)
        write_files(self.repo, {"series": "# BASE v7.3\nelsewhere.patch\n", "patches/elsewhere.patch": (
            "From: Test <test@invalid>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nSubject: [PATCH] elsewhere\n\n"
            "A reason.\n---\n--- a/mm/none.c\n+++ b/mm/none.c\n@@ -1 +1 @@\n-one\n+two\n")})
        self.bad("fetch", "tree", "fetch", names=[
            "differs from the recorded 7.3.4 in mm/gup.c", "kernel.org: fatal: transport 'https' not allowed",
            "elsewhere.patch", "the series applies to none", "get Linux 7.3.4 yourself", "--tree DIR"])
        self.assertEqual([p.name for p in self.cache.glob("linux.git*")], [])

    def test_the_nearest_is_said_to_be_that_in_each_run(self):
        self.record()
        self.offer("sid", files=OTHER)
        for result in (self.good("tree", "fetch"), self.good("tree", "apply")):
            self.assertIn("other contents than the recorded 7.3.4 in: mm/gup.c; it is the nearest", result.output)
            self.assertIn("7.3.4-1_all, the nearest to 7.3.4", result.output)

    def test_a_mirror_that_does_not_answer(self):
        self.mirror.close()
        result = self.bad("fetch", "tree", "fetch", names=["Could not connect", "kernel.org", "--tree DIR"])
        # Once, and not for each of its suites.
        self.assertEqual(re.findall(r"Could not connect.*\((\S+)\)$", result.output, re.M), ["trixie"], result.output)
        self.assertEqual([p.name for p in self.cache.glob("linux.git*")], [])


class Lists(MirrorTest):
    """What is found in the lists, by the module alone."""

    def titles(self):
        said = []
        with mock.patch.dict(os.environ, self.environment):
            found = [package.title for package in debian.candidates(self.top / "download", NAME, said.append)]
        return found, said

    def publish(self, **suites):
        """{suite: version}; the packages themselves are never asked for."""
        (self.top / "any.deb").write_text("")
        for suite, version in suites.items():
            self.mirror.publish(suite.replace("_", "-"), (version, self.top / "any.deb"))

    def test_the_newest_first_by_debians_order(self):
        self.publish(sid="7.3~rc5-1~exp1", forky="7.3.10-1", experimental="7.3.9-1",
                     trixie_backports="7.3.9-1~bpo13+1", forky_proposed_updates="7.3.10-1")
        found, said = self.titles()
        self.assertEqual(found, [f"{NAME} {rest}" for rest in (
            "7.3.10-1 in forky, forky-proposed-updates", "7.3.9-1 in experimental",
            "7.3.9-1~bpo13+1 in trixie-backports", "7.3~rc5-1~exp1 in sid")])
        self.assertEqual(said, [])

    def test_a_release_by_two_names_is_fetched_once_and_an_old_one_not_at_all(self):
        for suite, codename in {"stable": "trixie", "testing": "forky", "forky": "forky"}.items():
            self.mirror.publish(suite, codename=codename)
        self.titles()
        self.assertEqual([path.split("/")[3] for path, _ in self.mirror.asked("Packages")], ["forky"])

    def test_one_broken_suite(self):
        self.publish(sid="7.3.5-1", forky="7.3.4-1")
        lists = next((self.mirror.top / "debian/dists/sid").rglob("Packages"))
        lists.write_text(lists.read_text().replace("7.3.5", "7.3.6"))
        found, said = self.titles()
        self.assertEqual(found, [f"{NAME} 7.3.4-1 in forky"])
        self.assertEqual(len(said), 1)
        self.assertRegex(said[0], r"^Hash Sum mismatch|^File has unexpected size")
        self.assertIn("(sid)", said[0])

    def test_mirrors_are_told_by_their_origin_once_there_are_lists(self):
        (self.mirror.top / "debian").rename(self.mirror.top / "other")
        (self.mirror.top / "other/dists/trixie").rename(self.mirror.top / "other/dists/forky")
        address = self.mirror.address.replace("debian", "other")
        write_files(self.top, {"sources.list": f"deb {address} forky main\n"})
        (self.top / "lists/partial").mkdir(parents=True)
        with mock.patch.dict(os.environ, self.environment):
            self.assertEqual(debian.mirrors(), {})
            subprocess.run(["apt-get", "-q", "update"], check=True, capture_output=True)
            self.assertEqual(debian.mirrors(), {address: "forky"})


class Choice(unittest.TestCase):
    """Which of the candidates is taken, and what is said."""

    class Candidate:
        def __init__(self, title, files, wrong=None):
            self.title, self.files, self.wrong = title, files, wrong

        def blob(self, _, path):
            if self.wrong:
                raise cli.Failure("fetch", self.wrong)
            return self.files[path]

        def commit(self, _):
            return self.title

    def choose(self, candidates, apply=()):
        """(title, files that differ) of the choice; apply: on which the series does not."""
        recorded = mock.Mock(version="7.3.4")
        recorded.differing = lambda blob: [path for path in "abc" if blob(path) != "same"]
        self.said = []

        def apply_series(_, commit, __):
            if commit in apply:
                raise cli.Failure("apply", f"no patch applies to {commit}")

        with contextlib.ExitStack() as stack:
            for target, value in ((source.series, {"apply_series": apply_series, "Series": mock.Mock()}),
                                  (source.pristine, {"check_version": mock.Mock()}),
                                  (source, {"note": self.said.append}), (source.cli, {"need_space": mock.Mock()})):
                stack.enter_context(mock.patch.multiple(target, **value))
            chosen, commit, differ = source.pick("repository", candidates, recorded)
        self.assertEqual(commit, chosen.title)
        return chosen.title, "".join(differ)

    def candidate(self, title, differ, **keywords):
        return self.Candidate(title, {path: "other" if path in differ else "same" for path in "abc"}, **keywords)

    def test_the_first_that_matches_and_no_other_is_asked_for_then(self):
        def candidates():
            yield self.candidate("new", "a")
            yield self.candidate("good", "")
            self.fail("asked for another one")

        self.assertEqual(self.choose(candidates()), ("good", ""))
        self.assertEqual(self.said, ["new: differs from the recorded 7.3.4 in a"])

    def test_one_that_cannot_be_had_does_not_end_the_search(self):
        self.assertEqual(self.choose([self.candidate("gone", "", wrong="404"),
                                      self.candidate("good", "")]), ("good", ""))
        self.assertEqual(self.said, ["gone: 404"])

    def test_the_nearest_differs_in_the_fewest_files_and_the_series_applies(self):
        three = [self.candidate("far", "abc"), self.candidate("near", "a"), self.candidate("as near", "b")]
        self.assertEqual(self.choose(three), ("near", "a"))
        self.assertEqual(self.choose(three, apply=("near",)), ("as near", "b"))
        self.assertEqual(self.choose(three, apply=("near", "as near")), ("far", "abc"))
        with self.assertRaises(cli.Failure) as failure:
            self.choose(three, apply=("near", "as near", "far"))
        self.assertIn("applies to none", failure.exception.what)

    def test_nothing_at_all(self):
        with self.assertRaises(cli.Failure) as failure:
            self.choose([])
        self.assertIn("could be had", failure.exception.what)
        self.assertIn("get Linux 7.3.4 yourself", failure.exception.step)


class Record(unittest.TestCase):
    """patches/base, written on a stable release."""

    class FakeGit:
        def __init__(self, sublevel, blob):
            self.makefile, self.id = f"VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = {sublevel}\n", blob

        def text(self, verb, *_):
            return {"show": self.makefile, "diff": "mm/gup.c\nmm/tests/new.c\n"}[verb]

        def blob(self, _, path):
            return self.id if path == "mm/gup.c" else ""

    def test_another_release_with_the_same_files_changes_nothing(self):
        with tempfile.TemporaryDirectory() as top, \
                mock.patch.object(pristine, "RECORD", pathlib.Path(top, "base")) as record:
            record.write_text(pristine.base_record(self.FakeGit(4, "a" * 40), "base", "head"))
            self.assertIn(f"version 7.3.4\n{'a' * 40} mm/gup.c\n", record.read_text())
            self.assertEqual(pristine.base_record(self.FakeGit(9, "a" * 40), "base", "head"), record.read_text())
            self.assertIn("version 7.3.9\n", pristine.base_record(self.FakeGit(9, "b" * 40), "base", "head"))


class Fetch(MirrorTest):
    def test_the_package(self):
        self.offer("trixie-backports")
        # A run that was killed leaves nothing that looks whole.
        write_files(self.cache, {"linux.git.new/HEAD": "half"})
        result = self.good("tree", "fetch")
        self.assertIn("Linux 7.3.4 (Debian package linux-source-7.3_7.3.4-1_all)", result.output)
        # Once per user: a second run, and a second clone, take it from the cache.
        self.mirror.close()
        again = self.good("tree", "fetch")
        self.assertEqual(self.base(again), self.base(result))
        self.assertFalse((self.cache / "download").exists())

    def test_what_is_imported_is_what_was_in_the_package(self):
        """But for the line that ignores all new files."""
        write_files(self.kernel, {".gitignore": "*.o\n/*\n!/debian/\n"})
        self.offer("trixie-backports")
        self.good("tree", "apply")
        write_files(self.kernel, {".gitignore": "*.o\n"})
        for path in self.kernel.rglob("*"):
            if path.is_file():
                copy = self.tree() / path.relative_to(self.kernel)
                self.assertEqual(copy.read_bytes(), path.read_bytes(), path)
                self.assertEqual(os.access(copy, os.X_OK), os.access(path, os.X_OK), path)

    def test_without_apt_it_is_kernel_org(self):
        (self.bin / "apt-get").unlink()
        tools = self.top / "tools"
        tools.mkdir()
        for folder in reversed(os.environ["PATH"].split(":")):
            for program in pathlib.Path(folder).glob("*"):
                if program.name != "apt-get" and not (tools / program.name).is_symlink():
                    (tools / program.name).symlink_to(program)
        self.kernel_org(v7_3={})
        result = self.good("tree", "fetch", PATH=f"{self.bin}:{tools}")
        self.assertIn("no apt here", result.output)
        self.assertIn("kernel.org tag v7.3", result.output)

    def test_of_kernel_orgs_tags_only_directories_are_looked_at(self):
        self.record()
        self.kernel_org(v7_3=OTHER, v7_3_1=OTHER, v7_3_2={"mm/gup.c": "int last;\n"})
        said = []
        with mock.patch.dict(os.environ, self.environment):
            tags = list(upstream.candidates(self.top / "tags.git", "7.3", said.append))
        self.assertEqual([tag.name for tag in tags], ["v7.3.2", "v7.3.1", "v7.3"])
        self.assertEqual(tags[0].blob(None, "mm/gup.c"),
                         git(self.top, "hash-object", str(self.top / "upstream/mm/gup.c")))
        kinds = git(self.top / "tags.git", "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)")
        self.assertEqual(set(kinds.split()), {"tag", "commit", "tree"})

    def test_a_package_that_cannot_be_unpacked(self):
        pool = self.offer("trixie-backports")
        whole = pool.read_bytes()
        broken = self.top / pool.name
        broken.write_bytes(whole[:len(whole) * 2 // 3])
        self.mirror.publish("trixie-backports", ("7.3.4-1", broken))
        self.bad("fetch", "tree", "fetch", names=["could not be imported"])
        self.assertFalse((self.cache / "linux.git").exists())
        broken.write_bytes(whole)
        self.mirror.publish("trixie-backports", ("7.3.4-1", broken))
        self.good("tree", "fetch")

    def test_a_kept_package_is_checked(self):
        pool = self.offer("trixie-backports")
        size = pool.stat().st_size
        for content in (b"x" * size, pool.read_bytes()):
            (self.top / "download").mkdir(exist_ok=True)
            (self.top / "download" / pool.name).write_bytes(content)
            with mock.patch.dict(os.environ, self.environment):
                package, = debian.candidates(self.top / "download", NAME, self.fail)
                package.apt.download(f"{package.name}={package.version}", package.path)
            self.assertEqual(package.path.read_bytes(), pool.read_bytes())
        # A damaged one is downloaded anew, a good one not again.
        self.assertEqual(len(self.mirror.asked(".deb")), 1)

    def test_two_at_a_time(self):
        self.offer("trixie-backports")
        results = []
        threads = [threading.Thread(target=lambda: results.append(self.script("tree", "fetch")))
                   for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([r.status for r in results], [0, 0], "\n".join(r.output for r in results))
        self.assertEqual(len({self.base(r) for r in results}), 1)

    def test_interrupted_in_the_download(self):
        self.offer("trixie-backports")
        self.mirror.server.stall = True
        self.interrupt("tree", "fetch", when=self.mirror.server.stalled.is_set)
        self.mirror.server.stall = False
        self.good("tree", "fetch")
        # The second run asks for the rest alone, and for no list again.
        self.assertEqual(len(self.mirror.asked("/Packages")), 1)
        self.assertRegex(self.mirror.asked(".deb")[-1][1], r"^bytes=[1-9]\d*-$")

    def test_interrupted_while_unpacking(self):
        self.offer("trixie-backports")
        started = self.top / "started"
        programs(self.bin, {"xz": SLOW_XZ})
        self.interrupt("tree", "fetch", when=started.exists, FAKE_STARTED=str(started))
        self.assertEqual([p.name for p in self.cache.glob("linux.git*")], [])
        (self.bin / "xz").unlink()
        self.good("tree", "fetch")
        self.assertEqual(len(self.mirror.asked(".deb")), 1)

    def test_interrupted_in_the_import(self):
        self.offer("trixie-backports")
        started = self.top / "started"
        # git fast-import that does not end; every other git is the real one.
        real = shutil.which("git")
        programs(self.bin, {"git": f'case " $* " in *" fast-import "*)\n'
                               f'touch {started}; exec {HANG};; esac\nexec {real} "$@"\n'})
        self.interrupt("tree", "fetch", when=started.exists)
        (self.bin / "git").unlink()
        self.good("tree", "fetch")


@unittest.skipUnless(os.geteuid() == 0, "mounting a small disk needs root")
class DiskFull(MirrorTest):
    def small_cache(self, size):
        shutil.rmtree(self.top / "cache")
        self.cache.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(self.cache)], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.cache)], check=True)

    def test_too_small_from_the_start(self):
        self.small_cache("20M")
        self.offer("trixie-backports")
        self.bad("fetch", "tree", "fetch", names=["not enough disk space", "20 MiB free"])

    def test_full_in_the_middle(self):
        self.small_cache("12M")
        self.offer("trixie-backports", extra={"big": 7 << 20})
        # As if the space had gone after the check.
        script = self.repo / "scripts/gup/source.py"
        script.write_text(script.read_text().replace('cli.need_space(CACHE, 1000, "fetch")', "pass"))
        self.bad("fetch", "tree", "fetch", names=["disk", "same command"])
        self.assertFalse((self.cache / "linux.git").exists())
        subprocess.run(["mount", "-o", "remount,size=300M", str(self.cache)], check=True)
        self.good("tree", "fetch")


class Probe(unittest.TestCase):
    def test_an_accelerator_that_works_is_found_to(self):
        self.assertTrue(guest.accelerator_runs("qemu-system-x86_64", "tcg", 20))

    def test_one_that_does_not_exist(self):
        self.assertFalse(guest.accelerator_runs("qemu-system-x86_64", "nonesuch"))

    def test_one_that_hangs_is_not_waited_for(self):
        with tempfile.TemporaryDirectory() as top:
            fake = pathlib.Path(top, "qemu")
            fake.write_text(f"#!/bin/sh\nexec {HANG}\n")
            fake.chmod(0o755)
            with mock.patch.dict(os.environ, FAKE_TEST=str(os.getpid())):
                self.assertFalse(guest.accelerator_runs(str(fake), "kvm", 1))


class Accelerator(SandboxTest):
    @unittest.skipUnless(os.access("/dev/kvm", os.W_OK), "there is no /dev/kvm to be wrong about")
    def test_kvm_that_does_not_run_a_guest_is_said(self):
        (self.cache / "accelerator").unlink()
        fake = self.bin / "qemu-system-x86_64"
        hang = f'case " $* " in *isa-debug-exit*) exec {HANG};; esac'
        fake.write_text(fake.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{hang}\n"))
        result = self.good("boot")
        self.assertIn("KVM opens but does not run a guest: using TCG", result.output)
        # Remembered until the host boots again.
        self.assertEqual((self.cache / "accelerator").read_text().splitlines()[1], "hangs")


if __name__ == "__main__":
    unittest.main()
