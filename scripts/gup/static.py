# SPDX-License-Identifier: GPL-2.0
"""Checks of this repository that need no kernel.

  spdx       every file says GPL-2.0 (patches say it in the files they add)
  neutral    no path of somebody's machine, no address of a package mirror
  series     series and patches/ name the same files; each patch is as it must be
  stable     the same of the backports in patches/stable/, which say what differs from mainline
  readme     README.md's table of exit codes is that of cli.py
  python     every Python file compiles without a warning
  allowlist  entries of the splat checker carry a reason, and each denied kind a log
  header     Documentation/porting/gup_legacy.h is what topic legacy adds to the kernel, and all of it
  mutants    each test of the suites has a mutant that it kills, or a reason why it has none
  litmus     each test of kunit/litmus/ says what it models and what is expected, can fail, and was observed
"""

import collections
import fnmatch
import re
import subprocess
import sys

from gup import cli, litmusfile, splat
from gup.checkeach import fixes
from gup.cli import EXIT_CODES, ROOT
from gup.mutantfile import load
from gup.refresh import subject_of
from gup.series import PATCHES, STABLE, Series, Topics

# What can be mailed at once, says Documentation/process/submitting-patches.rst.
MOST = 16
HEADER = "Documentation/porting/gup_legacy.h"
NO_TAG = ("COPYING", "series")  # the licence itself; a file whose first line is fixed
PRIVATE = re.compile(r"(?<![\w.$}/])/(home|root|tmp|work|Users|mnt|srv)/\w")
MIRROR = re.compile(r"https?://[\w.-]*(deb|ubuntu|mirror|archive|registry|pypi|npmjs)\b", re.I)


def files():
    """What git tracks, or would; a plain copy of the repository is taken as it is."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"],
                            capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = listed.stdout.splitlines()
    else:
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*")
                 if p.is_file() and p.relative_to(ROOT).parts[0] != "build"
                 and "__pycache__" not in p.parts]
    return sorted(name for name in names if (ROOT / name).is_file())


def text(name):
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def spdx():
    for name in files():
        if name.endswith(".patch"):
            new = re.findall(r"^--- /dev/null\n\+\+\+ b/(.*)\n@@.*\n((?:\+.*\n){1,2})", text(name), re.M)
            for path, head in new:
                if "SPDX-License-Identifier" not in head and not path.endswith(".kunitconfig"):
                    yield f"{name}: {path} is added without an SPDX tag"
        elif name not in NO_TAG and not name.endswith("/cover"):
            if "SPDX-License-Identifier: GPL-2.0" not in "\n".join(text(name).splitlines()[:5]):
                yield f"{name}: no SPDX tag in its first lines"


def neutral():
    for name in files():
        if name == "COPYING":
            continue
        for number, line in enumerate(text(name).splitlines(), 1):
            if PRIVATE.search(line):
                yield f"{name}:{number}: a path of one machine: {line.strip()}"
            if MIRROR.search(line):
                yield f"{name}:{number}: an address of a package mirror: {line.strip()}"


def series():
    the_series = Series()
    names = [entry.name for entry in the_series.entries]
    count, new = collections.Counter(), {}  # new: {test file: topic that adds it}
    for path in sorted(PATCHES.rglob("*.patch")):
        if str(path.relative_to(PATCHES)) not in names and STABLE not in path.parents:
            yield f"patches/{path.relative_to(PATCHES)} is not in series"
    topics = Topics(the_series)
    for topic in topics.needs:
        shown = re.findall(r"\$S/patches/([\w-]+)/\*\.patch", text(f"patches/{topic}/cover"))
        if shown != topics.on(topic):
            yield f"patches/{topic}/cover: git am of {' '.join(shown)}, not of {' '.join(topics.on(topic))}"
        if not re.match(r"Subject: \S.{10,70}\nStands-on: .+\n\n\S", text(f"patches/{topic}/cover")):
            yield f"patches/{topic}/cover: does not begin with Subject:, Stands-on:, an empty line and a text"
    for entry in the_series.entries:
        content = entry.content()
        where = f"patches/{entry.name}"
        tests = re.findall(r"^\+\+\+ b/(mm/tests/\S+)", content.decode("utf-8", "replace"), re.M)
        new.update((path, entry.section) for path in tests if path not in new)
        for path in tests:
            if entry.section == "batch" and new[path] == "tests":
                yield f"{where}: edits {path}, which is of topic tests"
        count[entry.section] += 1
        if count[entry.section] == MOST + 1:
            yield f"patches/{entry.section}/ has more than {MOST} patches"
        if not entry.name.startswith(f"{entry.section}/{count[entry.section]:04}-"):
            yield f"series line {entry.line}: is number {count[entry.section]} of {entry.section}: scripts/tree refresh"
        yield from mail(where, content)


def mail(where, content):
    message = content.decode("utf-8", "replace").split("\ndiff --git ")[0]
    if not message.startswith("From " + "0" * 40 + " "):
        yield f"{where}: was not written with --zero-commit"
    for field in ("From: ", "Date: ", "Subject: [PATCH] "):
        if not re.search("^" + re.escape(field), message, re.M):
            yield f"{where}: no line '{field.strip()}'"
    if re.search(r"^Signed-off-by:", message, re.M | re.I):
        yield f"{where}: has a Signed-off-by, which whoever posts it adds"
    if len(message.split("\n\n", 1)[-1].split("\n---\n")[0].strip()) < 40:
        yield f"{where}: gives no reason in its message"
    for tag in re.findall(r"^Fixes:.*", message, re.M):
        if not re.match(r'Fixes: [0-9a-f]{12,} \(".+"\)$', tag):
            yield f"{where}: not a Fixes: tag as it must be: {tag}"
    if not subject_of(content):
        yield f"{where}: no subject"


def stable():
    for folder in sorted(path for path in STABLE.glob("*") if path.is_dir()):
        where, the_series = f"patches/stable/{folder.name}", Series(folder / "series")
        if [PATCHES / entry.name for entry in the_series.entries] != sorted(folder.glob("*.patch")):
            yield f"{where}/series does not name the patches of its folder, in their order"
        if the_series.base != folder.name:
            yield f"{where}/series is for v{the_series.base}"
        named = {name for fix in fixes(folder / "fixes") for name in fix.names}
        unknown = named - {entry.name.removesuffix(".patch") for entry in the_series.entries}
        if unknown:
            yield f"{where}/fixes names {', '.join(sorted(unknown))}, which series does not"
        for entry in the_series.entries:
            yield from mail(f"patches/{entry.name}", entry.content())
            if entry.section == "fixes" and f"\n[{folder.name}: ".encode() not in entry.content():
                yield f"patches/{entry.name}: no line '[{folder.name}: what differs from the patch for v{Series().base}]'"
            if entry.section == "fixes" and entry.path.stem not in text(f"{where}/fixes"):
                yield f"patches/{entry.name}: {where}/fixes does not say what shows it, or why nothing does"


def readme():
    table = [line.split(None, 2) for line in EXIT_CODES.splitlines()]
    shown = re.findall(r"^\| *(\d+) *\| *(\w+) *\| *(.*?) *\|$", text("README.md"), re.M)
    if [tuple(row) for row in table] != shown:
        yield "README.md's table of exit codes differs from scripts/gup/cli.py"


def python():
    return cli.wrong([sys.executable, "-W", "error", "-X", "pycache_prefix=" + str(cli.scratch()), "-m", "compileall", "-q",
                      *(ROOT / name for name in files() if name.endswith(".py"))])


def allowlist():
    for pattern, reason in splat.ALLOW:
        if len(reason.split()) < 4:
            yield f"splat.py: {pattern} is allowed without a reason"
    for kind, _ in splat.DENY:
        if not list((ROOT / "scripts/tests/logs").glob(f"{kind}*.log")):
            yield f"splat.py: no scripts/tests/logs/{kind}*.log shows that it finds {kind}"


def header():
    added = [re.search(r"^\+\+\+ b/include/linux/gup_legacy\.h\n@@.*\n((?:\+.*\n)*)", text(name), re.M)
             for name in files() if name.startswith("patches/legacy/")]
    bodies = [re.sub(r"(?m)^\+", "", match[1]) for match in added if match]
    if bodies != [text(HEADER)]:
        yield f"{HEADER} is not what one patch of topic legacy adds"
    for name in files():
        if name.startswith("patches/legacy/"):
            for path in re.findall(r"^\+\+\+ b/(.*)", text(name), re.M):
                if not re.fullmatch(r"include/linux/gup_legacy\.h|mm/Makefile|MAINTAINERS|mm/tests/.*|samples/.*", path):
                    yield f"{name}: {path}: the topic says that no object file of the kernel changes"


def mutants():
    """A test that nobody saw fail may be one that cannot."""
    tests = set()
    for entry in Series().entries:
        diff = entry.content().decode("utf-8", "replace")
        for suite, body in re.findall(r"^\+\+\+ b/mm/tests/(\w+)_kunit\.c\n(.*?)(?=^diff --git |\Z)", diff, re.M | re.S):
            tests |= {f"{suite}.{name}" for name in re.findall(r"^\+\s*(?:KUNIT|GUP)_CASE\w*\((\w+)", body, re.M)}
    globs = {".".join(glob.split(".")[:2]) for mutant in load() for glob in mutant.globs}
    globs |= {glob for fix in fixes() for glob in fix.globs}
    reasons = dict(re.findall(r"^no mutant: (\S+): (.+)$", text("kunit/mutants/README"), re.M))
    for test in sorted(tests):
        proven = any(fnmatch.fnmatchcase(test, glob) for glob in globs)
        if proven and test in reasons:
            yield f"kunit/mutants/README: {test} has a mutant"
        if not proven and test not in reasons:
            yield f"{test}: no mutant of kunit/mutants/ names it"
    for test in sorted(set(reasons) - tests):
        yield f"kunit/mutants/README: there is no test {test}"


def litmus():
    return litmusfile.wrong()


CHECKS = {f.__name__: f for f in (spdx, neutral, series, stable, readme, python, allowlist, header, mutants, litmus)}
