// What the command line asks for.

#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define IN_FLIGHT_MAXIMUM 1024
#define CONNECTIONS_MAXIMUM 64
#define PIDS_MAXIMUM 16

enum operation {
    OP_READ, OP_WRITE, OP_GETATTR, OP_LOOKUP, OP_ACCESS, OP_READDIRPLUS, OP_CREATE, OP_NULL,
    OP_COUNT
};

extern const char *const operation_names[OP_COUNT];

struct options {
    const char *host, *export, *file, *label, *congestion;
    /// A local copy of the file, or NULL.
    const char *local_copy_path;
    int port, mount_port, in_flight, connections;
    /// Processes whose processor time is reported.
    int pids[PIDS_MAXIMUM], pid_count;
    uint32_t size_bytes;
    /// How many, or 0: as many as the time allows.
    uint64_t calls;
    double seconds;
    bool random, stable, own_files;
    enum operation operation;
};

extern struct options options;

/// Fills `options`, or prints the usage and ends the program.
void parse_options(int count, char **words);

#endif
