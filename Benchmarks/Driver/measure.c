#include "measure.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BUCKET_WIDTH 1.02
#define FIRST_BUCKET_SECONDS 100e-9

static const int bucket_count = sizeof(((struct histogram *)0)->counts) / sizeof(uint64_t);

double now_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void histogram_add(struct histogram *histogram, double seconds)
{
    int bucket = 0;
    if (seconds > FIRST_BUCKET_SECONDS) {
        bucket = (int)(log(seconds / FIRST_BUCKET_SECONDS) / log(BUCKET_WIDTH));
    }
    if (bucket >= bucket_count) {
        bucket = bucket_count - 1;
    }
    histogram->counts[bucket] += 1;
    histogram->total += 1;
    if (seconds > histogram->maximum_seconds) {
        histogram->maximum_seconds = seconds;
    }
}

double histogram_percentile_us(const struct histogram *histogram, double fraction)
{
    uint64_t seen = 0;
    for (int bucket = 0; bucket < bucket_count && histogram->total > 0; bucket++) {
        seen += histogram->counts[bucket];
        if ((double)seen >= fraction * (double)histogram->total) {
            return FIRST_BUCKET_SECONDS * pow(BUCKET_WIDTH, bucket + 1) * 1e6;
        }
    }
    return 0;
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
