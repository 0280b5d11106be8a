#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Linux 7.3 (Debian linux-source-7.3 7.3.4-1~bpo13+1, gcc 12.2), KUnit on User Mode Linux,
# 64 bit, one CPU: the mm that kunit_vm_mmap() makes for a test outlives it.
#
# lib/kunit/user_alloc.c says that it will be cleaned up when the process dies. Expected:
# when the kernel's own suite usercopy has run and init is started, one address space is
# there, that of init. On UML each is a process of the host, so they can be counted. Seen:
# one more for each test. kthread_use_mm() takes a reference that only kthread_unuse_mm()
# drops, which nobody calls.
#
# Prints what it saw; fails if that is anything else. Takes some minutes: it builds a kernel.
set -euo pipefail
version=7.3.4-1~bpo13+1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'echo "failed: $BASH_COMMAND"; tail -n 5 "$dir/log" "$dir/console"' ERR
for tool in make gcc flex bison bc pgrep; do
	command -v "$tool" > /dev/null || { echo "needs $tool"; exit 1; }
done
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
dpkg-deb --fsys-tarfile ./*.deb | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | tar -xJ
cd linux-source-7.3

cat > ../init.c << 'END'
#include <fcntl.h>
#include <unistd.h>

int main(void)
{
	static const char text[] = "init is there\n";
	int out = open("/kmsg", O_WRONLY);

	for (;;) {
		if (write(out, text, sizeof(text) - 1) < 0)
			return 1;
		sleep(1);
	}
}
END
gcc -O2 -static -o ../init ../init.c
printf '%s\n' 'nod /kmsg 0600 0 0 c 1 11' "file /init $dir/init 0755 0 0" > ../list
printf 'CONFIG_%s\n' 64BIT=y PRINTK=y BINFMT_ELF=y BLK_DEV_INITRD=y STDERR_CONSOLE=y "INITRAMFS_SOURCE=\"$dir/list\"" \
	KUNIT=y RUNTIME_TESTING_MENU=y USERCOPY_KUNIT_TEST=y > ../config
make -s ARCH=um KCONFIG_ALLCONFIG=../config allnoconfig
make -s ARCH=um CC="$(command -v ccache > /dev/null && echo 'ccache ')gcc" -j"$(nproc)" linux > ../log 2>&1
./linux mem=64M kunit.enable=1 kunit.autorun=1 < /dev/null > ../console 2>&1 &
guest=$!
trap 'kill -KILL "$guest" 2> /dev/null || true; rm -rf "$dir"' EXIT
for ((i = 0; i < 3000; i++)); do
	grep -q 'init is there' ../console && break
	kill -0 "$guest"
	sleep 0.1
done
grep -o 'Linux version [^ ]*' ../console
grep -o '# Totals: pass:[0-9]*' ../console
tests=$(grep -c '^\(\[ *[0-9.]*\]\)\? *ok [0-9]* usercopy_' ../console)
spaces=$(pgrep -c -P "$guest" uml-userspace)
echo "seen: $tests tests, $spaces address spaces with that of init"
[ "$tests" -gt 1 ]
[ "$spaces" -eq $((tests + 1)) ]
