// A library to preload: whoever resolves a path with /hangs in it waits for ever, as on a server that is away.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *realpath(const char *restrict path, char *restrict resolved) {
    while (strstr(path, "/hangs")) pause();
    char *(*next)(const char *, char *) =
        (char *(*)(const char *, char *))dlsym(RTLD_NEXT, "realpath");
    return next(path, resolved);
}
