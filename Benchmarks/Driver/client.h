// One connection to an NFSv3 server, by libnfs, and the file that the load is about.

#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>

#include <nfsc/libnfs.h>
#include <nfsc/libnfs-raw.h>
#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw-nfs.h>

struct handle {
    char bytes[NFS3_FHSIZE];
    u_int count;
};

struct client {
    struct rpc_context *rpc;
    struct handle root, file;
    uint64_t file_bytes;
    /// When the last answer came (`now_seconds`).
    double last_answer;
    /// The congestion control that our socket has in the end.
    char congestion[16];
};

extern struct client client;

/// Prints why and ends the program.
_Noreturn void fail(const char *what, const char *why);

/// Mounts the export and looks the file up, as the options say.
void open_file(void);

/// Lets libnfs send and receive until `*condition` is true or, when it is NULL, once.
void serve(const bool *condition);

/// The beginning of every callback: notes the time, and ends the program unless there is an answer.
void check_rpc(int status, const char *what);

/// Ends the program unless the server says that all is well.
void check_nfs(nfsstat3 status, const char *what);

/// Copies a handle out of a reply.
void keep_handle(struct handle *handle, u_int count, const char *bytes);

/// A handle as libnfs wants it in arguments.
nfs_fh3 wire(struct handle *handle);

#endif
