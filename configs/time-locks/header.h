/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Included before all else in the configuration time-locks: spinlocks that do what a queued
 * spinlock of a kernel for many CPUs does when nobody waits, an atomic compare-and-exchange
 * to take it and a store to release it. They stand in place of those in
 * <linux/spinlock_up.h>, which with DEBUG_SPINLOCK are plain stores.
 */
#include "../time/header.h"

#if !defined(__ASSEMBLER__) && !defined(CONFIG_SMP)
#define __LINUX_SPINLOCK_UP_H
#define arch_spin_is_locked(lock)	((lock)->slock == 0)
#define arch_spin_is_contended(lock)	(((void)(lock), 0))
#define arch_spin_trylock(lock)		(cmpxchg_acquire(&(lock)->slock, 1, 0) == 1)
#define arch_spin_lock(lock)		do { } while (!arch_spin_trylock(lock))
#define arch_spin_unlock(lock)		smp_store_release(&(lock)->slock, 1)

/* These are data on a kernel for many CPUs only. */
#define arch_read_lock(lock)		do { barrier(); (void)(lock); } while (0)
#define arch_write_lock(lock)		do { barrier(); (void)(lock); } while (0)
#define arch_read_trylock(lock)		({ barrier(); (void)(lock); 1; })
#define arch_write_trylock(lock)	({ barrier(); (void)(lock); 1; })
#define arch_read_unlock(lock)		do { barrier(); (void)(lock); } while (0)
#define arch_write_unlock(lock)		do { barrier(); (void)(lock); } while (0)
#endif
