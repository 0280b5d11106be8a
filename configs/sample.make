# SPDX-License-Identifier: GPL-2.0
# Arguments for make: the initramfs has no C library.
USERLDFLAGS=-static
