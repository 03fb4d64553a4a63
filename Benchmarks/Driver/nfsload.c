// nfsload: keeps a number of NFSv3 calls in flight at a server for a while and prints, as one line
// of JSON, how many it answered, how fast, and what that cost in processor time. Built on libnfs's
// raw interface: a client that is not ours.

#include "client.h"
#include "measure.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/// One of the calls in flight.
struct call {
    double started;
    uint64_t offset;
    /// Of the file that create and remove are about.
    char name[24];
    bool is_created;
    struct rpc_context *rpc;
    /// What it is about otherwise.
    struct handle file;
};

static struct call calls[IN_FLIGHT_MAXIMUM];
static int calls_in_flight;
static uint64_t calls_started, calls_done, bytes_done, next_block;
static double end_time;
/// Of the smallest, when each call has its own.
static uint64_t file_bytes;
static struct histogram latencies;
static char *write_data;
/// The local copy of the file, or NULL.
static const char *local_copy;
static uint64_t random_state = 0x9e3779b97f4a7c15;

static void start(struct call *call);

static uint64_t choose_offset(void)
{
    uint64_t blocks = file_bytes / options.size_bytes;
    if (blocks == 0) {
        blocks = 1;
    }
    uint64_t block = next_block++;
    if (options.random) {
        // xorshift64: cheap and even enough to defeat read-ahead
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        block = random_state;
    }
    return block % blocks * options.size_bytes;
}

// Answers

static void finish(struct call *call, uint64_t bytes)
{
    histogram_add(&latencies, client.last_answer - call->started);
    calls_done += 1;
    bytes_done += bytes;
    bool is_over = options.calls > 0 ? calls_started >= options.calls
                                     : client.last_answer >= end_time;
    // A file that was created is removed even then.
    if (!is_over || call->is_created) {
        start(call);
    } else {
        calls_in_flight -= 1;
    }
}

static void read_done(struct rpc_context *rpc, int status, void *data, void *user)
{
    check_rpc(rpc, status, "READ");
    struct call *call = user;
    READ3res *result = data;
    check_nfs(result->status, "READ");
    READ3resok *read = &result->READ3res_u.resok;
    if (read->count != options.size_bytes || read->data.data_len != read->count) {
        fail("READ", "short");
    }
    if (local_copy != NULL
        && memcmp(local_copy + call->offset, read->data.data_val, read->count) != 0) {
        fail("READ", "wrong data");
    }
    finish(call, read->count);
}

static void write_done(struct rpc_context *rpc, int status, void *data, void *user)
{
    check_rpc(rpc, status, "WRITE");
    WRITE3res *result = data;
    check_nfs(result->status, "WRITE");
    if (result->WRITE3res_u.resok.count != options.size_bytes) {
        fail("WRITE", "short");
    }
    finish(user, options.size_bytes);
}

/// For results that begin with the status and of which nothing else is wanted.
static void status_done(struct rpc_context *rpc, int status, void *data, void *user)
{
    check_rpc(rpc, status, operation_names[options.operation]);
    check_nfs(*(nfsstat3 *)data, operation_names[options.operation]);
    finish(user, 0);
}

static void null_done(struct rpc_context *rpc, int status, void *data, void *user)
{
    (void)data;
    check_rpc(rpc, status, "NULL");
    finish(user, 0);
}

// Calls

static int start_create_or_remove(struct call *call)
{
    diropargs3 where = {.dir = wire(&client.root), .name = call->name};
    call->is_created = !call->is_created;
    if (!call->is_created) {
        REMOVE3args arguments = {.object = where};
        return rpc_nfs3_remove_async(call->rpc, status_done, &arguments, call);
    }
    CREATE3args arguments = {.where = where, .how = {.mode = GUARDED}};
    sattr3 *attributes = &arguments.how.createhow3_u.g_obj_attributes;
    attributes->mode.set_it = 1;
    attributes->mode.set_mode3_u.mode = 0644;
    return rpc_nfs3_create_async(call->rpc, status_done, &arguments, call);
}

static int start_operation(struct call *call)
{
    struct rpc_context *rpc = call->rpc;
    switch (options.operation) {
    case OP_READ: {
        READ3args arguments = {
            .file = wire(&call->file), .offset = call->offset, .count = options.size_bytes};
        return rpc_nfs3_read_async(rpc, read_done, &arguments, call);
    }
    case OP_WRITE: {
        WRITE3args arguments = {
            .file = wire(&call->file), .offset = call->offset, .count = options.size_bytes,
            .stable = options.stable ? FILE_SYNC : UNSTABLE,
            .data = {.data_len = options.size_bytes, .data_val = write_data}};
        if (local_copy != NULL) {
            arguments.data.data_val = (char *)local_copy + call->offset;
        }
        return rpc_nfs3_write_async(rpc, write_done, &arguments, call);
    }
    case OP_GETATTR: {
        GETATTR3args arguments = {.object = wire(&call->file)};
        return rpc_nfs3_getattr_async(rpc, status_done, &arguments, call);
    }
    case OP_LOOKUP: {
        LOOKUP3args arguments = {
            .what = {.dir = wire(&client.root), .name = (char *)options.file}};
        return rpc_nfs3_lookup_async(rpc, status_done, &arguments, call);
    }
    case OP_ACCESS: {
        ACCESS3args arguments = {
            .object = wire(&call->file), .access = ACCESS3_READ | ACCESS3_MODIFY};
        return rpc_nfs3_access_async(rpc, status_done, &arguments, call);
    }
    case OP_READDIRPLUS: {
        READDIRPLUS3args arguments = {
            .dir = wire(&client.root), .dircount = options.size_bytes,
            .maxcount = options.size_bytes};
        return rpc_nfs3_readdirplus_async(rpc, status_done, &arguments, call);
    }
    case OP_CREATE: return start_create_or_remove(call);
    case OP_NULL:
    case OP_COUNT: break;
    }
    return rpc_nfs3_null_async(rpc, null_done, call);
}

static void start(struct call *call)
{
    calls_started += 1;
    call->started = now_seconds();
    call->offset = choose_offset();
    if (start_operation(call) != 0) {
        fail(operation_names[options.operation], rpc_get_error(call->rpc));
    }
}

// The run

static double server_cpu_seconds(void)
{
    double seconds = 0;
    for (int index = 0; index < options.pid_count; index++) {
        seconds += process_cpu_seconds(options.pids[index]);
    }
    return seconds;
}

/// Gives each of the calls in flight its connection and its file.
static void prepare(void)
{
    struct handle shared = {0};
    if (!options.own_files) {
        file_bytes = look_up(options.file, &shared);
    }
    for (int index = 0; index < options.in_flight; index++) {
        struct call *call = &calls[index];
        call->rpc = client.connections[index % client.connection_count];
        snprintf(call->name, sizeof call->name, "nfsload.%d", index);
        if (!options.own_files) {
            call->file = shared;
            continue;
        }
        char name[256];
        snprintf(name, sizeof name, "%s.%d", options.file, index);
        uint64_t bytes = look_up(name, &call->file);
        file_bytes = index == 0 || bytes < file_bytes ? bytes : file_bytes;
    }
}

static void run(void)
{
    double server = server_cpu_seconds(), own = own_cpu_seconds(), machine = machine_cpu_seconds();
    double begin = now_seconds();
    end_time = begin + options.seconds;
    while (calls_in_flight < options.in_flight
        && (options.calls == 0 || calls_started < options.calls)) {
        struct call *call = &calls[calls_in_flight];
        calls_in_flight += 1;
        start(call);
    }
    while (calls_in_flight > 0) {
        serve(NULL);
    }
    double elapsed = now_seconds() - begin;
    server = server_cpu_seconds() - server;
    own = own_cpu_seconds() - own;
    machine = machine_cpu_seconds() - machine;
    printf("{\"label\": \"%s\", \"operation\": \"%s\", \"size_bytes\": %u, \"in_flight\": %d, "
           "\"connections\": %d, "
           "\"random\": %s, \"local_copy\": %s, \"congestion\": \"%s\", \"seconds\": %.3f, "
           "\"calls\": %llu, \"calls_per_second\": %.0f, \"megabytes_per_second\": %.1f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.0f, \"server_cpu\": %.3f, "
           "\"server_us_per_call\": %.2f, \"client_cpu\": %.3f, \"machine_cpu\": %.3f}\n",
        options.label, operation_names[options.operation], options.size_bytes, options.in_flight,
        options.connections, options.random ? "true" : "false",
        local_copy ? "true" : "false", client.congestion,
        elapsed, (unsigned long long)calls_done, (double)calls_done / elapsed,
        (double)bytes_done / elapsed / 1e6, histogram_percentile_us(&latencies, 0.5),
        histogram_percentile_us(&latencies, 0.99), latencies.maximum_seconds * 1e6,
        server / elapsed, server / (double)calls_done * 1e6, own / elapsed, machine / elapsed);
}

static void map_local_copy(void)
{
    int descriptor = open(options.local_copy_path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        fail(options.local_copy_path, strerror(errno));
    }
    if ((uint64_t)status.st_size != file_bytes) {
        fail(options.local_copy_path, "not as long as the file on the server");
    }
    void *memory = mmap(NULL, file_bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (memory == MAP_FAILED) {
        fail(options.local_copy_path, strerror(errno));
    }
    close(descriptor);
    local_copy = memory;
}

int main(int count, char **words)
{
    parse_options(count, words);
    open_export();
    prepare();
    if (file_bytes < options.size_bytes && options.operation == OP_READ) {
        fail(options.file, "smaller than one READ");
    }
    if (options.local_copy_path != NULL) {
        map_local_copy();
    }
    write_data = malloc(options.size_bytes);
    if (write_data == NULL) {
        fail("memory", strerror(errno));
    }
    for (uint32_t index = 0; index < options.size_bytes; index++) {
        write_data[index] = (char)(index * 131 >> 3);
    }
    run();
    close_export();
    return 0;
}
