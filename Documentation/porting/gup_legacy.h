/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef _LINUX_GUP_LEGACY_H
#define _LINUX_GUP_LEGACY_H

/*
 * get_user_pages() and its relatives in the forms that they have had, for
 * drivers outside of the tree. The header needs no patch and no option: it
 * calls what the kernel exports, and finds out by the types of the functions
 * which forms these have. It is for v5.10 and later.
 *
 *   call                        arguments                               until
 *   get_user_pages()            tsk mm start nr write force pages vmas  v4.5
 *                               tsk mm start nr flags pages vmas    4.4-LTS
 *                               start nr write force pages vmas         v4.8
 *                               start nr flags pages vmas               v6.4
 *                               start nr flags pages                    today
 *   get_user_pages_remote()     tsk mm start nr write force pages vmas  v4.8
 *                               tsk mm start nr flags pages vmas        v4.9
 *                               tsk mm start nr flags pages vmas locked v5.8
 *                               mm start nr flags pages vmas locked     v6.4
 *                               mm start nr flags pages locked          today
 *   get_user_pages_locked()     tsk mm start nr write force pages locked v4.5
 *                               tsk mm start nr flags pages locked  4.4-LTS
 *                               start nr write force pages locked       v4.8
 *                               start nr flags pages locked             v5.17
 *   get_user_pages_unlocked()   tsk mm start nr write force pages       v4.5
 *                               tsk mm start nr pages flags         4.4-LTS
 *                               start nr write force pages              v4.8
 *                               start nr pages flags                    today
 *   get_user_pages_longterm()   start nr flags pages vmas               v5.1
 *   __get_user_pages_fast()     start nr write pages                    v5.7
 *   get_user_pages_fast()       start nr write pages                    v5.1
 *                               start nr flags pages                    today
 *   pin_user_pages()            start nr flags pages vmas               v6.4
 *                               start nr flags pages                    today
 *   pin_user_pages_remote()     tsk mm start nr flags pages vmas locked v5.8
 *                               mm start nr flags pages vmas locked     v6.4
 *                               mm start nr flags pages locked          today
 *   pin_user_pages_locked()     start nr flags pages locked             v5.17
 *   put_user_page(), put_user_pages(), put_user_pages_dirty(),
 *   put_user_pages_dirty_lock() with and without make_dirty             v5.5
 *
 * Include it after a definition of pr_fmt(), and before everything that uses
 * one of these calls or gives one of these names to something of its own. A
 * file may define before that
 *
 *   GUP_FAST_TAKES_WRITE	its get_user_pages_fast() has "int write"
 *   GUP_FAST_TAKES_FLAGS	its get_user_pages_fast() has flags
 *   GUP_LEGACY_NO_MMAP_SEM	mmap_sem is a name of its own, not mmap_lock
 *
 * and has to define one of the first two if it calls get_user_pages_fast(), as
 * nothing else tells these two forms from each other.
 *
 * What differs from the kernels that had these forms:
 *  - faults are accounted to the caller, whatever tsk is;
 *  - FOLL_FORCE does not write to a read-only MAP_SHARED mapping (v3.15);
 *  - a stack does not grow below its VMA (v6.5);
 *  - the page of the gate area, vsyscall on x86_64, has no VMA that a module
 *    could find: a call with vmas ends before it, and may have written its
 *    entry of pages[] all the same;
 *  - the _locked forms always drop the lock, unless locked is NULL;
 *  - FOLL_LONGTERM also refuses to write to files whose file system tracks
 *    dirty pages (v6.5), and only get_user_pages() takes it here.
 */

#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>
#ifndef COUNT_ARGS		/* in linux/kernel.h until v6.5 */
#include <linux/args.h>
#endif

/* What the kernel at hand has: with vmas until v6.4, and without since. */
typedef long (*gup_legacy_old)(unsigned long start, unsigned long nr_pages,
			       unsigned int gup_flags, struct page **pages,
			       struct vm_area_struct **vmas);
typedef long (*gup_legacy_new)(unsigned long start, unsigned long nr_pages,
			       unsigned int gup_flags, struct page **pages);
typedef long (*gup_legacy_old_remote)(struct mm_struct *mm, unsigned long start,
				      unsigned long nr_pages,
				      unsigned int gup_flags,
				      struct page **pages,
				      struct vm_area_struct **vmas,
				      int *locked);
typedef long (*gup_legacy_new_remote)(struct mm_struct *mm, unsigned long start,
				      unsigned long nr_pages,
				      unsigned int gup_flags,
				      struct page **pages, int *locked);

/*
 * The VMA of each page that a walk from @start has returned. The mmap lock has
 * been held since before the walk, so that these are the VMAs that it saw. A
 * page without one is not given to the caller, who relies on vmas[]: the call
 * ends before it.
 */
static inline long gup_legacy_find_vmas(struct mm_struct *mm,
					unsigned long start, long nr_pages,
					struct page **pages, bool pin,
					struct vm_area_struct **vmas)
{
	struct vm_area_struct *vma = NULL;
	unsigned long addr;
	long i, got;

#ifdef untagged_addr_remote
	addr = untagged_addr_remote(mm, start) & PAGE_MASK;
#else
	addr = untagged_addr(start) & PAGE_MASK;
#endif
	for (got = 0; got < nr_pages; got++, addr += PAGE_SIZE) {
		if (!vma || addr >= vma->vm_end)
			vma = find_vma(mm, addr);
		if (!vma || addr < vma->vm_start)
			break;
		vmas[got] = vma;
	}
	for (i = got; pages && i < nr_pages; i++) {
		if (pin)
			unpin_user_page(pages[i]);
		else
			put_page(pages[i]);
	}
	return got ?: -EFAULT;
}

/* @gup has the type that @old says; callers know both when they are compiled. */
static __always_inline long
gup_legacy_call(const void *gup, bool old, bool pin, unsigned long start,
		unsigned long nr_pages, unsigned int gup_flags,
		struct page **pages, struct vm_area_struct **vmas)
{
	long ret;

	if (old)
		return ((gup_legacy_old)gup)(start, nr_pages, gup_flags, pages,
					     vmas);
	ret = ((gup_legacy_new)gup)(start, nr_pages, gup_flags, pages);
	if (vmas && ret > 0)
		ret = gup_legacy_find_vmas(current->mm, start, ret, pages, pin,
					   vmas);
	return ret;
}

/* VMAs are worth nothing once the lock was dropped: who wants them keeps it. */
static __always_inline long
gup_legacy_call_remote(const void *gup, bool old, bool pin,
		       struct mm_struct *mm, unsigned long start,
		       unsigned long nr_pages, unsigned int gup_flags,
		       struct page **pages, struct vm_area_struct **vmas,
		       int *locked)
{
	long ret;

	if (vmas)
		locked = NULL;
	if (old)
		return ((gup_legacy_old_remote)gup)(mm, start, nr_pages,
						    gup_flags, pages, vmas,
						    locked);
	ret = ((gup_legacy_new_remote)gup)(mm, start, nr_pages, gup_flags,
					   pages, locked);
	if (vmas && ret > 0)
		ret = gup_legacy_find_vmas(mm, start, ret, pages, pin, vmas);
	return ret;
}

static inline unsigned int gup_legacy_flags(int write, int force)
{
	return (write ? FOLL_WRITE : 0) | (force ? FOLL_FORCE : 0);
}

/* pin_user_pages(), by the number of arguments. */

static inline long gup_legacy_pin_5(unsigned long start, unsigned long nr_pages,
				    unsigned int gup_flags, struct page **pages,
				    struct vm_area_struct **vmas)
{
	const bool old = __same_type(&pin_user_pages, gup_legacy_old);

	BUILD_BUG_ON(!old && !__same_type(&pin_user_pages, gup_legacy_new));
	return gup_legacy_call(pin_user_pages, old, true, start, nr_pages,
			       gup_flags, pages, vmas);
}

/* get_user_pages() */

static inline long gup_legacy_get_now(unsigned long start,
				      unsigned long nr_pages,
				      unsigned int gup_flags,
				      struct page **pages,
				      struct vm_area_struct **vmas)
{
	const bool old = __same_type(&get_user_pages, gup_legacy_old);

	BUILD_BUG_ON(!old && !__same_type(&get_user_pages, gup_legacy_new));
	return gup_legacy_call(get_user_pages, old, false, start, nr_pages,
			       gup_flags, pages, vmas);
}

/*
 * FOLL_LONGTERM is for pins since v5.6, and get_user_pages() refuses it. A pin
 * brings the page to where it may stay. The reference that follows it is worth
 * what it was worth then: it keeps the page from being migrated or freed, and
 * not from being replaced in the mapping after a fork() or when it is reclaimed.
 * Without an MMU nothing moves, and pins are not counted.
 */
static inline long
get_user_pages_longterm(unsigned long start, unsigned long nr_pages,
			unsigned int gup_flags, struct page **pages,
			struct vm_area_struct **vmas)
{
	long i, ret;

	if (!IS_ENABLED(CONFIG_MMU))
		return gup_legacy_get_now(start, nr_pages,
					  gup_flags & ~FOLL_LONGTERM, pages,
					  vmas);
	ret = gup_legacy_pin_5(start, nr_pages, gup_flags | FOLL_LONGTERM,
			       pages, vmas);
	for (i = 0; i < ret; i++) {
		get_page(pages[i]);
		unpin_user_page(pages[i]);
	}
	return ret;
}

static inline long gup_legacy_get_5(unsigned long start, unsigned long nr_pages,
				    unsigned int gup_flags, struct page **pages,
				    struct vm_area_struct **vmas)
{
	if (gup_flags & FOLL_LONGTERM)
		return get_user_pages_longterm(start, nr_pages, gup_flags,
					       pages, vmas);
	return gup_legacy_get_now(start, nr_pages, gup_flags, pages, vmas);
}

static inline long gup_legacy_remote_7_mm(struct mm_struct *mm,
					  unsigned long start,
					  unsigned long nr_pages,
					  unsigned int gup_flags,
					  struct page **pages,
					  struct vm_area_struct **vmas,
					  int *locked)
{
	const bool old = __same_type(&get_user_pages_remote,
				     gup_legacy_old_remote);

	BUILD_BUG_ON(!old && !__same_type(&get_user_pages_remote,
					  gup_legacy_new_remote));
	return gup_legacy_call_remote(get_user_pages_remote, old, false, mm, start,
				      nr_pages, gup_flags, pages, vmas, locked);
}

/* The remote call looks past the protection keys of its caller. */
static inline long gup_legacy_get_7(struct task_struct *tsk,
				    struct mm_struct *mm, unsigned long start,
				    unsigned long nr_pages,
				    unsigned int gup_flags, struct page **pages,
				    struct vm_area_struct **vmas)
{
	if (!mm)
		return -EINVAL;
	if (mm == current->mm)
		return gup_legacy_get_5(start, nr_pages, gup_flags, pages,
					vmas);
	return gup_legacy_remote_7_mm(mm, start, nr_pages, gup_flags, pages,
				      vmas, NULL);
}

/* The count was an int, and from v3.9 on an unsigned long. */
static inline long gup_legacy_get_8(struct task_struct *tsk,
				    struct mm_struct *mm, unsigned long start,
				    long nr_pages, int write, int force,
				    struct page **pages,
				    struct vm_area_struct **vmas)
{
	if (nr_pages <= 0)
		return 0;
	return gup_legacy_get_7(tsk, mm, start, nr_pages,
				gup_legacy_flags(write, force), pages, vmas);
}

/* get_user_pages_remote() and pin_user_pages_remote() */

static inline long gup_legacy_remote_7_tsk(struct task_struct *tsk,
					   struct mm_struct *mm,
					   unsigned long start,
					   unsigned long nr_pages,
					   unsigned int gup_flags,
					   struct page **pages,
					   struct vm_area_struct **vmas)
{
	return gup_legacy_remote_7_mm(mm, start, nr_pages, gup_flags, pages,
				      vmas, NULL);
}

static inline long gup_legacy_remote_8_flags(struct task_struct *tsk,
					     struct mm_struct *mm,
					     unsigned long start,
					     unsigned long nr_pages,
					     unsigned int gup_flags,
					     struct page **pages,
					     struct vm_area_struct **vmas,
					     int *locked)
{
	return gup_legacy_remote_7_mm(mm, start, nr_pages, gup_flags, pages,
				      vmas, locked);
}

static inline long gup_legacy_remote_8_force(struct task_struct *tsk,
					     struct mm_struct *mm,
					     unsigned long start,
					     unsigned long nr_pages, int write,
					     int force, struct page **pages,
					     struct vm_area_struct **vmas)
{
	return gup_legacy_remote_7_mm(mm, start, nr_pages,
				      gup_legacy_flags(write, force), pages,
				      vmas, NULL);
}

/* Two forms have 7 arguments, and two have 8: one of these is a pointer. */
#define gup_legacy_remote_7(a, b, args...)				\
	(__builtin_choose_expr(						\
		__builtin_types_compatible_p(typeof(b), struct mm_struct *), \
		&gup_legacy_remote_7_tsk,				\
		&gup_legacy_remote_7_mm)(a, b, args))
#define gup_legacy_remote_8(a, b, c, d, e, f, args...)			\
	(__builtin_choose_expr(						\
		__builtin_types_compatible_p(typeof((f) + 0), struct page **) || \
		__builtin_types_compatible_p(typeof((f) + 0), void *),	\
		&gup_legacy_remote_8_flags,				\
		&gup_legacy_remote_8_force)(a, b, c, d, e, f, args))

static inline long gup_legacy_pin_remote_7(struct mm_struct *mm,
					   unsigned long start,
					   unsigned long nr_pages,
					   unsigned int gup_flags,
					   struct page **pages,
					   struct vm_area_struct **vmas,
					   int *locked)
{
	const bool old = __same_type(&pin_user_pages_remote,
				     gup_legacy_old_remote);

	BUILD_BUG_ON(!old && !__same_type(&pin_user_pages_remote,
					  gup_legacy_new_remote));
	return gup_legacy_call_remote(pin_user_pages_remote, old, true, mm, start,
				      nr_pages, gup_flags, pages, vmas, locked);
}

static inline long gup_legacy_pin_remote_8(struct task_struct *tsk,
					   struct mm_struct *mm,
					   unsigned long start,
					   unsigned long nr_pages,
					   unsigned int gup_flags,
					   struct page **pages,
					   struct vm_area_struct **vmas,
					   int *locked)
{
	return gup_legacy_pin_remote_7(mm, start, nr_pages, gup_flags, pages,
				       vmas, locked);
}

/*
 * The _locked calls are entered with the lock and may drop it, if @locked can
 * say so. Their successor takes it by itself, so they always do.
 */
static inline void gup_legacy_drop_lock(int *locked)
{
	mmap_read_unlock(current->mm);
	*locked = 0;
}

static inline long gup_legacy_locked_5(unsigned long start,
				       unsigned long nr_pages,
				       unsigned int gup_flags,
				       struct page **pages, int *locked)
{
	if (!locked)
		return gup_legacy_get_5(start, nr_pages, gup_flags, pages,
					NULL);
	gup_legacy_drop_lock(locked);
	return get_user_pages_unlocked(start, nr_pages, pages, gup_flags);
}

static inline long gup_legacy_pin_locked_5(unsigned long start,
					   unsigned long nr_pages,
					   unsigned int gup_flags,
					   struct page **pages, int *locked)
{
	if (!locked)
		return gup_legacy_pin_5(start, nr_pages, gup_flags, pages,
					NULL);
	gup_legacy_drop_lock(locked);
	return pin_user_pages_unlocked(start, nr_pages, pages, gup_flags);
}

static inline long gup_legacy_locked_7(struct task_struct *tsk,
				       struct mm_struct *mm,
				       unsigned long start,
				       unsigned long nr_pages,
				       unsigned int gup_flags,
				       struct page **pages, int *locked)
{
	if (mm == current->mm)
		return gup_legacy_locked_5(start, nr_pages, gup_flags, pages,
					   locked);
	return gup_legacy_remote_7_mm(mm, start, nr_pages, gup_flags, pages,
				      NULL, locked);
}

static inline long gup_legacy_unlocked_6(struct task_struct *tsk,
					 struct mm_struct *mm,
					 unsigned long start,
					 unsigned long nr_pages,
					 struct page **pages,
					 unsigned int gup_flags)
{
	int locked = 1;
	long ret;

	if (mm == current->mm)
		return get_user_pages_unlocked(start, nr_pages, pages,
					       gup_flags);
	mmap_read_lock(mm);
	ret = gup_legacy_remote_7_mm(mm, start, nr_pages, gup_flags, pages,
				     NULL, &locked);
	if (locked)
		mmap_read_unlock(mm);
	return ret;
}

/* The fast calls, for modules under the GPL. No pages are no error there. */

static inline int gup_legacy_fast_write(unsigned long start, int nr_pages,
					int write, struct page **pages)
{
	if (nr_pages <= 0)
		return 0;
	return get_user_pages_fast(start, nr_pages, write ? FOLL_WRITE : 0,
				   pages);
}

static inline int __get_user_pages_fast(unsigned long start, int nr_pages,
					int write, struct page **pages)
{
	if (nr_pages <= 0)
		return 0;
	return get_user_pages_fast_only(start, nr_pages, write ? FOLL_WRITE : 0,
					pages);
}

/* These are for what get_user_pages() has returned. */

static inline void put_user_page(struct page *page)
{
	put_page(page);
}

static inline void put_user_pages(struct page **pages, unsigned long nr_pages)
{
	unsigned long i;

	for (i = 0; i < nr_pages; i++)
		put_page(pages[i]);
}

/* For a caller that holds the lock of the page, or that of the file. */
static inline void put_user_pages_dirty(struct page **pages,
					unsigned long nr_pages)
{
	unsigned long i;

	for (i = 0; i < nr_pages; i++) {
		if (!PageDirty(compound_head(pages[i])))
			set_page_dirty(compound_head(pages[i]));
	}
	put_user_pages(pages, nr_pages);
}

static inline void gup_legacy_put_2(struct page **pages, unsigned long nr_pages)
{
	unsigned long i;

	for (i = 0; i < nr_pages; i++) {
		if (!PageDirty(compound_head(pages[i])))
			set_page_dirty_lock(compound_head(pages[i]));
	}
	put_user_pages(pages, nr_pages);
}

static inline void gup_legacy_put_3(struct page **pages, unsigned long nr_pages,
				    bool make_dirty)
{
	if (make_dirty)
		gup_legacy_put_2(pages, nr_pages);
	else
		put_user_pages(pages, nr_pages);
}

/* The other forms: those without vmas, and write and force for flags. */
#define gup_legacy_get_4(start, nr, flags, pages)			\
	gup_legacy_get_5(start, nr, flags, pages, NULL)
#define gup_legacy_get_6(start, nr, write, force, pages, vmas)		\
	gup_legacy_get_5(start, nr, gup_legacy_flags(write, force), pages, vmas)
#define gup_legacy_pin_4(start, nr, flags, pages)			\
	gup_legacy_pin_5(start, nr, flags, pages, NULL)
#define gup_legacy_remote_6(mm, start, nr, flags, pages, locked)	\
	gup_legacy_remote_7_mm(mm, start, nr, flags, pages, NULL, locked)
#define gup_legacy_pin_remote_6(mm, start, nr, flags, pages, locked)	\
	gup_legacy_pin_remote_7(mm, start, nr, flags, pages, NULL, locked)
#define gup_legacy_locked_6(start, nr, write, force, pages, locked)	\
	gup_legacy_locked_5(start, nr, gup_legacy_flags(write, force), pages, \
			    locked)
#define gup_legacy_locked_8(tsk, mm, start, nr, write, force, pages, locked) \
	gup_legacy_locked_7(tsk, mm, start, nr,				\
			    gup_legacy_flags(write, force), pages, locked)
#define gup_legacy_unlocked_4 get_user_pages_unlocked
#define gup_legacy_unlocked_5(start, nr, write, force, pages)		\
	gup_legacy_unlocked_4(start, nr, pages, gup_legacy_flags(write, force))
#define gup_legacy_unlocked_7(tsk, mm, start, nr, write, force, pages)	\
	gup_legacy_unlocked_6(tsk, mm, start, nr, pages,		\
			      gup_legacy_flags(write, force))

/* With as many arguments as there are. */
#define GUP_LEGACY_FORM(name, args...)					\
	CONCATENATE(gup_legacy_##name##_, COUNT_ARGS(args))(args)

#define get_user_pages(args...)		GUP_LEGACY_FORM(get, args)
#define get_user_pages_remote(args...)	GUP_LEGACY_FORM(remote, args)
#define get_user_pages_locked(args...)	GUP_LEGACY_FORM(locked, args)
#define get_user_pages_unlocked(args...) GUP_LEGACY_FORM(unlocked, args)
#define pin_user_pages(args...)		GUP_LEGACY_FORM(pin, args)
#define pin_user_pages_remote(args...)	GUP_LEGACY_FORM(pin_remote, args)
#define pin_user_pages_locked(args...)	GUP_LEGACY_FORM(pin_locked, args)
#define put_user_pages_dirty_lock(args...) GUP_LEGACY_FORM(put, args)

#if defined(GUP_FAST_TAKES_WRITE)
#define get_user_pages_fast(args...)	gup_legacy_fast_write(args)
#elif !defined(GUP_FAST_TAKES_FLAGS)
#define get_user_pages_fast \
	gup_legacy_h_define_GUP_FAST_TAKES_WRITE_or_GUP_FAST_TAKES_FLAGS
#endif

/* With fewer it is not ours: a function pointer in a struct of the driver's. */
#define gup_legacy_get_1 get_user_pages
#define gup_legacy_get_2 get_user_pages
#define gup_legacy_get_3 get_user_pages

/*
 * The mmap lock had the name mmap_sem until v5.7. For reading that is enough.
 * To hold it for writing takes more than the semaphore since v6.4, when VMAs
 * got locks of their own. What is written as mmap_sem is found; a pointer to
 * it is not.
 */
#ifndef GUP_LEGACY_NO_MMAP_SEM
#define mmap_sem mmap_lock

/*
 * Does @name, which has @size bytes with its end, end with that member? It is
 * not asked by strstr(), which clang does not know with -ffreestanding.
 */
static __always_inline bool gup_legacy_is_mmap_sem(const char *name,
						   unsigned long size)
{
	const char *end = name + size - 1;

	return size > 9 && end[-1] == 'm' && end[-2] == 'e' && end[-3] == 's' &&
	       end[-4] == '_' && end[-5] == 'p' && end[-6] == 'a' &&
	       end[-7] == 'm' && end[-8] == 'm' &&
	       (end[-9] == '>' || end[-9] == '.' || end[-9] == ' ');
}

#define GUP_LEGACY_NOT_MMAP_SEM(name)					\
	BUILD_BUG_ON_MSG(gup_legacy_is_mmap_sem(name, sizeof(name)),	\
			 "gup_legacy.h: write mmap_write_lock(mm), "	\
			 "mmap_write_unlock(mm); if this mmap_sem is "	\
			 "not that of an mm: GUP_LEGACY_NO_MMAP_SEM")
#define down_write(sem)							\
	({ GUP_LEGACY_NOT_MMAP_SEM(#sem); down_write(sem); })
#define down_write_killable(sem)					\
	({ GUP_LEGACY_NOT_MMAP_SEM(#sem); down_write_killable(sem); })
#define down_write_trylock(sem)						\
	({ GUP_LEGACY_NOT_MMAP_SEM(#sem); down_write_trylock(sem); })
#endif /* GUP_LEGACY_NO_MMAP_SEM */

#endif /* _LINUX_GUP_LEGACY_H */
