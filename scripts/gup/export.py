# SPDX-License-Identifier: GPL-2.0
"""A topic as mails that can be posted: numbered patches and a cover letter in one mbox, with the
recipients that get_maintainer.pl names, and signed off by whoever runs this. It mails nothing; the last
lines say how to. What was written is taken with b4 and git am, and must give the tree that it was made of.

Results: build/export/TOPIC/vN/, with a mail in each file, and vN.mbox beside it.
"""

import email.utils
import os
import re
import subprocess

from gup import cli, series, source
from gup.checkkernel import CHECKPATCH
from gup.cli import BUILD, Failure, note, text_of
from gup.git import Git
from gup.packages import need
from gup.series import PATCHES, Selection
from gup.workspace import Workspace

FOLDER = BUILD / "export"
VERSIONS = "refs/export"  # what was exported: refs to both ends, for each topic and version


def options(parser):
    parser.add_argument("topic", metavar="TOPIC", help="a folder of patches/")
    add = cli.option
    add(parser, "--reroll N", "version of the series (1). From 2 on the cover letter has the range-diff to the one before",
        cli.number(1, 99), default=1)
    add(parser, "--changes FILE", "what has changed since the version before, for the cover letter; needed from version 2 on")
    add(parser, "--assisted-by TEXT", "a trailer Assisted-by: for each patch, as Documentation/process/coding-assistants.rst "
        "wants it; may be repeated", many=True)
    add(parser, "--tree DIR", "use the kernel in DIR as the base, whose commit the mails then name; nothing in DIR is changed")


# ----------------------------------------------------------------------- what is asked for

def poster():
    """Who signs, from the configuration of git, which our own git does not read."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_CONFIG")}
    fields = [subprocess.run(["git", "config", f"user.{field}"], env=env, check=False, capture_output=True, text=True,
                             cwd=cli.ROOT).stdout.strip() for field in ("name", "email")]
    if not all(fields):
        raise Failure("environment", "git does not know who you are, and each patch is to be signed off by you",
                      "git config --global user.name NAME, and user.email")
    return email.utils.formataddr(tuple(fields))


def changes(options):
    """The text of --changes."""
    if options.reroll > 1 and not options.changes:
        raise cli.usage(f"version {options.reroll} needs --changes FILE: what is different in it?")
    if options.changes and not os.path.isfile(options.changes):
        raise cli.usage(f"--changes: no file {options.changes}")
    return open(options.changes, encoding="utf-8").read().strip() if options.changes else ""


def letter(topic):
    """(subject, text) of the cover, without how to take it from this repository."""
    head, _, text = text_of(PATCHES / topic / "cover").partition("\n\n")
    subject = re.search(r"^Subject: (.+)$", head, re.M)
    if not subject or not text:
        raise Failure("apply", f"patches/{topic}/cover has no line 'Subject:' and a text below it")
    return subject[1], text.partition("\nTo apply it at the top")[0].strip()


# ------------------------------------------------------------------------------- the mails

class Topic:
    """Its commits, on what it stands on."""

    def __init__(self, name, workspace, entries):
        self.name, self.git, self.tree = name, workspace.git, workspace.tree
        self.base, self.head = workspace.source.base, workspace.head
        self.count = len(entries)
        self.before = self.git.text("rev-parse", f"{self.head}~{self.count}")

    def ends(self, number):
        return [f"{VERSIONS}/{self.name}/v{number}/{end}" for end in ("before", "head")]

    def remember(self, number):
        for ref, commit in zip(self.ends(number), (self.before, self.head)):
            self.git.run("update-ref", ref, commit)

    def range_diff(self, number):
        """To the version before, or nothing for the first one."""
        if number == 1:
            return ""
        before, head = self.ends(number - 1)
        if not self.git.good("rev-parse", "-q", "--verify", head):
            raise Failure("usage", f"version {number - 1} of {self.name} was not exported in this clone, and version "
                          f"{number} is to say what differs", "export that one first, from the commit it was made of")
        return f"Range-diff against v{number - 1}:\n" + self.git.text(
            "range-diff", f"{before}..{head}", f"{self.before}..{self.head}")

    def mails(self, number, who, folder):
        """git format-patch, with the base, a Message-Id for each, and n/m."""
        version = ["-v", str(number)] if number > 1 else []
        self.git.run("-c", f"user.name={email.utils.parseaddr(who)[0]}", "-c", f"user.email={email.utils.parseaddr(who)[1]}",
                     "format-patch", "--quiet", "--numbered", "--cover-letter", "--thread=shallow", "--from", *version,
                     f"--base={self.base}", "-o", str(folder), f"{self.before}..{self.head}")
        return sorted(folder.glob("*.patch"))


def recipients(topic, path):
    """(To:, Cc:) that get_maintainer.pl names for a patch."""
    status, lines = cli.said([topic.tree / "scripts/get_maintainer.pl", "--no-git", "--no-git-fallback", path], cwd=topic.tree)
    if status:
        raise Failure("check", f"get_maintainer.pl says of {path.name}: {lines[-1] if lines else status}")
    found = [(re.sub(r" \(.*\)$", "", line), "(maintainer" in line or "(supporter" in line) for line in lines if "@" in line]
    return [who for who, is_to in found if is_to], [who for who, is_to in found if not is_to]


def unfolded(head):
    """b4 0.12 stumbles over a From or a Subject of two lines."""
    return re.sub(r"^((?:From|Subject):.*(?:\n[ \t].*)+)", lambda match: re.sub(r"\n[ \t]+", " ", match[1]), head, flags=re.M)


def addressed(text, to, cc):
    """A mail with these recipients."""
    head, _, rest = text.partition("\n\n")
    lines = [f"{name}: " + ",\n    ".join(dict.fromkeys(whom)) for name, whom in (("To", to), ("Cc", cc)) if whom]
    return "\n".join([unfolded(head), *lines]) + f"\n\n{rest}"


def finish(topic, paths, options, who, text):
    """Trailers, recipients and the cover letter."""
    trailers = [word for line in (*(f"Assisted-by: {one}" for one in options.assisted_by), f"Signed-off-by: {who}")
                for word in ("--trailer", line)]
    everybody = [], []
    for path in paths[1:]:
        # Who posts is the author of what nobody in particular has written: names of .example are reserved.
        path.write_text(re.sub(r"\n\nFrom: [^\n]*(?:\n [^\n]*)*\.example>\n\n", "\n\n", path.read_text(), count=1))
        topic.git.run("interpret-trailers", "--in-place", *trailers, str(path))
        found = recipients(topic, path)
        for all_of, these in zip(everybody, found):
            all_of.extend(these)
        path.write_text(addressed(path.read_text(), *found))
    subject, body = letter(topic.name)
    cover = paths[0].read_text().replace("*** SUBJECT HERE ***", subject).replace("*** BLURB HERE ***", "\n\n".join(filter(
        None, [body, text and f"Changes since v{options.reroll - 1}:\n\n{text}"])))
    cover = cover.replace("\nbase-commit:", f"\n{topic.range_diff(options.reroll)}\n\nbase-commit:" if options.reroll > 1
                          else "\nbase-commit:", 1)
    paths[0].write_text(addressed(cover, *everybody))


# ------------------------------------------------------------------------------ the proof

def check_style(topic, paths):
    found = cli.wrong([*(word for word in CHECKPATCH if word != "--no-signoff"), *paths[1:]], cwd=topic.tree)
    if found:
        cli.indented(found, 20)
        raise Failure("check", f"checkpatch has something to say of {len(found)} lines, see above")


def check_taken(topic, box):
    """Does b4 find all mails, and git am make the same tree of them?"""
    taken = cli.scratch()
    # Without user.email b4 ends with status 1, and says nothing.
    (taken / "gitconfig").write_text("[user]\nname = check\nemail = check@invalid\n")
    env = dict(os.environ, HOME=str(taken), XDG_CACHE_HOME=str(taken), XDG_DATA_HOME=str(taken),
               GIT_CONFIG_GLOBAL=str(taken / "gitconfig"))
    _, said = cli.said(["b4", "--no-stdin", "--offline-mode", "am", "-m", box, "-o", taken], cwd=topic.tree, env=env)
    mailbox = list(taken.glob("*.mbx"))
    # Its status is 0 when it has found nothing.
    there = len(re.findall(r"^Subject: ", text_of(mailbox[0]), re.M)) if mailbox else 0
    if there != topic.count:
        cli.indented(said, 20)
        raise Failure("check", f"b4 am finds {there} of {topic.count} patches in {box}")
    for what, one in (("the mbox", box), ("what b4 makes of it", mailbox[0])):
        other = am(topic, one)
        if other:
            raise Failure("check", f"git am makes other files of {what} than the topic has: {' '.join(other)}")


def am(topic, box):
    """The files that git am makes otherwise, in a repository that has no others."""
    files = topic.git.lines("diff", "--no-renames", "--name-only", topic.before, topic.head)
    place = cli.scratch()
    old = [path for path in files if topic.git.blob(topic.before, path)]
    if old:
        subprocess.run(["tar", "-x", "-C", place], input=topic.git.run("archive", topic.before, *old).stdout, check=True)
    git = Git(place)
    for words in (["init", "-q", "--template="], ["add", "-f", "-A"], ["commit", "-q", "--allow-empty", "-m", "base"],
                  ["am", "-q", "--empty=drop", str(box)]):  # the cover letter is one
        done = git.run("-c", "user.name=check", "-c", "user.email=check@invalid", *words, check=False)
        if done.returncode:
            raise Failure("check", f"git {words[0]}, {box}: {(done.stderr or done.stdout).decode().strip()[:200]}")
    return [path for path in files if git.blob("HEAD", path) != topic.git.blob(topic.head, path)]


# ------------------------------------------------------------------------------------ main

def main(options):
    text, who = changes(options), poster()
    the_series = series.Series()
    entries = the_series.named(options.topic, topics_only=True)
    letter(options.topic)
    need("fetch", "export", "check")
    chosen = tuple(series.Topics(the_series).on(options.topic))
    workspace = Workspace(source.choose(options.tree), prefix=True).prepare(
        Selection(topics=chosen), refuse_local="what is mailed is to be what the series says")
    topic = Topic(options.topic, workspace, entries)
    cli.stage("export", f"{topic.count} patches of {topic.name}, on {', '.join(chosen[:-1]) or 'the kernel alone'}")
    with cli.anew(FOLDER / topic.name / f"v{options.reroll}") as folder:
        paths = topic.mails(options.reroll, who, folder)
        finish(topic, paths, options, who, text)
        check_style(topic, paths)
        box = folder.parent / f"v{options.reroll}.mbox"
        box.write_text("".join(path.read_text() + "\n" for path in paths))
        cli.stage("taken", "by b4 and git am")
        check_taken(topic, box)
    topic.remember(options.reroll)
    if not options.tree:
        note(f"base-commit is that of {workspace.source.origin}, which nobody else has: --tree DIR gives a real one")
    note(f"git send-email --no-thread --confirm=always {FOLDER / topic.name}/v{options.reroll}/*.patch")
    return f"{topic.count} patches in {box}"
