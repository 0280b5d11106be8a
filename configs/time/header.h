/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included before all else in the configurations time and time-locks. A kernel for one CPU
 * has no lock prefix: its atomic operations cost what plain ones do.
 */
#if !defined(__ASSEMBLER__) && !defined(CONFIG_SMP)
/* What is compiled before this file is made has no atomic operations. */
#if __has_include(<generated/asm-offsets.h>)
#include <asm/alternative.h>
#undef LOCK_PREFIX
#define LOCK_PREFIX "lock "
#endif
#endif
