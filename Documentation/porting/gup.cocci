// SPDX-License-Identifier: GPL-2.0 OR MIT
// From any form of get_user_pages() and its relatives to that of today:
//
//   spatch --sp-file gup.cocci --in-place --smpl-spacing driver.c
//
// What it makes is for v6.5 and later. -D write is for files whose get_user_pages_fast()
// has "int write". What asks for VMAs, is for long, or marks dirty while it releases, has
// no such successor: it stays as it is, and does not compile. porting.md says what to write.

virtual write

// Calls that may drop the lock. Their successor does not look at protection keys.

@@ expression T, M, s, n, w, f, p, l; @@
- get_user_pages_locked(T, M, s, n, w, f, p, l)
+ get_user_pages_remote(M, s, n, GUP_FLAGS(w, f), p, l)
@@ symbol current; expression s, n, w, f, p, l; @@
- get_user_pages_locked(s, n, w, f, p, l)
+ get_user_pages_remote(current->mm, s, n, GUP_FLAGS(w, f), p, l)
@@ expression s, n, g, p, l; @@
- get_user_pages_locked(s, n, g, p, l)
+ get_user_pages_remote(current->mm, s, n, g, p, l)
@@ expression s, n, g, p, l; @@
- pin_user_pages_locked(s, n, g, p, l)
+ pin_user_pages_remote(current->mm, s, n, g, p, l)
@@ expression T, M, s, n, g, p, l; @@
- get_user_pages_locked(T, M, s, n, g, p, l)
+ get_user_pages_remote(M, s, n, g, p, l)
@@ expression T, s, n, w, f, p; @@
- get_user_pages_unlocked(T, current->mm, s, n, w, f, p)
+ get_user_pages_unlocked(s, n, p, GUP_FLAGS(w, f))
@@ expression T, s, n, g, p; @@
- get_user_pages_unlocked(T, current->mm, s, n, p, g)
+ get_user_pages_unlocked(s, n, p, g)
@@ expression s, n, w, f, p; @@
- get_user_pages_unlocked(s, n, w, f, p)
+ get_user_pages_unlocked(s, n, p, GUP_FLAGS(w, f))

// get_user_pages()

@@ expression T, s, n, w, f, p; @@
- get_user_pages(T, current->mm, s, n, w, f, p, NULL)
+ get_user_pages(s, n, GUP_FLAGS(w, f), p)
@@ expression T, M, s, n, w, f, p; @@
- get_user_pages(T, M, s, n, w, f, p, NULL)
+ get_user_pages_remote(M, s, n, GUP_FLAGS(w, f), p, NULL)
@@ expression T, s, n, g, p; @@
- get_user_pages(T, current->mm, s, n, g, p, NULL)
+ get_user_pages(s, n, g, p)
@@ expression T, M, s, n, g, p; @@
- get_user_pages(T, M, s, n, g, p, NULL)
+ get_user_pages_remote(M, s, n, g, p, NULL)
@@ expression s, n, w, f, p; @@
- get_user_pages(s, n, w, f, p, NULL)
+ get_user_pages(s, n, GUP_FLAGS(w, f), p)
@@ expression s, n, g, p; @@
- get_user_pages(s, n, g, p, NULL)
+ get_user_pages(s, n, g, p)

// The remote calls: two forms have eight arguments, and two have seven. Where only the types
// would tell, nothing is done: force is a literal, and an mm is declared here or a member mm.

@@ expression T, M, s, n, w, p; @@
- get_user_pages_remote(T, M, s, n, w, 0, p, NULL)
+ get_user_pages_remote(M, s, n, GUP_FLAGS(w, 0), p, NULL)
@@ expression T, M, s, n, w, p; @@
- get_user_pages_remote(T, M, s, n, w, 1, p, NULL)
+ get_user_pages_remote(M, s, n, GUP_FLAGS(w, 1), p, NULL)
@@ expression T, M, s, n, g, p, l; @@
- get_user_pages_remote(T, M, s, n, g, p, NULL, l)
+ get_user_pages_remote(M, s, n, g, p, l)
@@ struct mm_struct *M; expression s, n, g, p, l; @@
- get_user_pages_remote(M, s, n, g, p, NULL, l)
+ get_user_pages_remote(M, s, n, g, p, l)
@@ expression E, s, n, g, p, l; @@
- get_user_pages_remote(E->mm, s, n, g, p, NULL, l)
+ get_user_pages_remote(E->mm, s, n, g, p, l)
@@ struct mm_struct *M; expression T, s, n, g, p; @@
- get_user_pages_remote(T, M, s, n, g, p, NULL)
+ get_user_pages_remote(M, s, n, g, p, NULL)
@@ expression T, E, s, n, g, p; @@
- get_user_pages_remote(T, E->mm, s, n, g, p, NULL)
+ get_user_pages_remote(E->mm, s, n, g, p, NULL)
@@ expression T, M, s, n, g, p, l; @@
- pin_user_pages_remote(T, M, s, n, g, p, NULL, l)
+ pin_user_pages_remote(M, s, n, g, p, l)
@@ expression M, s, n, g, p, l; @@
- pin_user_pages_remote(M, s, n, g, p, NULL, l)
+ pin_user_pages_remote(M, s, n, g, p, l)

// pin_user_pages()

@@ expression s, n, g, p; @@
- pin_user_pages(s, n, g, p, NULL)
+ pin_user_pages(s, n, g, p)

// The fast calls.

@@ expression s, n, w, p; @@
- __get_user_pages_fast(s, n, w, p)
+ get_user_pages_fast_only(s, n, GUP_FLAGS(w, 0), p)
@depends on write@ expression s, n, w, p; @@
- get_user_pages_fast(s, n, w, p)
+ get_user_pages_fast(s, n, GUP_FLAGS(w, 0), p)

// Releasing.

@@ expression p; @@
- put_user_page(p)
+ put_page(p)
@@ expression p; @@
- page_cache_release(p)
+ put_page(p)
@@ expression p, n; @@
- put_user_pages(p, n)
+ release_pages(p, n)

// The lock, if it is that of an mm. For writing it is more than a semaphore.

@@ struct mm_struct *M; @@
- &M->mmap_sem
+ GUP_LOCK_OF(M)
@@ expression E; @@
- &E->mm->mmap_sem
+ GUP_LOCK_OF(E->mm)
@@ expression M; @@
- down_read(GUP_LOCK_OF(M))
+ mmap_read_lock(M)
@@ expression M; @@
- down_read_killable(GUP_LOCK_OF(M))
+ mmap_read_lock_killable(M)
@@ expression M; @@
- down_read_trylock(GUP_LOCK_OF(M))
+ mmap_read_trylock(M)
@@ expression M; @@
- up_read(GUP_LOCK_OF(M))
+ mmap_read_unlock(M)
@@ expression M; @@
- down_write(GUP_LOCK_OF(M))
+ mmap_write_lock(M)
@@ expression M; @@
- down_write_killable(GUP_LOCK_OF(M))
+ mmap_write_lock_killable(M)
@@ expression M; @@
- up_write(GUP_LOCK_OF(M))
+ mmap_write_unlock(M)
@@ expression M; @@
- downgrade_write(GUP_LOCK_OF(M))
+ mmap_write_downgrade(M)
@@ expression M; @@
- GUP_LOCK_OF(M)
+ &M->mmap_lock

// write and force as flags.

@@ @@
- GUP_FLAGS(FOLL_WRITE, 0)
+ FOLL_WRITE
@@ expression w; @@
- GUP_FLAGS(w ? FOLL_WRITE : 0, 0)
+ w ? FOLL_WRITE : 0
@@ @@
- GUP_FLAGS(0, 0)
+ 0
@@ @@
- GUP_FLAGS(1, 0)
+ FOLL_WRITE
@@ @@
- GUP_FLAGS(0, 1)
+ FOLL_FORCE
@@ @@
- GUP_FLAGS(1, 1)
+ FOLL_WRITE | FOLL_FORCE
@@ expression w; @@
- GUP_FLAGS(w, 0)
+ w ? FOLL_WRITE : 0
@@ expression w; @@
- GUP_FLAGS(w, 1)
+ (w ? FOLL_WRITE : 0) | FOLL_FORCE
@@ expression w, f; @@
- GUP_FLAGS(w, f)
+ (w ? FOLL_WRITE : 0) | (f ? FOLL_FORCE : 0)
