# SPDX-License-Identifier: GPL-2.0
# Arguments for make: only this file is instrumented.
GCOV_PROFILE_gup.o=y
