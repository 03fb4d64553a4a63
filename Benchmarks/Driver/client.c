#include "client.h"

#include "measure.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define LOOKUPS_AT_A_TIME 64

struct client client;

/// Sends what is waiting at once rather than when poll says so.
static void service(struct rpc_context *rpc, int events)
{
    if (rpc_service(rpc, events) < 0
        || ((rpc_which_events(rpc) & POLLOUT) != 0 && rpc_service(rpc, POLLOUT) < 0)) {
        fail("connection", rpc_get_error(rpc));
    }
}

void serve(const bool *condition)
{
    static struct pollfd pollers[CONNECTIONS_MAXIMUM];
    do {
        for (int index = 0; index < client.connection_count; index++) {
            struct rpc_context *rpc = client.connections[index];
            pollers[index] = (struct pollfd){
                .fd = rpc_get_fd(rpc), .events = (short)rpc_which_events(rpc)};
        }
        int found = poll(pollers, (nfds_t)client.connection_count, 1000);
        if (found < 0 && errno != EINTR) {
            fail("poll", strerror(errno));
        }
        double now = now_seconds();
        if (found > 0) {
            client.last_answer = now;
        } else if (now - client.last_answer > SILENCE_SECONDS) {
            fail("server", "no answer for 30 s");
        }
        for (int index = 0; found > 0 && index < client.connection_count; index++) {
            if (pollers[index].revents != 0) {
                service(client.connections[index], pollers[index].revents);
            }
        }
    } while (condition != NULL && !*condition);
}

void check_rpc(struct rpc_context *rpc, int status, const char *what)
{
    if (status != RPC_STATUS_SUCCESS) {
        fail(what, rpc_get_error(rpc));
    }
}

void check_nfs(nfsstat3 status, const char *what)
{
    if (status != NFS3_OK) {
        fail(what, nfsstat3_to_str(status));
    }
}

nfs_fh3 wire(struct handle *handle)
{
    return (nfs_fh3){.data = {.data_len = handle->count, .data_val = handle->bytes}};
}

static void keep_handle(struct handle *handle, u_int count, const char *bytes)
{
    if (count > sizeof handle->bytes) {
        fail("server", "file handle too long");
    }
    memcpy(handle->bytes, bytes, count);
    handle->count = count;
}

static void connected(struct rpc_context *rpc, int status, void *data, void *done)
{
    (void)data;
    check_rpc(rpc, status, "connect");
    *(bool *)done = true;
}

static void mounted(struct rpc_context *rpc, int status, void *data, void *done)
{
    check_rpc(rpc, status, "MNT");
    mountres3 *result = data;
    if (result->fhs_status != MNT3_OK) {
        fail("MNT", "refused");
    }
    fhandle3 *handle = &result->mountres3_u.mountinfo.fhandle;
    keep_handle(&client.root, handle->fhandle3_len, handle->fhandle3_val);
    *(bool *)done = true;
}

struct lookup {
    struct handle *handle;
    uint64_t bytes;
    bool done;
};

static void found(struct rpc_context *rpc, int status, void *data, void *user)
{
    struct lookup *lookup = user;
    check_rpc(rpc, status, "LOOKUP");
    LOOKUP3res *result = data;
    check_nfs(result->status, "LOOKUP");
    nfs_fh3 *handle = &result->LOOKUP3res_u.resok.object;
    keep_handle(lookup->handle, handle->data.data_len, handle->data.data_val);
    post_op_attr *attributes = &result->LOOKUP3res_u.resok.obj_attributes;
    if (attributes->attributes_follow) {
        lookup->bytes = attributes->post_op_attr_u.attributes.size;
    }
    lookup->done = true;
}

/// Governs what we send, WRITE above all; what the server sends is the server's choice. `bbr`, the
/// default of some systems, halves the speed of 1 MiB transfers over loopback.
void choose_congestion_control(int descriptor)
{
    socklen_t count = (socklen_t)strlen(options.congestion);
    setsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, options.congestion, count);
    // The system may not have it: what counts, and is reported, is what the socket says.
    count = sizeof client.congestion - 1;
    if (getsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, client.congestion, &count) != 0) {
        strcpy(client.congestion, "unknown");
    }
}

/// Adds a connection.
static struct rpc_context *connect_to(int port, int program, int version)
{
    bool done = false;
    client.last_answer = now_seconds();
    struct rpc_context *rpc = rpc_init_context();
    if (rpc == NULL) {
        fail("connect", "out of memory");
    }
    if (rpc_connect_port_async(
            rpc, options.host, port, program, version, connected, &done) != 0) {
        fail("connect", rpc_get_error(rpc));
    }
    choose_congestion_control(rpc_get_fd(rpc));
    client.connections[client.connection_count++] = rpc;
    serve(&done);
    return rpc;
}

static void mount(const char *path)
{
    struct rpc_context *rpc = connect_to(options.mount_port, MOUNT_PROGRAM, MOUNT_V3);
    bool done = false;
    if (rpc_mount3_mnt_async(rpc, mounted, (char *)path, &done) != 0) {
        fail("MNT", rpc_get_error(rpc));
    }
    serve(&done);
    close_export();
}

/// Mounts the exports, of which the last is `client.root`.
static void mount_all(void)
{
    if (options.exports == 0) {
        mount(options.export);
    }
    for (int index = 0; index < options.exports; index++) {
        char path[NAME_BYTES];
        numbered_name(path, options.export, (uint64_t)index);
        mount(path);
        client.roots[index] = client.root;
    }
}

void open_export(void)
{
    mount_all();
    // Even when the load itself goes by others, files are looked up by one.
    int wanted = options.raw ? 1 : options.connections;
    while (client.connection_count < wanted) {
        connect_to(options.port, NFS_PROGRAM, NFS_V3);
    }
}

void close_export(void)
{
    while (client.connection_count > 0) {
        rpc_destroy_context(client.connections[--client.connection_count]);
    }
}

static void start_look_up(struct lookup *lookup, const char *name)
{
    struct rpc_context *rpc = client.connections[0];
    LOOKUP3args arguments = {.what = {.dir = wire(&client.root), .name = (char *)name}};
    if (rpc_nfs3_lookup_async(rpc, found, &arguments, lookup) != 0) {
        fail("LOOKUP", rpc_get_error(rpc));
    }
}

uint64_t look_up(const char *name, struct handle *handle)
{
    struct lookup lookup = {.handle = handle};
    start_look_up(&lookup, name);
    serve(&lookup.done);
    return lookup.bytes;
}

uint64_t look_up_all(const char *name, uint64_t count, struct handle *handles)
{
    struct lookup lookups[LOOKUPS_AT_A_TIME];
    uint64_t least = UINT64_MAX;
    for (uint64_t first = 0; first < count; first += LOOKUPS_AT_A_TIME) {
        uint64_t rest = count - first;
        int here = rest < LOOKUPS_AT_A_TIME ? (int)rest : LOOKUPS_AT_A_TIME;
        for (int index = 0; index < here; index++) {
            char file[NAME_BYTES];
            numbered_name(file, name, first + (uint64_t)index);
            lookups[index] = (struct lookup){.handle = &handles[first + (uint64_t)index]};
            start_look_up(&lookups[index], file);
        }
        for (int index = 0; index < here; index++) {
            while (!lookups[index].done) {
                serve(NULL);
            }
            least = lookups[index].bytes < least ? lookups[index].bytes : least;
        }
    }
    return least;
}

void numbered_name(char to[NAME_BYTES], const char *name, uint64_t number)
{
    snprintf(to, NAME_BYTES, "%.200s.%llu", name, (unsigned long long)number);
}
