# SPDX-License-Identifier: GPL-2.0
"""series.py: read, hash, apply and refresh the patch series.

  series.py list                     the entries: number, section, file
  series.py each [--part I/N]        what must stand alone: "first N FILE" is the series up to a
                                     patch, "topics LIST TOPIC" a topic on what it stands on
  series.py topics REPO BASE         apply each topic on what it stands on, and all others without it
  series.py until SECTION             how many patches there are to its end
  series.py hash BASE                what applying would depend on
  series.py apply REPO BASE          print the head that this makes, and the hash
  series.py refresh REPO BASE HEAD   write patches/ and series from BASE..HEAD
  series.py same REPO BASE HEAD      would refresh change anything?
  series.py base REPO BASE           compare BASE with patches/base, print its version and the hash

Selecting (hash, apply, base): --first N takes the first N patches, --topics LIST the patches of
these sections, and --without NAME leaves out a patch or a section.

A section is a topic: its patches are in a folder of its name, numbered in their order.

Applying needs no work tree: each patch goes through git mailinfo, git apply
--cached and git commit-tree on an index of its own. So a patch that fails
leaves nothing behind, and the same base and series give the same commits.
"""

import argparse
import bisect
import collections
import hashlib
import os
import pathlib
import re
import sys
import tempfile

from common import ROOT, Failure, Git, main
from tar2git import kernel_version

SERIES = ROOT / "series"
PATCHES = ROOT / "patches"
BASE_RECORD = PATCHES / "base"

# Every option that could come from a user's configuration is given.
FORMAT_PATCH = [
    "format-patch", "--stdout", "--zero-commit", "--no-numbered", "--no-signature",
    "--no-cover-letter", "--no-base", "--no-thread", "--no-attach", "--no-signoff",
    "--no-from", "--no-notes", "--encode-email-headers", "--no-ext-diff",
    "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/", "--stat=72",
    "--summary", "--patch", "--unified=3", "--abbrev=12", "--diff-algorithm=histogram",
    "--indent-heuristic", "--no-renames", "--subject-prefix=PATCH",
]


class Entry:
    """One patch of the series: its file name, its section, its line."""

    def __init__(self, name, section, block, line):
        self.name, self.section, self.block, self.line = name, section, block, line
        self.folder = name.rpartition("/")[0]
        self.path = PATCHES / name

    def content(self):
        if not self.path.is_file():
            raise Failure(
                "apply",
                f"series line {self.line} names patches/{self.name}, which does not exist",
                f"restore it (git checkout -- patches/{self.name}) or remove the line")
        content = self.path.read_bytes()
        # By its head: files that a patch changes may hold such lines.
        if content.partition(b"\n")[0].endswith(b"\r"):
            raise Failure("apply", f"patches/{self.name} has lines that end in CRLF, as Windows writes them",
                          f"git checkout -- patches/{self.name}, with core.autocrlf off")
        return content


class Series:
    """The file "series": blocks of comment lines, each followed by entries."""

    def __init__(self):
        if not SERIES.is_file():
            raise Failure("apply", f"{SERIES} does not exist", "restore it: git checkout -- series")
        self.blocks = [[]]  # comment lines of each block
        self.entries = []
        self.base = None
        section, after_entry, names = "", False, set()
        for number, line in enumerate(SERIES.read_text().splitlines(), 1):
            text = line.split("#")[0].strip()
            if not text:
                if after_entry:
                    self.blocks.append([])
                    after_entry = False
                self.blocks[-1].append(line)
                mark = re.match(r"# *section: *(\S+)", line)
                section = mark[1] if mark else section
                base = re.match(r"# *BASE +v(\d+\.\d+)\s*$", line)
                self.base = base[1] if base else self.base
                continue
            if len(text.split()) != 1 or ".." in text or text.startswith("/"):
                raise Failure("apply", f"series line {number}: '{text}' is not the name of a patch",
                              "write one file name per line, relative to patches/")
            if text in names:
                raise Failure("apply", f"series line {number}: '{text}' is listed twice",
                              "remove one of the two lines")
            names.add(text)
            self.entries.append(Entry(text, section, len(self.blocks) - 1, number))
            after_entry = True
        if not self.base:
            raise Failure("apply", "series has no line '# BASE v<version>'",
                          "add it as the first line, e.g. '# BASE v7.3'")

    def named(self, name, topics_only=False):
        """The patches of a section, or the one of this name."""
        found = [e for e in self.entries if name == e.section or
                 not topics_only and name in (e.name, e.name.removesuffix(".patch"))]
        if not found:
            what = "section" if topics_only else "section or patch"
            raise Failure("usage", f"the series has no {what} '{name}'", "sections: " +
                          ", ".join(dict.fromkeys(e.section for e in self.entries)))
        return found

    def select(self, first=None, topics=None, without=()):
        """The entries that are wanted, see the top of this file."""
        if first is None:
            first = len(self.entries)
        if first > len(self.entries):
            raise Failure("usage", f"the series has {len(self.entries)} patches, not {first}",
                          "series.py list shows them" if not self.entries
                          else f"choose a number from 0 to {len(self.entries)}")
        chosen = self.entries[:first]
        wanted = chosen if topics is None else [e for name in topics for e in self.named(name, topics_only=True)]
        out = [e for name in without for e in self.named(name)]
        return [e for e in chosen if e in wanted and e not in out]

    def until(self, section):
        """How many patches there are to the end of this section."""
        numbers = [number for number, entry in enumerate(self.entries, 1) if entry.section == section]
        if not numbers:
            raise Failure("apply", f"series has no patch in a section '{section}'",
                          f"mark it with a line '# section: {section}' before its patches")
        return numbers[-1]

    @staticmethod
    def hash(base, chosen):
        digest = hashlib.sha256(base.encode())
        for entry in chosen:
            digest.update(f"\n{entry.name} {hashlib.sha256(entry.content()).hexdigest()}".encode())
        return digest.hexdigest()

    def text(self, placed):
        """The file with these [(block, name)] in place of its entries."""
        lines = []
        for number, comments in enumerate(self.blocks):
            lines += comments
            lines += [name for block, name in placed if block == number]
        return "".join(line + "\n" for line in lines)


# ---------------------------------------------------------------------- apply

class Applied:
    """What a patch made of a commit before, in a file of the repository: git gives the same
    for the same, but takes half a second for each patch."""

    CODE = hashlib.sha256(pathlib.Path(__file__).read_bytes()).digest()

    def __init__(self, git, repo):
        self.path = pathlib.Path(repo, git.text("rev-parse", "--git-dir"), "gup-applied")
        words = [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []
        pairs = [pair for pair in words if len(pair) == 2]
        # Nothing refers to them, so git may have thrown them away.
        there = git.run("cat-file", "--batch-check", data="".join(f"{commit}^{{tree}}\n" for _, commit in pairs).encode())
        self.commits = {key: commit for (key, commit), line in zip(pairs, there.stdout.decode().splitlines())
                        if not line.endswith("missing")}

    @staticmethod
    def key(head, content):
        return hashlib.sha256(b"%s %s %s" % (head.encode(), Applied.CODE, content)).hexdigest()

    def add(self, key, commit):
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{key} {commit}\n")


class Applier:
    """Commits patches on top of BASE in REPO, without a work tree."""

    def __init__(self, repo, base, scratch):
        self.scratch = pathlib.Path(scratch)
        self.git = Git(repo, GIT_INDEX_FILE=str(self.scratch / "index"))
        self.head = base
        self.indexed = None  # the commit that the index holds
        self.applied = Applied(self.git, repo)

    def mail(self, content):
        """(author environment, message, diff file) of a mail-format patch."""
        message, diff = self.scratch / "message", self.scratch / "diff"
        info = self.git.run("mailinfo", "--no-scissors", str(message), str(diff),
                            data=content, check=False)
        fields = dict(re.findall(r"^(\w+): (.*)$", info.stdout.decode(), re.M))
        if info.returncode or not {"Author", "Email", "Date", "Subject"} <= fields.keys():
            return None
        who = {}
        for role in ("AUTHOR", "COMMITTER"):  # so that ids depend on the patches alone
            who[f"GIT_{role}_NAME"] = fields["Author"]
            who[f"GIT_{role}_EMAIL"] = fields["Email"]
            who[f"GIT_{role}_DATE"] = fields["Date"]
        body = message.read_text()
        return who, fields["Subject"] + ("\n\n" + body if body.strip() else "\n"), diff

    def apply(self, name, content):
        key = self.applied.key(self.head, content)
        commit = self.applied.commits.get(key)
        if not commit:
            commit = self.commit(name, content)
            self.applied.add(key, commit)
        self.head = commit
        return commit

    def commit(self, name, content):
        mail = self.mail(content)
        if mail is None:
            raise Failure("apply", f"patches/{name} is no mail-format patch",
                          "write it with scripts/tree refresh")
        who, message, diff = mail
        if self.indexed != self.head:
            self.git.run("read-tree", self.head)
            self.indexed = self.head
        result = self.git.run("apply", "--cached", "--whitespace=nowarn", str(diff), check=False)
        if result.returncode:
            raise Failure("apply", self.explain(name, diff, result.stderr.decode()),
                          "adapt the patch to the base, or use the base it was made for "
                          "(scripts/tree status names both)")
        tree = self.git.text("write-tree")
        self.indexed = self.git.text("commit-tree", tree, "-p", self.head,
                                     data=message.encode(), **who)
        return self.indexed

    @staticmethod
    def explain(name, diff, errors):
        """Name patch, file and hunk of what git apply said."""
        failed = re.search(r"patch failed: (.*):(\d+)", errors)
        if not failed:
            reason = errors.strip().splitlines()[0].removeprefix("error: ")
            return f"patches/{name} does not apply: {reason}"
        path, line = failed.groups()
        hunks, current = [], None
        for text in diff.read_text(errors="replace").splitlines():
            if text.startswith("--- "):
                current = text[4:].split("\t")[0].removeprefix("a/")
            elif text.startswith("@@ ") and current == path:
                hunks.append(text)
        for number, text in enumerate(hunks, 1):
            if re.match(rf"@@ -{line}[, ]", text):
                return (f"patches/{name} does not apply: {path}, "
                        f"hunk {number} of {len(hunks)}: {text}")
        return f"patches/{name} does not apply: {path}, line {line}"


def apply_series(repo, base, chosen):
    """The commit that the last one makes."""
    with tempfile.TemporaryDirectory() as scratch:
        applier = Applier(repo, base, scratch)
        for entry in chosen:
            applier.apply(entry.name, entry.content())
    return applier.head


# ---------------------------------------------------------------------- topics

class Topics:
    """What each topic stands on, as the line "Stands-on:" of its cover letter says."""

    def __init__(self, series):
        self.needs = {}
        for name in dict.fromkeys(entry.folder for entry in series.entries if entry.folder):
            cover = PATCHES / name / "cover"
            found = re.search(r"^Stands-on: (.+)$", cover.read_text() if cover.is_file() else "", re.M)
            if not found:
                raise Failure("apply", f"patches/{name}/cover has no line 'Stands-on:'",
                              "write one, with the topics that must be applied before, or 'nothing'")
            self.needs[name] = [word for word in found[1].split() if word != "nothing"]
        for name, needed in self.needs.items():
            for other in needed:
                if other not in self.needs:
                    raise Failure("apply", f"patches/{name}/cover stands on '{other}', which is no topic",
                                  "topics: " + ", ".join(self.needs))

    def on(self, topic):
        """The topic and all that it stands on, in the order of the series."""
        found, new = set(), {topic}
        while new:
            found |= new
            new = {other for name in new for other in self.needs[name]} - found
        return [name for name in self.needs if name in found]

    def without(self, topic):
        """All that does not stand on it."""
        return [name for name in self.needs if topic not in self.on(name)]


def each(series):
    rows = [f"first {number} {entry.name}" for number, entry in enumerate(series.entries, 1)]
    topics = Topics(series)
    return rows + [f"topics {','.join(topics.on(name))} {name}" for name in topics.needs]


def apply_topics(repo, base):
    series = Series()
    topics = Topics(series)
    for name in topics.needs:
        for what, chosen in (("on what it stands on", topics.on(name)), ("left out", topics.without(name))):
            try:
                apply_series(repo, base, series.select(topics=chosen))
                print(f"ok {name} {what}")
            except Failure as failure:
                print(f"bad {name} {what}: {failure.what}")


# --------------------------------------------------------------------- refresh

def part(items, which):
    """Every N-th, from the I-th on; "auto" takes another I for another series."""
    found = re.fullmatch(r"(auto|[1-9]\d*)/([1-9]\d*)", which)
    if not found or (found[1] != "auto" and int(found[1]) > int(found[2])):
        raise Failure("usage", f"--part wants I/N or auto/N, not '{which}'")
    count = int(found[2])
    first = int(Series.hash("", Series().select()), 16) % count if found[1] == "auto" else int(found[1]) - 1
    if not items[first::count]:
        raise Failure("usage", f"--part {which}: there are only {len(items)}")
    return items[first::count]


def subject_of(content):
    """The subject of a mail-format patch, unfolded and without [PATCH]."""
    head = content.decode("utf-8", "replace").split("\n\n", 1)[0]
    found = re.search(r"^Subject: (.*(?:\n[ \t].*)*)", head, re.M)
    text = re.sub(r"\n[ \t]", " ", found[1]) if found else ""
    return re.sub(r"^\[PATCH[^]]*\] *", "", text)


def file_name(subject, taken):
    slug = re.sub(r"[^a-z0-9_]+", "-", subject.lower()).strip("-")
    if len(slug) > 60:  # cut between words
        slug = slug[:61].rpartition("-")[0] or slug[:60]
    slug = slug or "patch"
    name, number = f"{slug}.patch", 2
    while name in taken:
        name, number = f"{slug}-{number}.patch", number + 1
    return name


def increasing(values):
    """Indices of a longest non-decreasing subsequence."""
    tails, last, before = [], [], {}
    for index, value in enumerate(values):
        place = bisect.bisect_right(tails, value)
        tails[place:place + 1] = [value]
        last[place:place + 1] = [index]
        before[index] = last[place - 1] if place else None
    chain, index = set(), last[-1] if last else None
    while index is not None:
        chain.add(index)
        index = before[index]
    return chain


def place(series, names):
    """[(block, name)] in the order of names: patches stay in their block; new
    ones, and ones moved across a section, take the block of the one before."""
    own = {entry.name: entry.block for entry in series.entries}
    known = [name for name in names if name in own]
    kept = increasing([own[name] for name in known])
    stays = {name for index, name in enumerate(known) if index in kept}
    default = series.entries[0].block if series.entries else len(series.blocks) - 1
    placed, block = [], default
    for name in names:
        block = own[name] if name in stays else block
        placed.append((block, name))
    return placed


def numbered(series, placed):
    """[(name, name with the folder of its block and its number there)]"""
    folders = {entry.block: entry.folder for entry in series.entries}
    count, names = collections.Counter(), []
    for block, name in placed:
        folder = folders.get(block, "")
        count[folder] += 1
        slug = re.sub(r"^\d{4}-", "", name.rpartition("/")[2])
        names.append((name, f"{folder}/{count[folder]:04}-{slug}" if folder else name))
    return names


def write(path, content):
    """Replace a file as a whole, and only if that changes it."""
    if path.exists() and path.read_bytes() == content:
        return False
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    os.replace(temporary, path)
    return True


def export(repo, base, head):
    """{path: content} of what series and patches/ must be for BASE..HEAD."""
    git, series = Git(repo), Series()
    if git.run("merge-base", "--is-ancestor", base, head, check=False).returncode:
        raise Failure("tree", f"{head[:12]} does not descend from the base {base[:12]}",
                      f"rebase your commits onto it: git -C {repo} rebase")
    if git.text("rev-list", "--merges", f"{base}..{head}"):
        raise Failure("tree", "the branch holds a merge, which no patch can carry",
                      f"make it linear: git -C {repo} rebase {base[:12]}")

    # A patch whose subject is unchanged keeps its file's name.
    names = {}
    for entry in series.entries:
        if entry.path.is_file():
            names.setdefault(subject_of(entry.content()), []).append(entry.name)
    commits = git.text("rev-list", "--reverse", f"{base}..{head}").split()
    patches = {}
    for commit in commits:
        content = git.run(*FORMAT_PATCH, "-1", commit).stdout
        subject = subject_of(content)
        if names.get(subject):
            name = names[subject].pop(0)
        else:
            # A topic's name says what the subject begins with.
            short = re.sub(r"^[^ ]*: ", "", subject) if any(e.folder for e in series.entries) else subject
            name = file_name(short, {e.name for e in series.entries} | patches.keys())
        patches[name] = content
    verify(repo, base, zip(commits, patches.items()))
    placed = place(series, list(patches))
    names = numbered(series, placed)
    return {
        **{PATCHES / new: patches[old] for old, new in names},
        SERIES: series.text([(block, new) for (block, _), (_, new) in zip(placed, names)]).encode(),
        BASE_RECORD: base_record(git, base, head).encode(),
    }


def verify(repo, base, exported):
    """What was exported must give the same trees and messages back. A message
    with a line of three dashes, say, would not."""
    forms = {"contents": "%T", "message": "%B", "author": "%an %ae %at"}
    with tempfile.TemporaryDirectory() as scratch:
        applier = Applier(repo, base, scratch)
        for commit, (name, content) in exported:
            again = applier.apply(name, content)
            for what, form in forms.items():
                old, new = (applier.git.text("show", "-s", f"--format={form}", c)
                            for c in (commit, again))
                if old != new:
                    raise Failure("tree", f"the {what} of commit {commit[:12]} would not survive "
                                  f"as a mail ({name})", "look for lines of '---' or of a diff in "
                                  f"its message: git -C {repo} show {commit[:12]}")


def refresh(repo, base, head):
    PATCHES.mkdir(exist_ok=True)
    files = export(repo, base, head)
    gone = [e.path for e in Series().entries if e.path not in files and e.path.is_file()]
    written = [path for path, content in files.items() if write(path, content)]
    for path in gone:
        path.unlink()
    for verb, paths in (("wrote", written), ("removed", gone)):
        for path in paths:
            print(f"       {verb} {path.relative_to(ROOT)}")
    if not written and not gone:
        print("       nothing to change")


def same(repo, base, head):
    different = [str(path.relative_to(ROOT)) for path, content in export(repo, base, head).items()
                 if not path.is_file() or path.read_bytes() != content]
    if different:
        raise Failure("check", "scripts/tree refresh would change " + ", ".join(different),
                      "run it, and commit what it writes")


# ------------------------------------------------------------- the recorded base

class Recorded:
    """patches/base: the blobs of the files that the series changes, and of which version."""

    def __init__(self):
        lines = BASE_RECORD.read_text().splitlines() if BASE_RECORD.exists() else []
        pairs = [line.split(None, 1) for line in lines if not line.startswith("#")]
        self.blobs = {path: blob for blob, path in pairs if blob != "version"}
        self.version = dict(pairs).get("version", f"{Series().base}.x")

    def differing(self, blob_of):
        """The files of which blob_of(path) is not as recorded."""
        return [path for path, blob in self.blobs.items() if blob_of(path) != blob]


def base_record(git, base, head):
    """The blobs of the files that the series changes and the base already has."""
    touched = git.text("diff", "--name-only", "--no-renames", base, head).splitlines()
    blobs = {path: blob for path in sorted(touched) if (blob := git.blob(base, path))}
    recorded = Recorded()
    # Another stable release with the same files is no other base.
    version = recorded.version if BASE_RECORD.exists() and blobs == recorded.blobs else version_of(git, base)
    lines = ["# SPDX-License-Identifier: GPL-2.0",
             "# The files that the series changes, as they were in the base it was made on.",
             "# Written by scripts/tree refresh; another v7.3.x will do if these are the same.",
             f"version {version}",
             *(f"{blob} {path}" for path, blob in blobs.items())]
    return "".join(line + "\n" for line in lines)


def version_of(git, base):
    return ".".join(kernel_version(git.text("show", f"{base}:Makefile")))


def check_version(git, base):
    """The kernel's version, which must be the series' or a stable release of it."""
    version, wanted = version_of(git, base), Series().base
    if version.rpartition(".")[0] != wanted:
        raise Failure("tree", f"this kernel is {version}, the series is made for v{wanted}",
                      f"use a tree of v{wanted} or v{wanted}.x")
    return version


def check_base(repo, base):
    """(its version, a remark or None): it must be the series', its files the recorded ones."""
    git, recorded = Git(repo), Recorded()
    version = check_version(git, base)
    if not BASE_RECORD.exists():
        return version, "no patches/base yet: nothing to compare the base with"
    differ = recorded.differing(lambda path: git.blob(base, path))
    if not differ:
        return version, None
    what = (f"the base {version} has other contents than the recorded {recorded.version} in: "
            f"{', '.join(differ)}")
    # Written by fetch, which found no kernel with the recorded files.
    nearest = pathlib.Path(repo, "nearest")
    if nearest.exists() and nearest.read_text().splitlines() == differ:
        return version, f"{what}; it is the nearest that fetch found (to look again: rm -r {repo})"
    raise Failure("tree", what, "use a tree whose files match, or rebase the series and refresh it")


def run():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("verb", choices=["list", "each", "until", "hash", "apply", "topics", "refresh",
                                         "same", "base"])
    parser.add_argument("arguments", nargs="*")
    parser.add_argument("--first", type=int)
    parser.add_argument("--topics", type=lambda text: text.split(","))
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--part", default="1/1")
    options = parser.parse_args()
    arguments = options.arguments

    def chosen():
        return Series().select(options.first, options.topics, options.without)

    if options.verb == "list":
        for number, entry in enumerate(Series().entries, 1):
            print(f"{number:4} {entry.section:10} {entry.name}")
    elif options.verb == "each":
        print("\n".join(part(each(Series()), options.part)))
    elif options.verb == "topics":
        apply_topics(*arguments)
    elif options.verb == "until":
        print(Series().until(arguments[0]))
    elif options.verb == "hash":
        print(Series.hash(arguments[0], chosen()))
    elif options.verb == "apply":
        patches = chosen()
        print(apply_series(*arguments, patches), Series.hash(arguments[1], patches))
    elif options.verb == "refresh":
        refresh(*arguments)
    elif options.verb == "same":
        same(*arguments)
    else:
        version, remark = check_base(*arguments)
        if remark:
            print(f"       {remark}", file=sys.stderr)
        print(version, Series.hash(arguments[1], chosen()))
    return 0


if __name__ == "__main__":
    main(run)
