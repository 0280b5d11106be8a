#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# QEMU 7.2.22 (qemu-user and qemu-system-misc 1:7.2+dfsg-7+deb12u18+b3 of Debian 12), s390x: an address that is more
# than 2 GiB away is off by 4 GiB.
#
# Expected: LARL takes a displacement of 32 bits in halfwords, that is 4 GiB to either side. Seen: QEMU doubles it in 32
# bits. QEMU 8.0 does it in 64 (349372ff9e3e "target/s390x: Fix relative long instructions with large offsets").
# Debian's kernels of s390x from 7.2.13 on have per-CPU data that far away from their modules: ext4 ends in an oops in
# ext4_mb_new_blocks() at the first write, as if the kernel were wrong. 6.12 runs.
#
# Prints what it saw; fails if that is anything else.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for tool in s390x-linux-gnu-gcc qemu-s390x; do
	command -v "$tool" > /dev/null || { echo "needs $tool (gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user)"; exit 1; }
done
cat > "$dir/larl.c" << 'END'
#include <stdio.h>

#define FAR(distance) ({						\
	long near, far;							\
									\
	asm("larl %0, 1f\n1: larl %1, 1b+" #distance : "=r" (near), "=r" (far)); \
	printf(#distance ": %#lx\n", far - near);			\
})

int main(void)
{
	FAR(0x7ffffffe);
	FAR(0x80000000);
	FAR(0xfffffffe);
	return 0;
}
END
s390x-linux-gnu-gcc -static -o "$dir/larl" "$dir/larl.c"
qemu-s390x "$dir/larl" | tee "$dir/seen"
diff - "$dir/seen" << 'END'
0x7ffffffe: 0x7ffffffe
0x80000000: 0xffffffff80000000
0xfffffffe: 0xfffffffffffffffe
END
