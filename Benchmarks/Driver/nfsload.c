// nfsload: keeps a number of NFSv3 calls in flight at a server for a while and prints, as one line
// of JSON, how many it answered, how fast, and what that cost in processor time.

#include "load.h"
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static double server_cpu_seconds(void)
{
    double seconds = 0;
    for (int index = 0; index < options.pid_count; index++) {
        seconds += process_cpu_seconds(options.pids[index]);
    }
    return seconds;
}

/// Gives a call its connection and its names, and a file if it is always the same.
static void prepare(struct call *call, int index, const struct handle *shared)
{
    call->connection = index % options.connections;
    if (options.operation == OP_LOOKUP) {
        snprintf(call->name, sizeof call->name, "%.200s", options.file);
    } else {
        numbered_name(call->name, "nfsload", (uint64_t)index);
    }
    if (options.exports > 0) {
        call->file = load.handles[call->connection % options.exports];
        return;
    }
    if (!options.own_files) {
        call->file = *shared;
        return;
    }
    char name[NAME_BYTES];
    numbered_name(name, options.file, (uint64_t)index);
    uint64_t bytes = look_up(name, &call->file);
    load.file_bytes = index == 0 || bytes < load.file_bytes ? bytes : load.file_bytes;
}

static struct handle *make_handles(uint64_t count)
{
    struct handle *handles = calloc(count, sizeof *handles);
    if (handles == NULL) {
        fail("memory", strerror(errno));
    }
    return handles;
}

static void prepare_exports(void)
{
    load.handles = make_handles((uint64_t)options.exports);
    for (int index = 0; index < options.exports; index++) {
        client.root = client.roots[index];
        load.file_bytes = look_up(options.file, &load.handles[index]);
    }
}

static void prepare_all(void)
{
    struct handle shared = {0};
    if (options.exports > 0) {
        prepare_exports();
    } else if (options.files > 0 && options.operation != OP_LOOKUP) {
        load.handles = make_handles(options.files);
        load.file_bytes = look_up_all(options.file, options.files, load.handles);
    } else if (options.files == 0 && !options.own_files && !is_each_once()) {
        load.file_bytes = look_up(options.file, &shared);
    }
    for (int index = 0; index < options.in_flight; index++) {
        prepare(&load.calls[index], index, &shared);
    }
}

static void run_by_libnfs(void)
{
    while (load.in_flight < options.in_flight
        && (options.calls == 0 || load.started < options.calls)) {
        start_by_libnfs(&load.calls[load.in_flight++]);
    }
    while (load.in_flight > 0) {
        serve(NULL);
    }
}

static void print_start(void)
{
    printf("{\"label\": \"%s\", \"client\": \"%s\", \"operation\": \"%s\", \"size_bytes\": %u, "
           "\"in_flight\": %d, \"connections\": %d, \"random\": %s, \"local_copy\": %s, "
           "\"congestion\": \"%s\", ",
        options.label, options.raw ? "raw" : "libnfs", operation_names[options.operation],
        options.size_bytes, options.in_flight, options.connections,
        options.random ? "true" : "false", load.local_copy ? "true" : "false", client.congestion);
}

/// How evenly the server answered the connections.
static void print_connections(void)
{
    uint64_t least = UINT64_MAX, most = 0;
    for (int index = 0; index < options.connections; index++) {
        uint64_t count = load.done_by[index];
        least = count < least ? count : least;
        most = count > most ? count : most;
    }
    printf("\"calls_per_connection\": {\"min\": %llu, \"mean\": %.1f, \"max\": %llu}, ",
        (unsigned long long)least, (double)load.done / options.connections,
        (unsigned long long)most);
}

static void run(void)
{
    double server = server_cpu_seconds(), own = own_cpu_seconds(), machine = machine_cpu_seconds();
    double begin = now_seconds();
    client.last_answer = begin;
    load.end_time = begin + options.seconds;
    if (options.raw) {
        run_raw();
    } else {
        run_by_libnfs();
    }
    double elapsed = now_seconds() - begin;
    server = server_cpu_seconds() - server;
    own = own_cpu_seconds() - own;
    machine = machine_cpu_seconds() - machine;
    print_start();
    print_connections();
    printf("\"seconds\": %.6f, \"calls\": %llu, \"calls_per_second\": %.1f, "
           "\"entries_per_second\": %.0f, \"megabytes_per_second\": %.1f, \"server_cpu\": %.3f, "
           "\"server_us_per_call\": %.3f, \"client_cpu\": %.3f, \"machine_cpu\": %.3f}\n",
        elapsed, (unsigned long long)load.done, (double)load.done / elapsed,
        (double)load.entries / elapsed, (double)load.bytes / elapsed / 1e6, server / elapsed,
        server / (double)load.done * 1e6, own / elapsed, machine / elapsed);
}

static void map_local_copy(void)
{
    int descriptor = open(options.local_copy_path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        fail(options.local_copy_path, strerror(errno));
    }
    if ((uint64_t)status.st_size != load.file_bytes) {
        fail(options.local_copy_path, "not as long as the file on the server");
    }
    void *memory = mmap(NULL, load.file_bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (memory == MAP_FAILED) {
        fail(options.local_copy_path, strerror(errno));
    }
    close(descriptor);
    load.local_copy = memory;
}

static void make_data(void)
{
    load.write_data = malloc(options.size_bytes);
    if (load.write_data == NULL) {
        fail("memory", strerror(errno));
    }
    for (uint32_t index = 0; index < options.size_bytes; index++) {
        load.write_data[index] = (char)(index * 131 >> 3);
    }
}

int main(int count, char **words)
{
    parse_options(count, words);
    open_export();
    prepare_all();
    if (load.file_bytes < options.size_bytes && options.operation == OP_READ) {
        fail(options.file, "smaller than one READ");
    }
    if (options.local_copy_path != NULL) {
        map_local_copy();
    }
    make_data();
    if (options.raw) {
        open_raw();
    }
    run();
    if (options.latencies_path != NULL) {
        latencies_write(options.latencies_path);
    }
    close_export();
    return 0;
}
