// A library for programs that run under valgrind, to preload.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
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
