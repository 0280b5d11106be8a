# SPDX-License-Identifier: GPL-2.0
"""scripts/tree: apply, refresh, status, other people's trees."""

import contextlib
import io
import pathlib
import re
import shutil
import subprocess
import sys
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import CODES, GUP_C, KERNEL, SUITE, Result, SandboxTest, fingerprint, git, write_files  # noqa: E402

from gup import cli, pristine, refresh, series  # noqa: E402


class Apply(SandboxTest):
    def test_one_commit_per_patch_with_its_author(self):
        self.good("tree", "apply")
        log = git(self.tree(), "log", "--reverse", "--format=%s|%an|%ae")
        self.assertEqual(log.splitlines()[1:], [
            f"mm/gup: {what}|Test|test@invalid"
            for what in ("return 0 for no pages", "add the alpha suite", "add the beta suite")])

    def test_applying_twice_gives_the_same_commit(self):
        self.good("tree", "apply")
        head = git(self.tree(), "rev-parse", "HEAD")
        shutil.rmtree(self.repo / "build")
        self.good("tree", "apply")
        self.assertEqual(git(self.tree(), "rev-parse", "HEAD"), head)


class AppliedTest(SandboxTest):
    """Where scripts/tree apply ran once."""

    def prepare(self):
        self.good("tree", "apply")


class Again(AppliedTest):
    def test_a_failing_patch_is_named_with_file_and_hunk_and_leaves_the_tree(self):
        before = fingerprint(self.tree() / "mm"), git(self.tree(), "rev-parse", "HEAD")
        patch = self.repo / "patches/fix.patch"
        patch.write_text(patch.read_text().replace("-\tif (nr_pages < 0)", "-\tif (nr_pages == 7)"))
        self.bad("apply", "tree", "apply", names=["patches/fix.patch", "mm/gup.c", "hunk 1 of 1"])
        self.assertEqual(before, (fingerprint(self.tree() / "mm"), git(self.tree(), "rev-parse", "HEAD")))

    def test_switching_keeps_the_time_of_unchanged_files(self):
        before = (self.tree() / "mm/memory.c").stat().st_mtime_ns
        changed = (self.tree() / "mm/gup.c").stat().st_mtime_ns
        (self.repo / "series").write_text("# BASE v7.3\n# section: tests\nalpha.patch\n")
        self.good("tree", "apply")
        self.assertEqual((self.tree() / "mm/memory.c").stat().st_mtime_ns, before)
        self.assertNotEqual((self.tree() / "mm/gup.c").stat().st_mtime_ns, changed)
        self.assertEqual((self.tree() / "mm/gup.c").read_text(), GUP_C)

    def test_a_new_file_of_the_user_is_seen(self):
        (self.tree() / "mm/new.c").write_text("int new;\n")
        self.assertIn("mm/new.c", self.good("tree", "status").output)

    def test_the_files_of_scripts_start_python(self):
        """A python3 may be a shim, which takes long to find the interpreter: it is asked once."""
        write_files(self.bin, {"python3": f'#!/bin/sh\necho "$@" >> {self.top}/asked\nexec {sys.executable} "$@"\n'})
        (self.bin / "python3").chmod(0o755)
        link = self.top / "linked"
        link.symlink_to(self.repo / "scripts/tree")
        said = subprocess.run([link, "status"], env=self.environment, capture_output=True, text=True, check=True).stdout
        self.assertIn("Linux 7.3.4", said)
        self.assertEqual(len((self.top / "asked").read_text().splitlines()), 1)


class LocalChanges(AppliedTest):
    def change_series(self):
        (self.repo / "series").write_text("# BASE v7.3\n# section: fixes\nfix.patch\n")

    def test_uncommitted_changes_are_never_overwritten(self):
        file = self.tree() / "mm/gup.c"
        file.write_text(file.read_text() + "int mine;\n")
        self.change_series()
        self.bad("tree", "tree", "apply", names=["uncommitted changes", "next:"])
        self.assertIn("int mine;", file.read_text())

    def commit(self, message="mm/gup: mine\n\nA reason.\n"):
        file = self.tree() / "mm/memory.c"
        file.write_text(file.read_text() + "int mine;\n")
        git(self.tree(), "commit", "-q", "-a", "-m", message)

    def test_own_commits_are_never_overwritten_and_the_advice_works(self):
        self.commit()
        self.change_series()
        result = self.bad("tree", "tree", "apply", names=["commits of its own"])
        self.assertIn("mm/gup: mine", git(self.tree(), "log", "--format=%s"))
        advice = re.search(r"rebase --onto (\S+) (\w+)", result.output)
        git(self.tree(), "rebase", "-q", "--onto", advice[1], advice[2])
        self.good("tree", "refresh")
        self.assertIn("mm-gup-mine.patch", (self.repo / "series").read_text())
        self.assertNotIn("alpha.patch", (self.repo / "series").read_text())

    def test_refresh_does_not_overwrite_patches_that_changed(self):
        self.commit()
        patch = self.repo / "patches/beta.patch"
        patch.write_text(patch.read_text().replace("gup_beta", "gup_gamma"))
        kept = patch.read_text()
        self.bad("tree", "tree", "refresh")
        self.assertEqual(patch.read_text(), kept)

    def test_status_names_local_changes(self):
        self.commit()
        (self.tree() / "mm/gup.c").write_text("int other;\n")
        output = self.good("tree", "status").output
        for expected in ("Linux 7.3.4", "the fake kernel", "3 patches", "mm/gup: mine", "M mm/gup.c",
                         "patches/   as applied"):
            self.assertIn(expected, output)

    def test_refresh_wants_a_clean_tree(self):
        (self.tree() / "mm/gup.c").write_text("int other;\n")
        self.bad("tree", "tree", "refresh", names=["mm/gup.c"])

    def test_refresh_wants_the_whole_series(self):
        before = (self.repo / "series").read_text()
        git(self.tree(), "checkout", "-q", "HEAD~1")
        self.bad("tree", "tree", "refresh", names=["not on its branch gup"])
        (self.tree() / ".git/rebase-merge").mkdir()
        self.bad("tree", "tree", "refresh", names=["in the middle of a rebase"])
        self.assertEqual((self.repo / "series").read_text(), before)

    def test_an_edit_behind_an_interrupted_checkout_is_kept(self):
        tree = self.tree()
        state = self.repo / "build/state"
        head = git(tree, "rev-parse", "HEAD")
        state.write_text(state.read_text() + f"switching={head}\nto=none\n")
        (tree / "mm/gup.c").write_text("int precious;\n")
        result = self.good("tree", "apply")
        kept = re.search(r"diff HEAD (\S+)", result.output)
        self.assertIn("int precious;", git(tree, "show", f"{kept[1]}:mm/gup.c"))


class RefreshedTest(AppliedTest):
    def prepare(self):
        self.good("tree", "refresh")  # in our own form once

    def snapshot(self):
        return {p.name: p.read_bytes() for p in [*(self.repo / "patches").iterdir(), self.repo / "series"]}


class Refresh(RefreshedTest):
    def test_apply_then_refresh_changes_no_byte(self):
        before = self.snapshot()
        shutil.rmtree(self.repo / "build")
        self.good("tree", "apply")
        self.good("tree", "refresh")
        self.assertEqual(self.snapshot(), before)
        self.assertEqual(set(before), {"fix.patch", "alpha.patch", "beta.patch", "base", "series"})

    def test_the_users_git_configuration_does_not_leak(self):
        before = self.snapshot()
        config = self.top / "home/.gitconfig"
        write_files(self.top / "home", {".gitconfig": (
            "[diff]\n\tnoprefix = true\n\talgorithm = minimal\n\tcontext = 9\n[format]\n"
            "\tsignature = x\n\tsignOff = true\n\tnumbered = true\n[core]\n\tabbrev = 40\n")})
        shutil.rmtree(self.repo / "build")
        self.good("tree", "apply", HOME=str(config.parent))
        self.good("tree", "refresh", HOME=str(config.parent))
        self.assertEqual(self.snapshot(), before)

    def test_a_message_that_a_mail_cannot_carry_is_refused(self):
        before = self.snapshot()
        git(self.tree(), "commit", "-q", "--amend", "-m", "mm/gup: lose\n\nfirst\n\n---\n\nsecond\n")
        self.bad("tree", "tree", "refresh", names=["would not survive", "message"])
        self.assertEqual(self.snapshot(), before)

    def test_non_ascii_survives(self):
        git(self.tree(), "commit", "-q", "--amend", "--author=Ünal Ö <u@invalid>",
            "-m", "mm/gup: grüße\n\nDie Begründung – lang genug.\n")
        self.good("tree", "refresh")
        before = self.snapshot()
        shutil.rmtree(self.repo / "build")
        self.good("tree", "apply")
        self.assertEqual(git(self.tree(), "log", "-1", "--format=%an|%s"), "Ünal Ö|mm/gup: grüße")
        self.good("tree", "refresh")
        self.assertEqual(self.snapshot(), before)


class SeriesTest(RefreshedTest):
    """series.py and refresh.py alone, on the sandbox's series and tree."""

    def script(self, verb):
        base = git(self.cache / "linux.git", "rev-parse", "base")
        patches = {"SERIES": self.repo / "series", "PATCHES": self.repo / "patches"}
        with contextlib.redirect_stdout(io.StringIO()) as said, mock.patch.multiple(series, **patches), \
                mock.patch.multiple(refresh, ROOT=self.repo, **patches), \
                mock.patch.object(pristine, "RECORD", self.repo / "patches/base"):
            try:
                if verb == "apply":
                    print(series.apply_series(self.tree(), base, series.Series().select()))
                else:
                    refresh.refresh(self.tree(), base, git(self.tree(), "rev-parse", "HEAD"))
                return Result(0, said.getvalue())
            except cli.Failure as failure:
                return Result(CODES[failure.kind], f"FAIL({failure.kind}): {failure.what}")


class Series(SeriesTest):
    def test_a_patch_with_wrong_context_is_not_applied_with_fuzz(self):
        patch = self.repo / "patches/fix.patch"
        text = patch.read_text()
        self.assertIn("\n int gup(int nr_pages)", text)
        patch.write_text(text.replace("\n int gup(int nr_pages)", "\n int gup(long nr_pages)"))
        self.bad("apply", "apply", names=["patches/fix.patch", "mm/gup.c"])

    def test_an_entry_without_file(self):
        (self.repo / "patches/alpha.patch").unlink()
        self.bad("apply", "apply", names=["series line 6", "patches/alpha.patch"])

    def test_a_file_that_is_no_mail(self):
        (self.repo / "patches/alpha.patch").write_text("hello\n")
        self.bad("apply", "apply", names=["patches/alpha.patch"])

    def test_what_was_applied_is_not_applied_again(self):
        done = self.good("apply")
        with mock.patch.object(series.Applier, "commit", side_effect=AssertionError("applied again")):
            self.assertEqual(self.good("apply").output, done.output)

    def test_commits_that_git_threw_away_are_made_again(self):
        done = self.good("apply")
        remembered = self.tree() / ".git/gup-applied"
        remembered.write_text("half a li\n" + re.sub(r"[0-9a-f]{40}$", "0" * 40, remembered.read_text(), flags=re.M))
        self.assertEqual(self.good("apply").output, done.output)

    def test_a_new_commit_goes_behind_its_predecessor_in_the_same_section(self):
        git(self.tree(), "checkout", "-q", "HEAD~2")
        write_files(self.tree(), {"mm/memory.c": "// SPDX-License-Identifier: GPL-2.0\nint more;\n"})
        git(self.tree(), "commit", "-q", "-a", "-m", "mm/memory: Count More!\n\nWhy.\n")
        git(self.tree(), "cherry-pick", "gup~1", "gup")
        git(self.tree(), "checkout", "-q", "-B", "gup")
        self.good("refresh")
        self.assertEqual((self.repo / "series").read_text(), (
            "# BASE v7.3\n# section: fixes\nfix.patch\nmm-memory-count-more.patch\n\n"
            "# section: tests\nalpha.patch\nbeta.patch\n"))
        self.assertIn("mm/memory.c", (self.repo / "patches/base").read_text())
        self.good("apply")

    def test_a_removed_commit_takes_its_file_along(self):
        git(self.tree(), "reset", "-q", "--hard", "HEAD~1")
        self.good("refresh")
        self.assertFalse((self.repo / "patches/beta.patch").exists())
        self.assertNotIn("beta", (self.repo / "series").read_text())

    def test_an_amended_patch_keeps_its_name(self):
        write_files(self.tree(), {"mm/tests/gup_beta_kunit.c": "// SPDX-License-Identifier: GPL-2.0\n"})
        git(self.tree(), "commit", "-q", "-a", "--amend", "--no-edit")
        self.good("refresh")
        self.assertNotIn("kunit_suite", (self.repo / "patches/beta.patch").read_text())
        self.assertEqual(len(list((self.repo / "patches").glob("*.patch"))), 3)


class EmptySeries(SandboxTest):
    WITH_SERIES = False

    def test_an_empty_series_is_the_base(self):
        self.good("tree", "apply")
        self.assertEqual(git(self.tree(), "rev-list", "--count", "HEAD"), "1")
        self.good("tree", "refresh")
        self.assertIn("# section: tests", (self.repo / "series").read_text())


class UsersTree(SandboxTest):
    WITH_CACHE = False

    def clone(self):
        """A repository with all that must stay as it is: stash, branches, index, config."""
        user = self.top / "user"
        shutil.copytree(self.kernel, user)
        git(user, "init", "-q", "-b", "work")
        git(user, "add", "-f", "-A")
        git(user, "commit", "-q", "-m", "v7.3.4")
        git(user, "branch", "other")
        (user / "mm/memory.c").write_text("int stashed;\n")
        git(user, "stash", "-q")
        (user / "untracked").write_text("mine\n")
        # Times older than the index, so that a careless git status would refresh it.
        subprocess.run(["touch", "-d", "2020-01-01", str(user / "mm/memory.c")], check=True)
        return user

    def test_a_clone_is_as_before_to_the_byte(self):
        user = self.clone()
        before = fingerprint(user)
        self.good("boot", "--tree", str(user), "--topics", "tests")
        self.good("tree", "refresh", "--tree", str(user))
        self.good("tree", "status", "--tree", str(user))
        self.assertEqual(fingerprint(user), before)

    def test_a_linked_worktree_and_a_shallow_clone(self):
        user = self.clone()
        linked = self.top / "linked"
        git(user, "worktree", "add", "-q", str(linked), "other")
        shallow = self.top / "shallow"
        git(self.top, "clone", "-q", "--depth", "1", f"file://{user}", str(shallow))
        for tree in (linked, shallow):
            before = fingerprint(tree), fingerprint(user)
            self.good("tree", "apply", "--tree", str(tree))
            self.assertEqual((fingerprint(tree), fingerprint(user)), before)

    def test_unpacked_files(self):
        before = fingerprint(self.kernel)
        result = self.good("boot", "--tree", str(self.kernel))
        self.assertIn("not a git repository", result.output)
        self.assertNotIn("importing", self.good("tree", "fetch", "--tree", str(self.kernel)).output)
        self.assertEqual(fingerprint(self.kernel), before)

    def test_the_same_tree_gives_the_same_base(self):
        user = self.clone()
        commits = [re.search(r"commit (\w{40})", self.good("tree", "fetch", "--tree", str(t)).output)[1]
                   for t in (user, self.kernel)]
        self.assertEqual(*commits)

    def test_dirty(self):
        user = self.clone()
        (user / "mm/gup.c").write_text("int dirty;\n")
        before = fingerprint(user)
        self.bad("tree", "boot", "--tree", str(user), names=["uncommitted changes", "mm/gup.c"])
        self.assertEqual(fingerprint(user), before)

    def test_a_partial_clone(self):
        user = self.clone()
        git(user, "config", "core.repositoryformatversion", "1")
        git(user, "config", "extensions.partialClone", "origin")
        self.bad("tree", "boot", "--tree", str(user), names=["partial clone"])

    def test_no_kernel(self):
        (self.top / "empty").mkdir()
        self.bad("tree", "boot", "--tree", str(self.top / "empty"), names=["no kernel"])
        self.bad("tree", "boot", "--tree", str(self.top / "absent"), names=["no such directory"])

    def test_another_version(self):
        write_files(self.kernel, {"Makefile": KERNEL["Makefile"].replace("PATCHLEVEL = 3", "PATCHLEVEL = 2")})
        self.bad("tree", "boot", "--tree", str(self.kernel), names=["7.2.4", "v7.3"])

    def test_another_stable_release_is_taken_if_the_files_match(self):
        self.good("tree", "refresh", "--tree", str(self.kernel))  # records the base
        write_files(self.kernel, {"Makefile": KERNEL["Makefile"].replace("SUBLEVEL = 4", "SUBLEVEL = 9")})
        self.assertIn("7.3.9", self.good("tree", "fetch", "--tree", str(self.kernel)).output)
        write_files(self.kernel, {"mm/gup.c": GUP_C.replace("four", "five")})
        self.bad("tree", "tree", "fetch", "--tree", str(self.kernel), names=["mm/gup.c", "7.3.4"])

    def test_built_in(self):
        (self.kernel / ".config").write_text("")
        self.bad("tree", "boot", "--tree", str(self.kernel), names=["mrproper"])


class OtherKernel(SandboxTest):
    """--tree of another version with --topics."""

    def boot(self, files, status="good", topics="fixes,tests", **keywords):
        write_files(self.kernel, {"Makefile": KERNEL["Makefile"].replace("PATCHLEVEL = 3", "PATCHLEVEL = 2"), **files})
        before = fingerprint(self.kernel)
        words = ("boot", "--tree", str(self.kernel), "--topics", topics)
        result = self.good(*words) if status == "good" else self.bad(status, *words, **keywords)
        self.assertEqual(fingerprint(self.kernel), before)
        return re.findall(r"^    (\w+)\.patch: (.*)", result.output, re.M)

    def add_patch(self):
        """One of which the lines can move."""
        author = self.top / "author"
        write_files(author, {"mm/gup.c": (author / "mm/gup.c").read_text().replace("four", "fore")})
        git(author, "commit", "-q", "-a", "-m", "mm/gup: fore\n\nA reason.\n")
        mail = git(author, "format-patch", "--stdout", "--zero-commit", "-N", "--no-signature", "-1")
        (self.repo / "patches/fore.patch").write_text(mail + "\n\n")
        with open(self.repo / "series", "a", encoding="utf-8") as series:
            series.write("fore.patch\n")

    def test_as_it_is_or_there_already(self):
        self.add_patch()
        alpha = (self.top / "author/mm/tests/gup_alpha_kunit.c").read_text()
        found = self.boot({"mm/gup.c": "/* 1 */\n/* 2 */\n" + GUP_C, "mm/tests/gup_alpha_kunit.c": alpha})
        self.assertEqual(found, [("fix", "merged: mm/gup.c, hunk 1 of 1: @@ -1,8 +1,8 @@"), ("alpha", "there already"),
                                 ("beta", "as it is"), ("fore", "as it is, up to 2 lines off")])
        tree = next((self.repo / "build/given").glob("*/prefix/tree"))
        self.assertEqual(git(tree, "log", "--format=%s"), "mm/gup: fore\nmm/gup: add the beta suite\n"
                         "mm/gup: return 0 for no pages\nLinux 7.2.4")
        self.assertEqual(self.boot({}), found)  # it is told again
        (tree.parent / "merged.json").write_text('{"hash": "of a run that was stopped", "found": {}}')
        self.assertEqual(self.boot({}), found)

    def test_merged(self):
        found = self.boot({"mm/gup.c": GUP_C.replace("two", "zwei")})
        self.assertEqual(found[0], ("fix", "merged: mm/gup.c, hunk 1 of 1: @@ -1,8 +1,8 @@"))
        tree = next((self.repo / "build/given").glob("*/prefix/tree"))
        self.assertEqual((tree / "mm/gup.c").read_text(), GUP_C.replace("two", "zwei").replace("< 0", "<= 0").replace("-1", "0"))

    def test_left_out(self):
        found = self.boot({"mm/gup.c": GUP_C.replace("< 0", "< 1"), "mm/tests/gup_beta_kunit.c": SUITE % {"name": "beta"} + "int mine;\n"}, "apply",
                          names=["2 patches were left out"])
        self.assertEqual([how[:8] for _, how in found], ["left out", "as it is", "left out"])

    def test_a_kernel_of_the_same_version_with_other_files(self):
        self.good("tree", "refresh", "--tree", str(self.kernel))  # records the base
        write_files(self.kernel, {"mm/gup.c": GUP_C.replace("four", "five")})
        result = self.good("boot", "--tree", str(self.kernel), "--topics", "fixes,tests")
        self.assertIn("fix.patch: as it is\n", result.output)


if __name__ == "__main__":
    unittest.main()
