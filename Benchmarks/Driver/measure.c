#include "measure.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

_Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "nfsload: %s: %s\n", what, why);
    exit(1);
}

double now_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static uint64_t *latencies;
static size_t latency_count, latency_room;

void latency_add(double seconds)
{
    if (latency_count == latency_room) {
        latency_room = latency_room > 0 ? latency_room * 2 : 1 << 16;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
        if (latencies == NULL) {
            fail("memory", strerror(errno));
        }
    }
    latencies[latency_count++] = (uint64_t)(seconds * 1e9);
}

void latencies_write(const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(latencies, sizeof *latencies, latency_count, file) != latency_count
        || fclose(file) != 0) {
        fail(path, strerror(errno));
    }
}

double process_cpu_seconds(int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) {
        return 0;
    }
    double seconds = 0;
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char file_path[sizeof path + sizeof task->d_name + 16];
        snprintf(file_path, sizeof file_path, "%s/%s/schedstat", path, task->d_name);
        FILE *file = task->d_name[0] == '.' ? NULL : fopen(file_path, "r");
        if (file == NULL) {
            continue;
        }
        unsigned long long nanoseconds;
        if (fscanf(file, "%llu", &nanoseconds) == 1) {
            seconds += (double)nanoseconds * 1e-9;
        }
        fclose(file);
    }
    closedir(tasks);
    return seconds;
}

double own_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

double machine_cpu_seconds(void)
{
    FILE *file = fopen("/proc/stat", "r");
    if (file == NULL) {
        return 0;
    }
    // user nice system idle iowait irq softirq
    unsigned long long ticks[7] = {0};
    int found = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &ticks[0], &ticks[1],
        &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6]);
    fclose(file);
    if (found != 7) {
        return 0;
    }
    unsigned long long busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6];
    return (double)busy / (double)sysconf(_SC_CLK_TCK);
}
