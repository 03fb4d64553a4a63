// nfsload: keeps a number of NFSv3 calls in flight at a server for a while and prints, as one line
// of JSON, how many it answered, how fast, and what that cost in processor time. Built on libnfs's
// raw interface: a client that is not ours.

#include "measure.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <nfsc/libnfs.h>
#include <nfsc/libnfs-raw.h>
#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw-nfs.h>

#define SILENCE_SECONDS 30.0

struct handle {
    char bytes[NFS3_FHSIZE];
    u_int count;
};

/// One of the calls in flight.
struct call {
    double started;
    uint64_t offset;
};

static struct rpc_context *rpc;
static struct handle root, file;
static uint64_t file_bytes;
static struct call calls[IN_FLIGHT_MAXIMUM];
static int calls_in_flight;
static uint64_t calls_done, bytes_done, next_block;
static double end_time, last_answer;
static struct histogram latencies;
static char *write_data;
static const char *expected;
static uint64_t random_state = 0x9e3779b97f4a7c15;

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "nfsload: %s: %s\n", what, why);
    exit(1);
}

// Waiting for answers

/// Lets libnfs send and receive until `*condition` is true or, when it is NULL, once.
static void serve(const bool *condition)
{
    last_answer = now_seconds();
    do {
        struct pollfd poller = {.fd = rpc_get_fd(rpc), .events = (short)rpc_which_events(rpc)};
        if (poll(&poller, 1, 1000) < 0 && errno != EINTR) {
            fail("poll", strerror(errno));
        }
        if (rpc_service(rpc, poller.revents) < 0) {
            fail("connection", rpc_get_error(rpc));
        }
        if (now_seconds() - last_answer > SILENCE_SECONDS) {
            fail("server", "no answer for 30 s");
        }
    } while (condition != NULL && !*condition);
}

static void check_rpc(int status, const char *what)
{
    last_answer = now_seconds();
    if (status != RPC_STATUS_SUCCESS) {
        fail(what, rpc_get_error(rpc));
    }
}

static void check_nfs(nfsstat3 status, const char *what)
{
    if (status != NFS3_OK) {
        fail(what, nfsstat3_to_str(status));
    }
}

// Finding the file

static void keep_handle(struct handle *handle, u_int count, const char *bytes)
{
    if (count > sizeof handle->bytes) {
        fail("server", "file handle too long");
    }
    memcpy(handle->bytes, bytes, count);
    handle->count = count;
}

static void connected(struct rpc_context *context, int status, void *data, void *done)
{
    (void)context, (void)data;
    check_rpc(status, "connect");
    *(bool *)done = true;
}

static void mounted(struct rpc_context *context, int status, void *data, void *done)
{
    (void)context;
    check_rpc(status, "MNT");
    mountres3 *result = data;
    if (result->fhs_status != MNT3_OK) {
        fail("MNT", "refused");
    }
    fhandle3 *handle = &result->mountres3_u.mountinfo.fhandle;
    keep_handle(&root, handle->fhandle3_len, handle->fhandle3_val);
    *(bool *)done = true;
}

static void found(struct rpc_context *context, int status, void *data, void *done)
{
    (void)context;
    check_rpc(status, "LOOKUP");
    LOOKUP3res *result = data;
    check_nfs(result->status, "LOOKUP");
    nfs_fh3 *handle = &result->LOOKUP3res_u.resok.object;
    keep_handle(&file, handle->data.data_len, handle->data.data_val);
    post_op_attr *attributes = &result->LOOKUP3res_u.resok.obj_attributes;
    if (attributes->attributes_follow) {
        file_bytes = attributes->post_op_attr_u.attributes.size;
    }
    *(bool *)done = true;
}

static void connect_to(int port, int program, int version)
{
    bool done = false;
    rpc = rpc_init_context();
    if (rpc == NULL) {
        fail("connect", "out of memory");
    }
    if (rpc_connect_port_async(rpc, options.host, port, program, version, connected, &done) != 0) {
        fail("connect", rpc_get_error(rpc));
    }
    serve(&done);
}

static nfs_fh3 wire(struct handle *handle)
{
    return (nfs_fh3){.data = {.data_len = handle->count, .data_val = handle->bytes}};
}

static void open_file(void)
{
    bool done = false;
    connect_to(options.mount_port, MOUNT_PROGRAM, MOUNT_V3);
    if (rpc_mount3_mnt_async(rpc, mounted, (char *)options.export, &done) != 0) {
        fail("MNT", rpc_get_error(rpc));
    }
    serve(&done);
    rpc_destroy_context(rpc);

    connect_to(options.port, NFS_PROGRAM, NFS_V3);
    done = false;
    LOOKUP3args arguments = {.what = {.dir = wire(&root), .name = (char *)options.file}};
    if (rpc_nfs3_lookup_async(rpc, found, &arguments, &done) != 0) {
        fail("LOOKUP", rpc_get_error(rpc));
    }
    serve(&done);
}

// The load

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

static void finish(struct call *call, uint64_t bytes)
{
    double time = last_answer;
    histogram_add(&latencies, time - call->started);
    calls_done += 1;
    bytes_done += bytes;
    if (time < end_time) {
        start(call);
    } else {
        calls_in_flight -= 1;
    }
}

static void read_done(struct rpc_context *context, int status, void *results, void *user)
{
    (void)context;
    check_rpc(status, "READ");
    struct call *call = user;
    READ3res *result = results;
    check_nfs(result->status, "READ");
    READ3resok *read = &result->READ3res_u.resok;
    if (read->count != options.size_bytes || read->data.data_len != read->count) {
        fail("READ", "short");
    }
    const char *data = read->data.data_val;
    if (expected != NULL && memcmp(expected + call->offset, data, read->count) != 0) {
        fail("READ", "wrong data");
    }
    finish(call, read->count);
}

static void write_done(struct rpc_context *context, int status, void *data, void *user)
{
    (void)context;
    check_rpc(status, "WRITE");
    WRITE3res *result = data;
    check_nfs(result->status, "WRITE");
    if (result->WRITE3res_u.resok.count != options.size_bytes) {
        fail("WRITE", "short");
    }
    finish(user, options.size_bytes);
}

/// GETATTR, LOOKUP and ACCESS: their results begin with the status.
static void status_done(struct rpc_context *context, int status, void *data, void *user)
{
    (void)context;
    check_rpc(status, operation_names[options.operation]);
    check_nfs(*(nfsstat3 *)data, operation_names[options.operation]);
    finish(user, 0);
}

static void null_done(struct rpc_context *context, int status, void *data, void *user)
{
    (void)context, (void)data;
    check_rpc(status, "NULL");
    finish(user, 0);
}

static void start(struct call *call)
{
    int failed = 0;
    call->started = now_seconds();
    call->offset = choose_offset();
    switch (options.operation) {
    case OP_READ: {
        READ3args arguments = {
            .file = wire(&file), .offset = call->offset, .count = options.size_bytes};
        failed = rpc_nfs3_read_async(rpc, read_done, &arguments, call);
        break;
    }
    case OP_WRITE: {
        WRITE3args arguments = {
            .file = wire(&file), .offset = call->offset, .count = options.size_bytes,
            .stable = options.stable ? FILE_SYNC : UNSTABLE,
            .data = {.data_len = options.size_bytes, .data_val = write_data}};
        failed = rpc_nfs3_write_async(rpc, write_done, &arguments, call);
        break;
    }
    case OP_GETATTR: {
        GETATTR3args arguments = {.object = wire(&file)};
        failed = rpc_nfs3_getattr_async(rpc, status_done, &arguments, call);
        break;
    }
    case OP_LOOKUP: {
        LOOKUP3args arguments = {.what = {.dir = wire(&root), .name = (char *)options.file}};
        failed = rpc_nfs3_lookup_async(rpc, status_done, &arguments, call);
        break;
    }
    case OP_ACCESS: {
        ACCESS3args arguments = {.object = wire(&file), .access = ACCESS3_READ | ACCESS3_MODIFY};
        failed = rpc_nfs3_access_async(rpc, status_done, &arguments, call);
        break;
    }
    case OP_NULL:
    case OP_COUNT:
        failed = rpc_nfs3_null_async(rpc, null_done, call);
        break;
    }
    if (failed) {
        fail(operation_names[options.operation], rpc_get_error(rpc));
    }
}

static double server_cpu_seconds(void)
{
    double seconds = 0;
    for (int index = 0; index < options.pid_count; index++) {
        seconds += process_cpu_seconds(options.pids[index]);
    }
    return seconds;
}

static void run(void)
{
    double server = server_cpu_seconds(), own = own_cpu_seconds(), machine = machine_cpu_seconds();
    double begin = now_seconds();
    end_time = begin + options.seconds;
    while (calls_in_flight < options.in_flight) {
        start(&calls[calls_in_flight++]);
    }
    while (calls_in_flight > 0) {
        serve(NULL);
    }
    double elapsed = now_seconds() - begin;
    server = server_cpu_seconds() - server;
    own = own_cpu_seconds() - own;
    machine = machine_cpu_seconds() - machine;
    printf("{\"label\": \"%s\", \"operation\": \"%s\", \"size_bytes\": %u, \"in_flight\": %d, "
           "\"random\": %s, \"verified\": %s, \"seconds\": %.3f, \"calls\": %llu, "
           "\"calls_per_second\": %.0f, \"megabytes_per_second\": %.1f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"max_us\": %.0f, \"server_cpu\": %.3f, "
           "\"server_us_per_call\": %.2f, \"client_cpu\": %.3f, \"machine_cpu\": %.3f}\n",
        options.label, operation_names[options.operation], options.size_bytes, options.in_flight,
        options.random ? "true" : "false", expected ? "true" : "false", elapsed,
        (unsigned long long)calls_done, (double)calls_done / elapsed,
        (double)bytes_done / elapsed / 1e6, histogram_percentile_us(&latencies, 0.5),
        histogram_percentile_us(&latencies, 0.99), latencies.maximum_seconds * 1e6,
        server / elapsed, server / (double)calls_done * 1e6, own / elapsed, machine / elapsed);
}

// Start

static void map_expected(void)
{
    int descriptor = open(options.verify_path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        fail(options.verify_path, strerror(errno));
    }
    if ((uint64_t)status.st_size != file_bytes) {
        fail(options.verify_path, "not as long as the file on the server");
    }
    void *memory = mmap(NULL, file_bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (memory == MAP_FAILED) {
        fail(options.verify_path, strerror(errno));
    }
    close(descriptor);
    expected = memory;
}

int main(int count, char **words)
{
    parse_options(count, words);
    open_file();
    if (options.operation == OP_READ && file_bytes < options.size_bytes) {
        fail(options.file, "shorter than one READ");
    }
    if (options.verify_path != NULL) {
        map_expected();
    }
    write_data = malloc(options.size_bytes);
    if (write_data == NULL) {
        fail("memory", strerror(errno));
    }
    for (uint32_t index = 0; index < options.size_bytes; index++) {
        write_data[index] = (char)(index * 131 >> 3);
    }
    run();
    rpc_destroy_context(rpc);
    return 0;
}
