// libnfs-read PORT EXPORT NAME OFFSET BYTES: mounts from 127.0.0.1, where one port answers MOUNT and NFS, and
// READs a range of a file in the export's root once, by single calls: whole-file interfaces hide the status.
// Prints how many milliseconds the READ took, and its status.
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <nfsc/libnfs.h>
#include <nfsc/libnfs-raw.h>
#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw-nfs.h>

static struct rpc_context *rpc;
static struct nfs_fh3 handle;
static int status, is_done;

static void stop(const char *what) {
    fprintf(stderr, "%s: %s\n", what, rpc_get_error(rpc));
    exit(1);
}

static void keep(const char *bytes, unsigned length) {
    if (!(handle.data.data_val = malloc(length))) stop("memory");
    memcpy(handle.data.data_val, bytes, length);
    handle.data.data_len = length;
}

static void connected(struct rpc_context *context, int result, void *data, void *unused) {
    (void)context, (void)data, (void)unused;
    if (result != RPC_STATUS_SUCCESS) stop("connect");
    is_done = 1;
}

static void mounted(struct rpc_context *context, int result, void *data, void *unused) {
    (void)context, (void)unused;
    mountres3 *mount = data;
    if (result != RPC_STATUS_SUCCESS || mount->fhs_status != MNT3_OK) stop("mount");
    fhandle3 *root = &mount->mountres3_u.mountinfo.fhandle;
    keep(root->fhandle3_val, root->fhandle3_len);
    is_done = 1;
}

static void found(struct rpc_context *context, int result, void *data, void *unused) {
    (void)context, (void)unused;
    LOOKUP3res *lookup = data;
    if (result != RPC_STATUS_SUCCESS || lookup->status != NFS3_OK) stop("lookup");
    nfs_fh3 *object = &lookup->LOOKUP3res_u.resok.object;
    keep(object->data.data_val, object->data.data_len);
    is_done = 1;
}

static void was_read(struct rpc_context *context, int result, void *data, void *unused) {
    (void)context, (void)unused;
    if (result != RPC_STATUS_SUCCESS) stop("read");
    status = ((READ3res *)data)->status;
    is_done = 1;
}

/* Waits for the answer to what was queued. */
static void finish(int queued) {
    if (queued) stop("queue");
    for (is_done = 0; !is_done;) {
        struct pollfd descriptor = {rpc_get_fd(rpc), rpc_which_events(rpc), 0};
        if (poll(&descriptor, 1, 100) < 0 || rpc_service(rpc, descriptor.revents) < 0) stop("service");
    }
}

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int count, char **words) {
    if (count != 6) {
        fprintf(stderr, "libnfs-read PORT EXPORT NAME OFFSET BYTES\n");
        return 64;
    }
    if (!(rpc = rpc_init_context())) return 1;
    finish(rpc_connect_async(rpc, "127.0.0.1", atoi(words[1]), connected, NULL));
    finish(rpc_mount3_mnt_async(rpc, mounted, words[2], NULL));
    finish(rpc_nfs_lookup_async(rpc, found, &handle, words[3], NULL));
    long start = milliseconds();
    finish(rpc_nfs_read_async(
        rpc, was_read, &handle, strtoull(words[4], NULL, 10), strtoull(words[5], NULL, 10), NULL));
    printf("%ld %s\n", milliseconds() - start, nfsstat3_to_str(status));
    rpc_destroy_context(rpc);
    return 0;
}
