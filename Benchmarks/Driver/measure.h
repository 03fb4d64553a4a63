// What a load run measures: time, latencies, processor time. No NFS here.

#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>

/// Seconds of the monotonic clock.
double now_seconds(void);

/// Latencies in buckets that are 2 % wide, from 100 ns to minutes.
struct histogram {
    uint64_t counts[1024];
    uint64_t total;
    double maximum_seconds;
};

void histogram_add(struct histogram *histogram, double seconds);

/// The latency that `fraction` of the calls did not exceed, in microseconds; 0 without any call.
double histogram_percentile_us(const struct histogram *histogram, double fraction);

/// Processor time used so far by all threads of a process, in seconds; 0 when it is gone.
double process_cpu_seconds(int pid);

/// Processor time used so far by this process, in seconds.
double own_cpu_seconds(void);

/// Processor time used so far by the whole machine, in seconds.
double machine_cpu_seconds(void);

#endif
