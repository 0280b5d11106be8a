/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef _LINUX_GUP_LEGACY_H
#define _LINUX_GUP_LEGACY_H

/*
 * get_user_pages() and its relatives in every form that they have had, for
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
 *                               start nr write force pages locked       v4.8
 *                               start nr flags pages locked             v5.17
 *   get_user_pages_unlocked()   tsk mm start nr write force pages       v4.5
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
 *   GUP_FAST_TAKES_WRITE	the third argument of get_user_pages_fast() is
 *				"int write", which nothing tells from flags
 *   GUP_LEGACY_NO_MMAP_SEM	mmap_sem is a name of its own, not mmap_lock
 *
 * What differs from the kernels that had these forms: the faults are accounted
 * to the caller, whatever tsk is. FOLL_FORCE does not write to a read-only
 * MAP_SHARED mapping. An address of the gate area has no VMA: its vmas[] entry
 * is NULL.
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
 * been held since before the walk, so that these are the VMAs that it saw.
 */
static inline void gup_legacy_find_vmas(struct mm_struct *mm,
					unsigned long start, long nr_pages,
					struct vm_area_struct **vmas)
{
	struct vm_area_struct *vma = NULL;
	unsigned long addr;
	long i;

#ifdef untagged_addr_remote
	addr = untagged_addr_remote(mm, start) & PAGE_MASK;
#else
	addr = untagged_addr(start) & PAGE_MASK;
#endif
	for (i = 0; i < nr_pages; i++, addr += PAGE_SIZE) {
		if (!vma || addr >= vma->vm_end)
			vma = find_vma(mm, addr);
		vmas[i] = vma && addr >= vma->vm_start ? vma : NULL;
	}
}

/* @gup has the type that @old says; callers know both when they are compiled. */
static __always_inline long
gup_legacy_call(const void *gup, bool old, unsigned long start,
		unsigned long nr_pages, unsigned int gup_flags,
		struct page **pages, struct vm_area_struct **vmas)
{
	long ret;

	if (old)
		return ((gup_legacy_old)gup)(start, nr_pages, gup_flags, pages,
					     vmas);
	ret = ((gup_legacy_new)gup)(start, nr_pages, gup_flags, pages);
	if (vmas && ret > 0)
		gup_legacy_find_vmas(current->mm, start, ret, vmas);
	return ret;
}

/* VMAs are worth nothing once the lock was dropped: who wants them keeps it. */
static __always_inline long
gup_legacy_call_remote(const void *gup, bool old, struct mm_struct *mm,
		       unsigned long start, unsigned long nr_pages,
		       unsigned int gup_flags, struct page **pages,
		       struct vm_area_struct **vmas, int *locked)
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
		gup_legacy_find_vmas(mm, start, ret, vmas);
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
	return gup_legacy_call(pin_user_pages, old, start, nr_pages, gup_flags,
			       pages, vmas);
}

static inline long gup_legacy_pin_4(unsigned long start, unsigned long nr_pages,
				    unsigned int gup_flags, struct page **pages)
{
	return gup_legacy_pin_5(start, nr_pages, gup_flags, pages, NULL);
}

/* get_user_pages() */

/*
 * FOLL_LONGTERM is for pins since v5.6. The page is where it may stay while
 * there is a pin, and with a reference it does not move after that.
 */
static inline long
gup_legacy_get_longterm(unsigned long start, unsigned long nr_pages,
			unsigned int gup_flags, struct page **pages,
			struct vm_area_struct **vmas)
{
	long i, ret;

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
	const bool old = __same_type(&get_user_pages, gup_legacy_old);

	BUILD_BUG_ON(!old && !__same_type(&get_user_pages, gup_legacy_new));
	if (gup_flags & FOLL_LONGTERM)
		return gup_legacy_get_longterm(start, nr_pages, gup_flags,
					       pages, vmas);
	return gup_legacy_call(get_user_pages, old, start, nr_pages, gup_flags,
			       pages, vmas);
}

static inline long gup_legacy_get_4(unsigned long start, unsigned long nr_pages,
				    unsigned int gup_flags, struct page **pages)
{
	return gup_legacy_get_5(start, nr_pages, gup_flags, pages, NULL);
}

static inline long gup_legacy_get_6(unsigned long start, unsigned long nr_pages,
				    int write, int force, struct page **pages,
				    struct vm_area_struct **vmas)
{
	return gup_legacy_get_5(start, nr_pages, gup_legacy_flags(write, force),
				pages, vmas);
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
	return gup_legacy_call_remote(get_user_pages_remote, old, mm, start,
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

static inline long gup_legacy_remote_6(struct mm_struct *mm,
				       unsigned long start,
				       unsigned long nr_pages,
				       unsigned int gup_flags,
				       struct page **pages, int *locked)
{
	return gup_legacy_remote_7_mm(mm, start, nr_pages, gup_flags, pages,
				      NULL, locked);
}

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
	return gup_legacy_call_remote(pin_user_pages_remote, old, mm, start,
				      nr_pages, gup_flags, pages, vmas, locked);
}

static inline long gup_legacy_pin_remote_6(struct mm_struct *mm,
					   unsigned long start,
					   unsigned long nr_pages,
					   unsigned int gup_flags,
					   struct page **pages, int *locked)
{
	return gup_legacy_pin_remote_7(mm, start, nr_pages, gup_flags, pages,
				       NULL, locked);
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
 * The _locked calls are entered with the lock and may drop it. Their successor
 * takes it by itself, so they always do.
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
	gup_legacy_drop_lock(locked);
	return get_user_pages_unlocked(start, nr_pages, pages, gup_flags);
}

static inline long gup_legacy_pin_locked_5(unsigned long start,
					   unsigned long nr_pages,
					   unsigned int gup_flags,
					   struct page **pages, int *locked)
{
	gup_legacy_drop_lock(locked);
	return pin_user_pages_unlocked(start, nr_pages, pages, gup_flags);
}

static inline long gup_legacy_locked_6(unsigned long start,
				       unsigned long nr_pages, int write,
				       int force, struct page **pages,
				       int *locked)
{
	return gup_legacy_locked_5(start, nr_pages,
				   gup_legacy_flags(write, force), pages,
				   locked);
}

static inline long gup_legacy_locked_8(struct task_struct *tsk,
				       struct mm_struct *mm,
				       unsigned long start,
				       unsigned long nr_pages, int write,
				       int force, struct page **pages,
				       int *locked)
{
	if (mm == current->mm)
		return gup_legacy_locked_6(start, nr_pages, write, force, pages,
					   locked);
	return gup_legacy_remote_6(mm, start, nr_pages,
				   gup_legacy_flags(write, force), pages,
				   locked);
}

static inline long gup_legacy_unlocked_4(unsigned long start,
					 unsigned long nr_pages,
					 struct page **pages,
					 unsigned int gup_flags)
{
	return get_user_pages_unlocked(start, nr_pages, pages, gup_flags);
}

static inline long gup_legacy_unlocked_5(unsigned long start,
					 unsigned long nr_pages, int write,
					 int force, struct page **pages)
{
	return get_user_pages_unlocked(start, nr_pages, pages,
				       gup_legacy_flags(write, force));
}

static inline long gup_legacy_unlocked_7(struct task_struct *tsk,
					 struct mm_struct *mm,
					 unsigned long start,
					 unsigned long nr_pages, int write,
					 int force, struct page **pages)
{
	int locked = 1;
	long ret;

	if (mm == current->mm)
		return gup_legacy_unlocked_5(start, nr_pages, write, force,
					     pages);
	mmap_read_lock(mm);
	ret = gup_legacy_remote_6(mm, start, nr_pages,
				  gup_legacy_flags(write, force), pages,
				  &locked);
	if (locked)
		mmap_read_unlock(mm);
	return ret;
}

/* The fast calls. They are for modules under the GPL. */

static inline int gup_legacy_fast_write(unsigned long start, int nr_pages,
					int write, struct page **pages)
{
	return get_user_pages_fast(start, nr_pages, write ? FOLL_WRITE : 0,
				   pages);
}

static inline int gup_legacy_fast_only_write(unsigned long start, int nr_pages,
					     int write, struct page **pages)
{
	return get_user_pages_fast_only(start, nr_pages, write ? FOLL_WRITE : 0,
					pages);
}

/* put_user_page() and the like are for what get_user_pages() has returned. */

static inline void gup_legacy_put_3(struct page **pages, unsigned long nr_pages,
				    bool make_dirty)
{
	unsigned long i;

	for (i = 0; i < nr_pages; i++) {
		if (make_dirty)
			set_page_dirty_lock(pages[i]);
		put_page(pages[i]);
	}
}

static inline void gup_legacy_put_2(struct page **pages, unsigned long nr_pages)
{
	gup_legacy_put_3(pages, nr_pages, true);
}

/* With as many arguments as there are. */
#define GUP_LEGACY_FORM(name, args...)					\
	CONCATENATE(gup_legacy_##name##_, COUNT_ARGS(args))(args)

#define get_user_pages(args...)		GUP_LEGACY_FORM(get, args)
#define get_user_pages_remote(args...)	GUP_LEGACY_FORM(remote, args)
#define get_user_pages_locked(args...)	GUP_LEGACY_FORM(locked, args)
#define get_user_pages_unlocked(args...) GUP_LEGACY_FORM(unlocked, args)
#define get_user_pages_longterm(args...) gup_legacy_get_longterm(args)
#define __get_user_pages_fast(args...)	gup_legacy_fast_only_write(args)
#ifdef GUP_FAST_TAKES_WRITE
#define get_user_pages_fast(args...)	gup_legacy_fast_write(args)
#endif

#define pin_user_pages(args...)		GUP_LEGACY_FORM(pin, args)
#define pin_user_pages_remote(args...)	GUP_LEGACY_FORM(pin_remote, args)
#define pin_user_pages_locked(args...)	gup_legacy_pin_locked_5(args)

#define put_user_page(page)		put_page(page)
#define put_user_pages(pages, nr_pages)	gup_legacy_put_3(pages, nr_pages, false)
#define put_user_pages_dirty(args...)	gup_legacy_put_2(args)
#define put_user_pages_dirty_lock(args...) GUP_LEGACY_FORM(put, args)

/* With fewer it is not ours: a function pointer in a struct of the driver's. */
#define gup_legacy_get_1 get_user_pages
#define gup_legacy_get_2 get_user_pages
#define gup_legacy_get_3 get_user_pages

/*
 * The mmap lock had the name mmap_sem until v5.7. For reading that is enough.
 * To hold it for writing takes more than the semaphore since v6.4, when VMAs
 * got locks of their own.
 */
#ifndef GUP_LEGACY_NO_MMAP_SEM
#define mmap_sem mmap_lock

#define GUP_LEGACY_NOT_MMAP_SEM(name)					\
	BUILD_BUG_ON_MSG(__builtin_strstr(name, "mmap_sem"),		\
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
