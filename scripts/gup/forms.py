# SPDX-License-Identifier: GPL-2.0
"""Each form of get_user_pages() and its relatives that Documentation/porting/gup_legacy.h gives, as a
module of its own (kunit/forms/table), on the kernels that people have: compiled against the headers of
each release and flavour that Debian's mirror has, for this and another architecture, without a warning and
with what that kernel exports; and loaded into Debian's kernels where their tools run here, and into the
kernel with the series. Drivers with a layer of their own (kunit/forms/layers) compile, or fail with an
error that names the header. A driver of 2012 (kunit/forms/trial) goes both ways of Documentation/porting.md,
from errors of the compiler that it explains to modules that load. --write makes Documentation/porting/forms.md of it."""

import argparse
import concurrent.futures
import re
import shutil
import subprocess
import typing

from gup import cli, debkernels, documents, guest, initramfs, source
from gup.arch import X86
from gup.cli import BUILD, CACHE, CPUS, ROOT
from gup.counts import Checks
from gup.kernel import Kernel
from gup.packages import need
from gup.workspace import Workspace

EXCLUDE = ("--write --release",)
FORMS, PORTING = ROOT / "kunit/forms", ROOT / "Documentation/porting"
TABLE = PORTING / "forms.md"
TRIAL, GUIDE = FORMS / "trial", ROOT / "Documentation/porting.md"
SAMPLE = "samples/gup_legacy/gup_legacy_dev.c"
BARE = "#include <linux/mm.h>\n#include <linux/pagemap.h>\n#include <linux/sched/mm.h>\n#include <linux/uaccess.h>"
INIT = """\
#!/bin/busybox sh
for module in /*.ko; do /bin/busybox insmod "$module"; done
/bin/busybox sleep 1
/bin/busybox reboot -f
"""


def options(parser):
    cli.option(parser, "--release R", "only this release of the kernel, as 6.1; may be repeated", release, many=True)
    cli.option(parser, "--write", "write Documentation/porting/forms.md, if nothing fails")


def release(text):
    if not re.fullmatch(r"\d+\.\d+", text, re.A):
        raise argparse.ArgumentTypeError(f"wants a release of the kernel, as 6.1, not '{text}'")
    return text


class Form(typing.NamedTuple):
    """A line of kunit/forms/table."""
    name: str
    how: tuple
    call: str
    put: str
    until: str = ""  # the last kernel that has it
    apart: str = ""  # what tells it from the other forms of this call

    def defines(self):
        how = " | ".join(["0", *(word.upper() for word in self.how if word != "hand")])
        return {"FORM_NAME": f'"{self.name}"', "FORM_HOW": f"({how})", "FORM_CALL": self.call, "FORM_PUT": self.put}

    def text(self):
        """With the header."""
        lines = [f"#define {name} {value}\n" for name, value in self.defines().items()]
        if self.name.startswith("fast_") and "get_user_pages_fast" in self.call:
            lines.append(f"#define GUP_FAST_TAKES_{self.name.removeprefix('fast_').upper()}\n")
        return "".join([*lines, '#include "form.c"\n'])

    def bare(self):
        """As a driver is before it is converted: no header, and no VMAs, which today's calls do not give."""
        text = (FORMS / "form.c").read_text().replace('#include "gup_legacy.h"', BARE)
        without = self._replace(name=f"c_{self.name}", how=tuple(word for word in self.how if word != "vmas"),
                                call=re.sub(r"\bvmas\b", "NULL", self.call))
        for name, value in without.defines().items():
            text = re.sub(rf"(?<!\w){name}(?=[; ,)])", lambda _, value=value: value, text)
        return text


def load():
    forms = []
    for name, how, until, apart, call, put in cli.matched(
            FORMS / "table", r"(\w+): *([\w ]*): *([^:;]*); ([^:]*): *(.*?)(?: => (.*))?",
            "'NAME: HOW: UNTIL; TOLD BY: CALL [=> PUT]'"):
        put = put or ("unpin_user_pages(pages, got)" if "pin" in how.split() else
                      "for (i = 0; i < got; i++) put_page(pages[i])")
        forms.append(Form(name, tuple(how.split()), call, put, until, apart))
    return forms


def sources(forms, folder):
    """A folder that make M= takes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in (FORMS / "form.c", PORTING / "gup_legacy.h"):
        shutil.copy(path, folder)
    for form in forms:
        (folder / f"{form.name}.c").write_text(form.text())
    (folder / "Makefile").write_text("obj-m := " + " ".join(f"{form.name}.o" for form in forms) + "\n")
    return folder


def spatch(path, write):
    """What is wrong."""
    return cli.wrong(["spatch", "--very-quiet", "--sp-file", PORTING / "gup.cocci", "--in-place",
                      *(["-D", "write"] if write else []), path])


def convert(checks, forms, folder):
    """Adds what the semantic patch makes of drivers without the header; the forms by their new names."""
    found = []
    for form in forms:
        path = folder / f"c_{form.name}.c"
        path.write_text(form.bare())
        if "hand" in form.how:
            path.unlink()
            continue
        write = form.name == "fast_write"
        checks.add(f"gup.cocci: {form.name}", spatch(path, write))
        once = path.read_text().split()  # it breaks lines anew
        again = spatch(path, write)
        checks.add(f"gup.cocci, a second time: {form.name}", again or ["it changes"] * (path.read_text().split() != once))
        found.append(form._replace(name=path.stem))
    alone = folder / "as_it_is.c"
    shutil.copy(FORMS / alone.name, alone)
    checks.add("gup.cocci leaves as_it_is.c alone", spatch(alone, False) or documents.difference(
        alone, (FORMS / alone.name).read_text()))
    alone.unlink()
    with open(folder / "Makefile", "a", encoding="utf-8") as file:
        file.write("obj-m += " + " ".join(f"{form.name}.o" for form in found) + "\n")
    return found


def parsed(checks, folder):
    """Coccinelle drops what it cannot parse, and says so only if it is asked."""
    for path in (*sorted(folder.glob("c_*.c")), *sorted((FORMS / "layers").glob("*.c"))):
        lines = cli.said(["spatch", "--parse-c", path])[1]
        good = any(re.search(r"nb bad = 0\b", line) for line in lines)
        refused = "Coccinelle does not parse" in path.read_text()
        checks.add(f"spatch parses {path.name}, or not, as expected", [] if good != refused else lines[-3:])


# -------------------------------------------------------------------------------- trial

def trial(checks, folder, ways):
    """Adds the driver of 2012 after each of these ways of porting.md: the edits by hand, and gup.cocci."""
    found = []
    for way in ways:
        path = folder / f"driver_{way}.c"
        shutil.copy(TRIAL / "driver.c", path)
        wrong = cli.wrong(["patch", "-s", path, TRIAL / f"{way}.patch"])
        checks.add(f"driver of 2012, {way}", wrong or (spatch(path, False) if way == "today" else []))
        found.append(Form(path.stem, (), "", ""))
    with open(folder / "Makefile", "a", encoding="utf-8") as file:
        file.write("obj-m += " + " ".join(f"{form.name}.o" for form in found) + "\n")
    return found


def arguments(one):
    """Of get_user_pages()."""
    declared = re.search(r"^long get_user_pages\((.*?)\);", (one.common / "include/linux/mm.h").read_text(), re.M | re.S)
    return declared[1].count(",") + 1


def ways(one):
    return ("header", "today") if arguments(one) == 4 else ("header",)


def unexplained(lines):
    """Errors of the compiler that the first table of porting.md has no row for."""
    rows = re.findall(r"^\| (.*?) \|", GUIDE.read_text().partition("\n## ")[0], re.M)
    names = set(re.findall(r"'([^']+)'", " ".join(rows)))
    return [line for line in lines if ": error: " in line and not names.intersection(re.findall(r"'([^']+)'", line))]


# ------------------------------------------------------------------------------ compile

def compile_all(checks, headers, folder, names, gpl):
    """Those that compile, as modules that this kernel would load. gpl gets those that need what is for modules
    under the GPL alone."""
    out, command, exports = BUILD / f"forms/{headers.name}", headers.command(), headers.exports()
    out.mkdir(parents=True, exist_ok=True)

    def compile_one(name):
        status, lines = cli.said([*command, f"-I{folder}", "-c", folder / f"{name}.c", "-o", out / f"{name}.o"])
        if status:
            return lines, ()
        wanted = subprocess.run(["nm", "-u", out / f"{name}.o"], check=True, capture_output=True, text=True).stdout
        return [], wanted.split()[1::2]

    good = set()
    with concurrent.futures.ThreadPoolExecutor(CPUS) as pool:
        for name, (wrong, wanted) in zip(names, pool.map(compile_one, names)):
            wrong += [f"{symbol} is not exported" for symbol in wanted if symbol not in exports and symbol != "__this_module"]
            checks.add(f"{headers.name}, {name}", wrong, 5)
            good |= {name} if not wrong else set()
            gpl |= {name} if any(map(exports.get, wanted)) else set()
    return good


# --------------------------------------------------------------------------------- run

def initrd(folder):
    (folder / "init").write_text(INIT)
    return initramfs.pack(folder / "initramfs", {"bin/busybox": shutil.which("busybox"), "init": folder / "init",
                                                 **{module.name: module for module in folder.glob("*.ko")}})


def run(checks, machine, name, image, forms, folder):
    """The names of those that the guest says are well."""
    cli.stage("boot", f"{name}; {machine}")
    guest.run(machine.command(image, ["console=ttyS0", "panic=-1", "kunit.enable=0", "vsyscall=emulate"], initrd(folder)), folder)
    console = (folder / "console.log").read_text(errors="replace")
    good = set(re.findall(r"gup_form: (\w+): ok", console))
    for form in forms:
        said = re.findall(rf".*(?:gup_form: {form.name}:|{form.name}\.ko).*", console)
        checks.add(f"{name} runs {form.name}", [] if form.name in good else said or [f"nothing in {folder}/console.log"])
    return good


def debian_kernels(checks, machine, packages, headers, forms):
    """{package: names} of what was loaded into Debian's own kernel."""
    ran = {}
    for one in headers:
        if one.arch != "amd64" or not one.flavour.startswith("cloud"):
            continue
        packages.unpack(one.needs[1], one.arch)
        folder = sources(forms, BUILD / f"forms/run-{one.name}")
        every = forms + trial(checks, folder, ways(one))
        wrong = debkernels.modules(one, folder, folder / "make.log")
        newer = [line for line in wrong if re.search(r"GLIBC_|unrecognized command-line option", line)]
        if newer:
            cli.note(f"not run, its tools and flags are of a newer Debian: {newer[0].strip()}")
            continue
        checks.add(f"modules for {one.name}", wrong)
        image = None if wrong else packages.image(one)
        if image:
            ran[one.name] = run(checks, machine, one.name, image, every, folder)
    checks.add("some kernel of Debian was run", [] if ran else ["none, see above"])
    return ran


def own_kernel(checks, machine, workspace, forms):
    kernel = Kernel(workspace.prepare(), "sample")
    kernel.build()
    folder = sources(forms, BUILD / "forms/run-series")
    cli.stage("convert", "gup.cocci")
    every = forms + convert(checks, forms, folder) + trial(checks, folder, ("header", "today"))
    parsed(checks, folder)
    log = folder / "make.log"
    if kernel.make(log, f"M={folder}", "modules"):
        kernel.explain(log)
    return run(checks, machine, f"{workspace.source.version} with the series", kernel.image, every, folder)


# ------------------------------------------------------------------------------ layers

def layers(checks, headers):
    """Drivers that have names and wrappers of their own, and the one of 2012 as it is: what the comment of each
    says must come true."""
    for path in (*sorted((FORMS / "layers").glob("*.c")), TRIAL / "driver.c"):
        wanted = re.search(r"^ \* Error: (.+)$", path.read_text(), re.M)
        status, lines = cli.said([*headers.command(), f"-I{PORTING}", "-c", path, "-o", "/dev/null"])
        text = "\n".join(lines)
        wrong = lines if status and not wanted else []
        if wanted and (not status or wanted[1] not in text):
            wrong = [f"no error that says: {wanted[1]}", *lines]
        if path.parent == TRIAL:
            wrong = wrong + unexplained(lines)
        checks.add(f"{headers.name}, {path.name}", wrong, 8)


# ------------------------------------------------------------------------------- table

def form_rows(forms, headers, compiled, ran, gpl, releases):
    for form in forms:
        cells = [form.until, form.apart]
        for release in releases:
            of = [one for one in headers if one.release == release]
            good = sum(form.name in compiled[one.name, one.arch] for one in of)
            runs = ", runs" if any(form.name in ran.get(one.name, ()) for one in of) else ""
            cells.append(f"{good}/{len(of)}{runs}")
        cells += ["runs" if form.name in ran["series"] else "", "by hand" if "hand" in form.how else
                  "runs" if f"c_{form.name}" in ran["series"] else "fails", "GPL" if form.name in gpl else ""]
        call = form.put if form.name.startswith("put_") else form.call
        yield [form.name, f"`{documents.cell(call)}`", *cells]


def package_rows(headers, compiled):
    for one in headers:
        sample = "compiles" if "sample" in compiled[one.name, one.arch] else "fails"
        yield [f"{one.name} ({one.arch})", one.version, f"{arguments(one)} arguments", sample]


def table(forms, headers, compiled, ran, gpl):
    """Documentation/porting/forms.md"""
    releases = list(dict.fromkeys(one.release for one in headers))
    return documents.filled(
        "forms.md", forms=documents.table(f"| form | call | until | told by | {' | '.join(releases)} | series | gup.cocci | |",
                                          form_rows(forms, headers, compiled, ran, gpl, releases), " --- |"),
        packages=documents.table("| package | version | get_user_pages() | sample |",
                                 package_rows(headers, compiled), " --- |"))


def main(options):
    need("fetch", "build", "boot", "initramfs", "forms")
    cli.lock(CACHE / "debkernels.lock")
    forms, checks = load(), Checks()
    cli.stage("packages", "kernels of Debian")
    packages = debkernels.Packages()
    headers = [one for one in packages.headers() if not options.release or one.release in options.release]
    if not headers:
        raise cli.usage("no headers package of this release")
    workspace = Workspace(source.choose()).prepare()
    folder, compiled, gpl = sources(forms, BUILD / "forms/src"), {}, set()
    (folder / "linux").mkdir()
    shutil.copy(PORTING / "gup_legacy.h", folder / "linux")
    shutil.copy(workspace.tree / SAMPLE, folder / "sample.c")
    workspace.unlock()
    trial(checks, folder, ("header", "today"))
    names = [*(form.name for form in forms), "sample"]
    for one in headers:
        cli.stage("compile", f"{one.name} {one.version}, {one.arch}")
        for name, arch in ((one.name, one.arch), (one.needs[0], "amd64")):
            packages.unpack(name, arch)
        drivers = [f"driver_{way}" for way in ways(one)]
        compiled[one.name, one.arch] = compile_all(checks, one, folder, names + drivers, gpl)
        layers(checks, one)
    machine = guest.probe(X86)
    machine.cpu = ""  # QEMU's own choice, on which all of them come up
    ran = debian_kernels(checks, machine, packages, headers, forms)
    ran["series"] = own_kernel(checks, machine, workspace, forms)
    cli.stage_end()
    checks.conclude()
    if options.write:
        cli.write(TABLE, table(forms, headers, compiled, ran, gpl))
    return f"{len(forms)} forms compile on {len(headers)} kernels, and run on {len(ran)}"
