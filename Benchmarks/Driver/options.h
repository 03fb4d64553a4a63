// What the command line asks for.

#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define IN_FLIGHT_MAXIMUM 4096
#define CONNECTIONS_MAXIMUM 2048
#define EXPORTS_MAXIMUM 256
#define PIDS_MAXIMUM 16

enum operation {
    OP_READ, OP_WRITE, OP_WRITE_COMMIT, OP_GETATTR, OP_LOOKUP, OP_ACCESS, OP_READDIRPLUS, OP_CREATE,
    OP_REMOVE, OP_CREATE_REMOVE, OP_RENAME, OP_NULL,
    OP_COUNT
};

extern const char *const operation_names[OP_COUNT];

struct options {
    const char *host, *export, *file, *label, *congestion;
    /// A local copy of the file, or NULL.
    const char *local_copy_path;
    /// Where the latency of each call goes, or NULL.
    const char *latencies_path;
    int port, mount_port, in_flight, connections;
    /// Processes whose processor time is reported.
    int pids[PIDS_MAXIMUM], pid_count;
    uint32_t size_bytes;
    /// How many, or 0: as many as the time allows.
    uint64_t calls;
    /// What a whole listing must have, or 0: whatever it has.
    uint64_t entries;
    /// Which of the orders that look random.
    uint64_t seed;
    /// How many blocks are one apart.
    uint64_t stride;
    /// The number of the first of the files that are each used once.
    uint64_t first;
    /// How many files the calls are about, or 0: one.
    uint64_t files;
    /// How many exports they are divided among, or 0: one.
    int exports;
    double seconds;
    /// Calls are packed here, not by libnfs.
    bool raw;
    bool random, stable, own_files;
    enum operation operation;
};

extern struct options options;

/// Whether the operation is done once to each of many files.
bool is_each_once(void);

/// Fills `options`, or prints the usage and ends the program.
void parse_options(int count, char **words);

#endif
