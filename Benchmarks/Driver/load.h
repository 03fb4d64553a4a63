// The calls in flight, whoever carries them to the server: what each asks for, and what is noted when
// it is answered.

#ifndef LOAD_H
#define LOAD_H

#include "client.h"

/// One of the calls in flight.
struct call {
    double started;
    uint64_t offset;
    /// Of the file that create, remove, rename and lookup are about, and what rename calls it.
    char name[NAME_BYTES], new_name[NAME_BYTES];
    /// The second of what is done in turn comes next: REMOVE or COMMIT.
    bool is_second;
    /// Which of the connections it goes by.
    int connection;
    /// What it is about otherwise.
    struct handle file;
    /// How far a listing is.
    uint64_t cookie, entries;
    char verifier[NFS3_COOKIEVERFSIZE];
};

struct load {
    struct call calls[IN_FLIGHT_MAXIMUM];
    int in_flight;
    uint64_t started, done, bytes, entries;
    /// Answers by connection.
    uint64_t done_by[CONNECTIONS_MAXIMUM];
    /// Of the smallest file, when there are several.
    uint64_t file_bytes;
    /// What each of the files or exports has, or NULL: the calls have theirs.
    struct handle *handles;
    double end_time;
    char *write_data;
    /// The local copy of the file, or NULL.
    const char *local_copy;
};

extern struct load load;

/// Chooses what a call asks for next, and notes that it starts now.
void begin(struct call *call);

/// Notes an answer.
/// - Returns: whether the call is to be made again, after `begin`.
bool finish(struct call *call, uint64_t bytes);

/// Ends the program unless that is what the file has at the call's offset.
void check_read(const struct call *call, const char *bytes, uint64_t count);

/// Ends the program unless so much was written.
void check_written(uint64_t count);

/// Notes a page of a listing, whose last cookie `call->cookie` already is; at the end it begins again.
void finish_page(struct call *call, uint64_t entries, bool is_end);

/// What WRITE sends.
const char *data_to_write(const struct call *call);

/// Starts a call by libnfs, in libnfs_calls.c.
void start_by_libnfs(struct call *call);

/// Connects as often as the options say, and makes all the calls, in raw.c.
void open_raw(void);
void run_raw(void);

#endif
