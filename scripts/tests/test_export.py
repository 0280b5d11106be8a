# SPDX-License-Identifier: GPL-2.0
"""scripts/export: a topic as mails, and what takes them."""

import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from sandbox import SandboxTest, programs, write_files  # noqa: E402

TOPIC = "fixes"
COVER = """\
Subject: mm/gup: a fix
Stands-on: nothing

What it is about.

To apply it at the top of the kernel's repository:

  git am
"""
MAINTAINER = """\
printf '%s\\n' 'One <one@invalid> (maintainer:MEMORY)' 'a list <list@invalid> (open list)' 'two@invalid (reviewer:MEMORY)'
"""
CHECKPATCH = """\
[ -z "$FAKE_CHECKPATCH" ] || { echo "$FAKE_CHECKPATCH"; exit 1; }
"""
# b4 am -m BOX -o FOLDER: what it makes of a box is that without the cover letter.
B4 = """\
[ -n "$(git config user.email)" ] || exit 1
while [ $# -gt 0 ]; do
	case $1 in
	-m) box=$2 ;;
	-o) out=$2 ;;
	esac
	shift
done
awk '/^From [0-9a-f]/ { mail = $0; next } mail { held = held "\\n" $0; if (/^Subject:/) {
	keep = !/ 0\\/1\\]/; if (keep) print mail held; mail = held = "" } next } keep' "$box" > "$out/x.mbx"
"""


class Export(SandboxTest):
    def prepare(self):
        (self.repo / f"patches/{TOPIC}").mkdir()
        (self.repo / "patches/fix.patch").rename(self.repo / f"patches/{TOPIC}/fix.patch")
        write_files(self.repo, {f"patches/{TOPIC}/cover": COVER,
                                "series": f"# BASE v7.3\n# section: {TOPIC}\n{TOPIC}/fix.patch\n"})
        write_files(self.top, {".gitconfig": "[user]\nname = Who Posts\nemail = who@invalid\n"})
        programs(self.bin, {"b4": B4, "quilt": "", "sparse": "", "shellcheck": "", "codespell": ""})
        programs(self.kernel / "scripts", {"get_maintainer.pl": MAINTAINER, "checkpatch.pl": CHECKPATCH})
        shutil.rmtree(self.cache / "linux.git")
        self.fill_cache()

    def setUp(self):
        super().setUp()
        self.environment["HOME"] = str(self.top)
        self.out = self.repo / f"build/export/{TOPIC}"

    def mails(self, number=1):
        box = (self.out / f"v{number}.mbox").read_text()
        return re.split(r"(?m)^(?=From [0-9a-f]{40} )", box)[1:]

    def export(self, *arguments):
        return self.good("export", TOPIC, *arguments)

    def test_what_is_in_the_mails(self):
        self.export("--assisted-by", "A:model")
        cover, patch = self.mails()
        self.assertIn("\nSubject: [PATCH 0/1] mm/gup: a fix\n", cover)
        self.assertIn("\n\nWhat it is about.\n", cover)
        self.assertNotIn("To apply it", cover)
        self.assertRegex(cover, r"\nbase-commit: [0-9a-f]{40}\n")
        self.assertIn("\nSubject: [PATCH 1/1] mm/gup: return 0 for no pages\n", patch)
        self.assertIn("\nAssisted-by: A:model\nSigned-off-by: Who Posts <who@invalid>\n---\n", patch)
        self.assertIn("\n\nFrom: Test <test@invalid>\n\n", patch)  # who posts is somebody else
        for mail in (cover, patch):
            self.assertIn("\nTo: One <one@invalid>\nCc: a list <list@invalid>,\n    two@invalid\n", mail)
            self.assertEqual(len(re.findall(r"(?m)^Message-Id: ", mail)), 1)

    def test_a_poster_is_the_author_of_what_is_nobodys(self):
        path = self.repo / f"patches/{TOPIC}/fix.patch"
        path.write_text(path.read_text().replace("test@invalid", "all@x.example"))
        self.export()
        patch = self.mails()[1]
        self.assertNotIn("x.example", patch)
        self.assertIn("\nFrom: Who Posts <who@invalid>\n", patch)

    def test_a_later_version_says_what_differs(self):
        self.export()
        self.bad("usage", "export", TOPIC, "--reroll", "2", names=["--changes FILE"])
        self.bad("usage", "export", TOPIC, "--reroll", "2", "--changes", "/none", names=["no file /none"])
        write_files(self.top, {"changes": "Nothing but the time.\n"})
        self.export("--reroll", "2", "--changes", str(self.top / "changes"))
        cover, patch = self.mails(2)
        self.assertIn("\nSubject: [PATCH v2 1/1] ", patch)
        self.assertIn("\nChanges since v1:\n\nNothing but the time.\n", cover)
        self.assertRegex(cover, r"\nRange-diff against v1:\n1:  [0-9a-f]+ = 1:  ")
        self.bad("usage", "export", TOPIC, "--reroll", "4", "--changes", str(self.top / "changes"),
                 names=["version 3 of fixes was not exported"])

    def test_what_is_refused_before_anything_is_made(self):
        self.bad("usage", "export", "none", names=["no section 'none'"])
        (self.top / ".gitconfig").write_text("")
        self.bad("environment", "export", TOPIC, names=["git does not know who you are", "git config --global user.name"])
        self.assertFalse(self.out.exists())

    def test_a_mail_that_is_lost_is_seen(self):
        programs(self.bin, {"b4": B4.replace("print mail held", "nothing")})
        self.bad("check", "export", TOPIC, names=["b4 am finds 0 of 1 patches"])
        programs(self.bin, {"b4": B4.replace("'$box'", "").replace('"$box"', '"$box" | sed "s/return 0/return 9/"')})
        self.bad("check", "export", TOPIC, names=["git am"])

    def test_checkpatch_is_heard(self):
        self.bad("check", "export", TOPIC, names=["WARNING: long"], FAKE_CHECKPATCH="WARNING: long")
        self.assertFalse(self.out.exists() and list(self.out.iterdir()))
