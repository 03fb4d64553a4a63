#include "client.h"

#include "measure.h"
#include "options.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SILENCE_SECONDS 30.0

struct client client;

_Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "nfsload: %s: %s\n", what, why);
    exit(1);
}

void serve(const bool *condition)
{
    do {
        struct pollfd poller = {
            .fd = rpc_get_fd(client.rpc), .events = (short)rpc_which_events(client.rpc)};
        if (poll(&poller, 1, 1000) < 0 && errno != EINTR) {
            fail("poll", strerror(errno));
        }
        if (rpc_service(client.rpc, poller.revents) < 0) {
            fail("connection", rpc_get_error(client.rpc));
        }
        if (now_seconds() - client.last_answer > SILENCE_SECONDS) {
            fail("server", "no answer for 30 s");
        }
    } while (condition != NULL && !*condition);
}

void check_rpc(int status, const char *what)
{
    client.last_answer = now_seconds();
    if (status != RPC_STATUS_SUCCESS) {
        fail(what, rpc_get_error(client.rpc));
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

void keep_handle(struct handle *handle, u_int count, const char *bytes)
{
    if (count > sizeof handle->bytes) {
        fail("server", "file handle too long");
    }
    memcpy(handle->bytes, bytes, count);
    handle->count = count;
}

static void connected(struct rpc_context *rpc, int status, void *data, void *done)
{
    (void)rpc, (void)data;
    check_rpc(status, "connect");
    *(bool *)done = true;
}

static void mounted(struct rpc_context *rpc, int status, void *data, void *done)
{
    (void)rpc;
    check_rpc(status, "MNT");
    mountres3 *result = data;
    if (result->fhs_status != MNT3_OK) {
        fail("MNT", "refused");
    }
    fhandle3 *handle = &result->mountres3_u.mountinfo.fhandle;
    keep_handle(&client.root, handle->fhandle3_len, handle->fhandle3_val);
    *(bool *)done = true;
}

static void found(struct rpc_context *rpc, int status, void *data, void *done)
{
    (void)rpc;
    check_rpc(status, "LOOKUP");
    LOOKUP3res *result = data;
    check_nfs(result->status, "LOOKUP");
    nfs_fh3 *handle = &result->LOOKUP3res_u.resok.object;
    keep_handle(&client.file, handle->data.data_len, handle->data.data_val);
    post_op_attr *attributes = &result->LOOKUP3res_u.resok.obj_attributes;
    if (attributes->attributes_follow) {
        client.file_bytes = attributes->post_op_attr_u.attributes.size;
    }
    *(bool *)done = true;
}

/// Governs what we send, WRITE above all; what the server sends is the server's choice. `bbr`, the
/// default of some systems, halves the speed of 1 MiB transfers over loopback.
static void choose_congestion_control(void)
{
    int descriptor = rpc_get_fd(client.rpc);
    socklen_t count = (socklen_t)strlen(options.congestion);
    setsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, options.congestion, count);
    // The system may not have it: what counts, and is reported, is what the socket says.
    count = sizeof client.congestion - 1;
    if (getsockopt(descriptor, IPPROTO_TCP, TCP_CONGESTION, client.congestion, &count) != 0) {
        strcpy(client.congestion, "unknown");
    }
}

static void connect_to(int port, int program, int version)
{
    bool done = false;
    client.last_answer = now_seconds();
    client.rpc = rpc_init_context();
    if (client.rpc == NULL) {
        fail("connect", "out of memory");
    }
    if (rpc_connect_port_async(
            client.rpc, options.host, port, program, version, connected, &done) != 0) {
        fail("connect", rpc_get_error(client.rpc));
    }
    choose_congestion_control();
    serve(&done);
}

void open_file(void)
{
    bool done = false;
    connect_to(options.mount_port, MOUNT_PROGRAM, MOUNT_V3);
    if (rpc_mount3_mnt_async(client.rpc, mounted, (char *)options.export, &done) != 0) {
        fail("MNT", rpc_get_error(client.rpc));
    }
    serve(&done);
    rpc_destroy_context(client.rpc);

    connect_to(options.port, NFS_PROGRAM, NFS_V3);
    done = false;
    LOOKUP3args arguments = {
        .what = {.dir = wire(&client.root), .name = (char *)options.file}};
    if (rpc_nfs3_lookup_async(client.rpc, found, &arguments, &done) != 0) {
        fail("LOOKUP", rpc_get_error(client.rpc));
    }
    serve(&done);
}
