// What a load run measures: time, latencies, processor time. No NFS here.

#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>

/// Prints why and ends the program.
_Noreturn void fail(const char *what, const char *why);

/// Seconds of the monotonic clock.
double now_seconds(void);

/// Notes how long a call took.
void latency_add(double seconds);

/// Writes what was noted to a file, in nanoseconds, as 64-bit numbers of this machine.
void latencies_write(const char *path);

/// Processor time used so far by all threads of a process, in seconds; 0 when it is gone.
double process_cpu_seconds(int pid);

/// Processor time used so far by this process, in seconds.
double own_cpu_seconds(void);

/// Processor time used so far by the whole machine, in seconds.
double machine_cpu_seconds(void);

#endif
