// Tells ThreadSanitizer of Swift's Mutex.
//
// Where nobody else wants it, a Mutex is taken and given up by atomic operations in code that is compiled with the
// sanitizer, which understands them. Where others do, that is done in libswiftSynchronization, which is not: it would
// take all that the mutex protects for a race. Loaded before that library (LD_PRELOAD), this stands between both.
//
// Lines that are about the symbols of Swift 6.3: what is missing there is an error when tests are linked or loaded.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// Not there in programs of others that are started.
extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

// The handle comes where Swift passes "self".
#define SELF __attribute__((swift_context)) void *self
#define SWIFT __attribute__((swiftcall, visibility("default")))

typedef __attribute__((swiftcall)) void lock_function(uint32_t thread, SELF);
typedef __attribute__((swiftcall)) void unlock_function(SELF);

SWIFT void lock_slow(uint32_t thread, SELF) __asm__(LOCK);
SWIFT void unlock_slow(SELF) __asm__(UNLOCK);

static void *next(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) {
        fprintf(stderr, "SwiftMutex.c: this Swift has no %s\n", name);
        abort();
    }
    return function;
}

SWIFT void lock_slow(uint32_t thread, SELF) {
    static lock_function *actual;
    if (!__atomic_load_n(&actual, __ATOMIC_ACQUIRE))
        __atomic_store_n(&actual, (lock_function *)next(LOCK), __ATOMIC_RELEASE);
    actual(thread, self);
    if (__tsan_acquire)
        __tsan_acquire(self);
}

SWIFT void unlock_slow(SELF) {
    static unlock_function *actual;
    if (!__atomic_load_n(&actual, __ATOMIC_ACQUIRE))
        __atomic_store_n(&actual, (unlock_function *)next(UNLOCK), __ATOMIC_RELEASE);
    if (__tsan_release)
        __tsan_release(self);
    actual(self);
}
