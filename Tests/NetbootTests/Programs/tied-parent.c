// tied-parent COMMAND... - starts a program that is tied to it, prints its process id, and passes on what it says.
#define _GNU_SOURCE
#include "CLinux.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count < 2) return 64;
    int output, process;
    int pid = clinux_spawn_tied(arguments[1], arguments + 1, environ, NULL, &output, &process);
    if (pid < 0) {
        printf("failed: %s\n", strerror(-pid));
        return 1;
    }
    printf("%d\n", pid);
    fflush(stdout);
    char buffer[4096];
    ssize_t length;
    while ((length = read(output, buffer, sizeof buffer)) > 0) {
        if (write(1, buffer, (size_t)length) < 0) return 1;
    }
    return 0;
}
