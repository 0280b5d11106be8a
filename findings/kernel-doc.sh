#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# scripts/kernel-doc of Linux 7.3 (Debian linux-source-7.3 7.3.4-1~bpo13+1, Python 3.11), on
# comments that it does not warn of with -Wall:
#
#  - "Return:", a blank line, a list. Documentation/doc-guide/kernel-doc.rst: "The return value
#    description can also have multiple paragraphs". Expected: the list is below Return. Seen: it
#    is below Description, which comes before Return.
#  - -man -function NAME. Expected: one page. Seen: before it a SEE ALSO section for each other
#    function of the file that has kernel-doc.
#  - -function of a name that is not there, with -Werror. Expected: an error. Seen: nothing, and
#    status 0.
#
# Prints what it saw; fails if that is anything else.
set -euo pipefail
version=7.3.4-1~bpo13+1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'echo "failed: $BASH_COMMAND"; tail -n 5 "$dir/log"' ERR
cd "$dir"

# Of the mirror that this machine uses, the suite that has the package.
mkdir -p lists/partial cache/archives/partial
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed -n '\|/debian/$|{p;q}')
echo "deb $mirror trixie-backports main" > sources.list
options=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache")
apt-get "${options[@]}" update > log 2>&1
apt-get "${options[@]}" download "linux-source-7.3=$version" > log 2>&1
dpkg-deb --fsys-tarfile ./*.deb | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
	tar -xJ --wildcards '*/scripts/kernel-doc' '*/tools/docs/kernel-doc' '*/tools/lib/python'
cd linux-source-7.3

cat > one.c << 'END'
/**
 * one() - do one thing
 *
 * The description.
 *
 * Return: 0, or
 *
 * * %-EINVAL: it makes no sense
 */
int one(void)
{
	return 0;
}

/**
 * two() - do another
 */
void two(void)
{
}
END
kernel_doc() {
	scripts/kernel-doc -Wall -Werror "$@" one.c 2>&1
}
{
	echo "sections and list: $(kernel_doc -rst -function one | grep -oE 'Description|Return|-EINVAL' | xargs)"
	echo "sections of two(9): $(kernel_doc -man -function two | sed -n 's/^\.\(SH\|TH\) *//p' | cut -d' ' -f1-2 | xargs)"
	echo "no such function: '$(kernel_doc -function three)', status $(kernel_doc -function three > /dev/null; echo $?)"
} | tee ../seen
diff - ../seen << 'END'
sections and list: Description -EINVAL Return
sections of two(9): SEE ALSO two 9 NAME SYNOPSIS ARGUMENTS SEE ALSO
no such function: '', status 0
END
