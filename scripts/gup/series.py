# SPDX-License-Identifier: GPL-2.0
"""The patch series: what it holds, what of it is chosen, and what that makes of a commit.

A section is a topic: its patches are in a folder of its name, numbered in their order, beside
the cover letter, which says what the topic stands on.

Applying needs no work tree: each patch goes through git mailinfo, git apply --cached and git
commit-tree on an index of its own. So a patch that fails leaves nothing behind, and the
same base and series give the same commits.
"""

import hashlib
import pathlib
import re
import tempfile
from typing import NamedTuple, Optional

from gup.cli import ROOT, Failure, text_of, usage
from gup.git import Git, person

SERIES = ROOT / "series"
PATCHES = ROOT / "patches"
STABLE = PATCHES / "stable"  # a folder, with a series of its own, for each older kernel
LISTS = ("MAINTAINERS", "mm/Makefile")  # a line that is added is no conflict with another one that is


class Selection(NamedTuple):
    """The first N patches, or the patches of some topics; and what is left out."""
    first: Optional[int] = None
    topics: Optional[tuple] = None
    without: tuple = ()

    def __str__(self):
        words = [] if self.first is None else ["--first", str(self.first)]
        words += [] if self.topics is None else ["--topics", ",".join(self.topics)]
        return " ".join([*words, *(word for name in self.without for word in ("--without", name))])


ALL = Selection()


def count(file=None):
    """How many patches there are, known before anything is read that could be wrong."""
    return len(re.findall(r"^[ \t]*[^#\s]", text_of(file or SERIES), re.M))


def stable(version):
    """The file "series" of the backports for this kernel."""
    there = sorted(path.parent.name for path in STABLE.glob("*/series"))
    if version not in there:
        raise usage(f"no patches for Linux {version!r} in patches/stable", "there are: " + (", ".join(there) or "none"))
    return STABLE / version / "series"


def for_the_suites(version, chosen):
    """Entries of what takes those that are chosen to this kernel."""
    folder = STABLE / version.rpartition(".")[0] / "suites"
    return [Entry(str(path.relative_to(PATCHES)), "tests", 0, 0) for path in sorted(folder.glob("*.patch"))
            if any(entry.section == "tests" for entry in chosen)]


class Entry:
    """One patch of the series: its file name, its section, its line."""

    def __init__(self, name, section, block, line, series="series"):
        self.name, self.section, self.block, self.line, self.series = name, section, block, line, series
        self.folder = name.rpartition("/")[0]
        self.path = PATCHES / name

    def content(self):
        if not self.path.is_file():
            raise Failure("apply", f"{self.series} line {self.line} names patches/{self.name}, which does not exist",
                          f"restore it (git checkout -- patches/{self.name}) or remove the line")
        content = self.path.read_bytes()
        # By its head: files that a patch changes may hold such lines.
        if content.partition(b"\n")[0].endswith(b"\r"):
            raise Failure("apply", f"patches/{self.name} has lines that end in CRLF, as Windows writes them",
                          f"git checkout -- patches/{self.name}, with core.autocrlf off")
        return content


class Series:
    """The file "series", or that of a folder in patches/stable: blocks of comment lines, each followed by entries."""

    def __init__(self, file=None):
        file, name = (file, str(file.relative_to(ROOT))) if file else (SERIES, "series")
        if not file.is_file():
            raise Failure("apply", f"{file} does not exist", f"restore it: git checkout -- {name}")
        self.blocks = [[]]  # comment lines of each block
        self.entries = []
        self.base = None
        section, after_entry, names = "", False, set()
        for number, line in enumerate(file.read_text().splitlines(), 1):
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
                raise Failure("apply", f"{name} line {number}: '{text}' is not the name of a patch",
                              "write one file name per line, relative to patches/")
            if text in names:
                raise Failure("apply", f"{name} line {number}: '{text}' is listed twice", "remove one of the two lines")
            names.add(text)
            self.entries.append(Entry(text, section, len(self.blocks) - 1, number, name))
            after_entry = True
        if not self.base:
            raise Failure("apply", f"{name} has no line '# BASE v<version>'",
                          "add it as the first line, e.g. '# BASE v7.3'")

    def named(self, name, topics_only=False):
        """The patches of a section, or the one of this name."""
        found = [e for e in self.entries if name == e.section or
                 not topics_only and name in (e.name, e.name.removesuffix(".patch"))]
        if not found:
            raise Failure("usage", f"the series has no {'section' if topics_only else 'section or patch'} '{name}'",
                          "sections: " + ", ".join(dict.fromkeys(e.section for e in self.entries)))
        return found

    def select(self, selection=ALL):
        """The entries that are wanted."""
        chosen = self.entries[:selection.first]
        wanted = chosen if selection.topics is None else [
            e for name in selection.topics for e in self.named(name, topics_only=True)]
        out = [e for name in selection.without for e in self.named(name)]
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
        return "".join(f"{line}\n" for number, comments in enumerate(self.blocks)
                       for line in [*comments, *(name for block, name in placed if block == number)])


# ---------------------------------------------------------------------- apply

def known(git, path):
    """{what was applied before: the commit} of a file, without what git has thrown away: nothing refers to it."""
    pairs = [pair for pair in map(str.split, text_of(path).splitlines()) if len(pair) == 2]
    there = git.run("cat-file", "--batch-check", data="".join(f"{commit}^{{tree}}\n" for _, commit in pairs).encode())
    return {key: commit for (key, commit), line in zip(pairs, there.stdout.decode().splitlines())
            if not line.endswith("missing")}


class Applier:
    """Commits patches on top of BASE in REPO, without a work tree. What a patch made of a commit is
    kept in a file of the repository: git gives the same for the same, but takes half a second."""

    CODE = hashlib.sha256(pathlib.Path(__file__).read_bytes()).digest()

    def __init__(self, repo, base, scratch):
        self.scratch = pathlib.Path(scratch)
        self.git = Git(repo, GIT_INDEX_FILE=str(self.scratch / "index"))
        self.head = base
        self.indexed = None  # the commit that the index holds
        self.memory = pathlib.Path(repo, self.git.text("rev-parse", "--git-dir"), "gup-applied")
        self.known = known(self.git, self.memory)

    def mail(self, content):
        """(author environment, message, diff file) of a mail-format patch."""
        message, diff = self.scratch / "message", self.scratch / "diff"
        info = self.git.run("mailinfo", "--no-scissors", str(message), str(diff), data=content, check=False)
        fields = dict(re.findall(r"^(\w+): (.*)$", info.stdout.decode(), re.M))
        if info.returncode or not {"Author", "Email", "Date", "Subject"} <= fields.keys():
            return None
        body = message.read_text()
        text = fields["Subject"] + ("\n\n" + body if body.strip() else "\n")
        return person(fields["Author"], fields["Email"], fields["Date"]), text, diff

    def apply(self, name, content):
        key = hashlib.sha256(b"%s %s %s" % (self.head.encode(), self.CODE, content)).hexdigest()
        commit = self.known.get(key)
        if not commit:
            commit = self.commit(name, content)
            with open(self.memory, "a", encoding="utf-8") as file:
                file.write(f"{key} {commit}\n")
        self.head = commit
        return commit

    def commit(self, name, content):
        mail = self.mail(content)
        if mail is None:
            raise Failure("apply", f"patches/{name} is no mail-format patch", "write it with scripts/tree refresh")
        who, message, diff = mail
        if self.indexed != self.head:
            self.git.run("read-tree", self.head)
            self.indexed = self.head
        self.change_index(name, diff)
        tree = self.git.text("write-tree")
        self.indexed = self.git.text("commit-tree", tree, "-p", self.head, data=message.encode(), **who)
        return self.indexed

    def change_index(self, name, diff):
        said, status = self.git_apply(diff)
        if status:
            raise Failure("apply", self.explain(name, diff, said), "adapt the patch to the base, or "
                          "use the base it was made for (scripts/tree status names both)")

    def git_apply(self, diff, *more, options=()):
        done = self.git.run(*options, "apply", "--cached", "--whitespace=nowarn", *more, str(diff), check=False)
        return done.stderr.decode(), done.returncode

    @staticmethod
    def explain(name, diff, errors):
        """Name patch, file and hunk of what git apply said."""
        failed = re.search(r"patch failed: (.*):(\d+)", errors)
        if not failed:
            reason = next((line for line in errors.splitlines() if "error: " in line), errors.strip()).removeprefix("error: ")
            return f"patches/{name} does not apply: {reason}"
        path, line = failed.groups()
        files = re.split("(?m)^--- ", diff.read_text(errors="replace"))
        hunks = [hunk for file in files if re.match(rf"(a/)?{re.escape(path)}\s", file)
                 for hunk in re.findall("(?m)^@@ .*", file)]
        for number, text in enumerate(hunks, 1):
            if re.match(rf"@@ -{line}[, ]", text):
                return f"patches/{name} does not apply: {path}, hunk {number} of {len(hunks)}: {text}"
        return f"patches/{name} does not apply: {path}, line {line}"


class Merger(Applier):
    """On a kernel that the patches were not made for: what does not apply as it is goes by a 3-way merge, for which
    the files that the patches were made on must be in the repository, or is left out. "found" says so of each."""

    def __init__(self, repo, base, scratch):
        super().__init__(repo, base, scratch)
        self.found, attributes = {}, self.scratch / "attributes"
        attributes.write_text("".join(f"{name} merge=union\n" for name in LISTS))
        self.options = "-c", f"core.attributesFile={attributes}"

    def apply(self, name, content):
        try:
            new = self.commit(name, content)
        except Failure as failure:
            self.found[name] = "left out: " + (failure.what.partition(" does not apply: ")[2] or failure.what)
            self.indexed = None
            return
        if self.git.text("rev-parse", f"{new}^{{tree}}") != self.git.text("rev-parse", f"{self.head}^{{tree}}"):
            self.head = new
        self.indexed = self.head

    def change_index(self, name, diff):
        said, status = self.git_apply(diff, "-v")
        if not status:
            offsets = [abs(int(number)) for number in re.findall(r"\(offset (-?\d+) lines?\)", said)]
            self.found[name] = f"as it is, up to {max(offsets)} lines off" if offsets else "as it is"
        elif not self.git_apply(diff, "-R", "--check")[1]:
            self.found[name] = "there already"
        elif self.git_apply(diff, "--3way", options=self.options)[1]:
            raise Failure("apply", self.explain(name, diff, said))
        else:
            self.found[name] = "merged: " + self.explain(name, diff, said).partition(" does not apply: ")[2]


def apply_series(repo, base, chosen):
    """The commit that the last one makes."""
    with tempfile.TemporaryDirectory() as scratch:
        applier = Applier(repo, base, scratch)
        for entry in chosen:
            applier.apply(entry.name, entry.content())
    return applier.head


def merge_series(repo, base, chosen):
    """The same for another kernel, and what became of each: {name: text}."""
    with tempfile.TemporaryDirectory() as scratch:
        merger = Merger(repo, base, scratch)
        for entry in chosen:
            merger.apply(entry.name, entry.content())
    return merger.head, merger.found


# ---------------------------------------------------------------------- topics

class Topics:
    """What each topic stands on, as the line "Stands-on:" of its cover letter says."""

    def __init__(self, series):
        self.needs = {}
        for name in dict.fromkeys(entry.folder for entry in series.entries if entry.folder):
            found = re.search(r"^Stands-on: (.+)$", text_of(PATCHES / name / "cover"), re.M)
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
    """[(selection, name)] of what must stand alone: the series up to each patch, and each topic
    on what it stands on."""
    topics = Topics(series)
    return [(Selection(first=number), entry.name) for number, entry in enumerate(series.entries, 1)] + \
           [(Selection(topics=tuple(topics.on(name))), name) for name in topics.needs]


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
