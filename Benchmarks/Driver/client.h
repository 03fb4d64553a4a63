// Connections to an NFSv3 server, by libnfs, and what is found there.

#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/time.h>

#include "options.h"

#include <nfsc/libnfs.h>
#include <nfsc/libnfs-raw.h>
#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-raw-nfs.h>

#define SILENCE_SECONDS 30.0
#define NAME_BYTES 256

struct handle {
    char bytes[NFS3_FHSIZE];
    u_int count;
};

struct client {
    struct rpc_context *connections[CONNECTIONS_MAXIMUM];
    int connection_count;
    /// Of the export, or of the one that is being looked at.
    struct handle root;
    /// Of each, when there are several.
    struct handle roots[EXPORTS_MAXIMUM];
    /// When data was last looked for and found (`now_seconds`).
    double last_answer;
    /// The congestion control that our socket has in the end.
    char congestion[16];
};

extern struct client client;

/// Mounts the export and connects, as the options say.
void open_export(void);

void close_export(void);

/// Looks a file of the export up.
/// - Returns: its size in bytes.
uint64_t look_up(const char *name, struct handle *handle);

/// Looks `name`.0, `name`.1... up, many at a time.
/// - Returns: the size in bytes of the smallest.
uint64_t look_up_all(const char *name, uint64_t count, struct handle *handles);

/// Puts `NAME.number` there.
void numbered_name(char to[NAME_BYTES], const char *name, uint64_t number);

/// Lets libnfs send and receive until `*condition` is true or, when it is NULL, once.
void serve(const bool *condition);

/// The beginning of every callback: ends the program unless there is an answer.
void check_rpc(struct rpc_context *rpc, int status, const char *what);

/// Ends the program unless the server says that all is well.
void check_nfs(nfsstat3 status, const char *what);

/// Gives a socket the congestion control of the options, as far as the system has it.
void choose_congestion_control(int descriptor);

/// A handle as libnfs wants it in arguments.
nfs_fh3 wire(struct handle *handle);

#endif
