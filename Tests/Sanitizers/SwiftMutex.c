// Tells ThreadSanitizer of Swift's Mutex.
//
// Where nobody else wants it, a Mutex is taken and given up by atomic operations in code that is compiled with the
// sanitizer, which understands them. Where others do, that is done in libswiftSynchronization, which is not: it would
// take all that the mutex protects for a race. Loaded before that library (LD_PRELOAD), this stands between both.
//
// The symbols are those of Swift 6.3; a program below the sanitizer does not start with a Swift that has others.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// Only in programs that are compiled with the sanitizer, and not in others that these start.
extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

// The handle comes where Swift passes "self".
#define SELF __attribute__((swift_context)) void *self
#define SWIFT __attribute__((swiftcall, visibility("default")))

SWIFT void lock_slow(uint32_t thread, SELF) __asm__(LOCK);
SWIFT void unlock_slow(SELF) __asm__(UNLOCK);

static __attribute__((swiftcall)) void (*actual_lock)(uint32_t thread, SELF);
static __attribute__((swiftcall)) void (*actual_unlock)(SELF);

__attribute__((constructor)) static void find(void) {
    actual_lock = dlsym(RTLD_NEXT, LOCK);
    actual_unlock = dlsym(RTLD_NEXT, UNLOCK);
    if (__tsan_acquire && (!actual_lock || !actual_unlock)) {
        fprintf(stderr, "SwiftMutex.c: this Swift has no %s or %s\n", LOCK, UNLOCK);
        abort();
    }
}

SWIFT void lock_slow(uint32_t thread, SELF) {
    actual_lock(thread, self);
    if (__tsan_acquire)
        __tsan_acquire(self);
}

SWIFT void unlock_slow(SELF) {
    if (__tsan_release)
        __tsan_release(self);
    actual_unlock(self);
}
