// A library for programs that run under valgrind, to preload.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

// They believe that the machine has one processor, and do not wait for anything without sleeping: how often
// they would look is a matter of time.
long sysconf(int name) {
    if (name == _SC_NPROCESSORS_ONLN) return 1;
    long (*next)(int) = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
    return next(name);
}

// valgrind 3.19 writes to the set, and dies by it when that is a constant, as libdispatch's is.
int sigsuspend(const sigset_t *set) {
    sigset_t copy = *set;
    int (*next)(const sigset_t *) = (int (*)(const sigset_t *))dlsym(RTLD_NEXT, "sigsuspend");
    return next(&copy);
}

// valgrind 3.19 does not know openat2(2).
long syscall(long number, ...) {
    static long (*next)(long, ...);
    if (!next) next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    long words[6];
    va_list list;
    va_start(list, number);
    for (int index = 0; index < 6; index++) words[index] = va_arg(list, long);
    va_end(list);
    if (number == SYS_openat2) {
        const struct open_how *how = (const struct open_how *)words[2];
        return openat((int)words[0], (const char *)words[1], (int)how->flags, (mode_t)how->mode);
    }
    return next(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
