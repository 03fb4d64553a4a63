#include "load.h"

#include "measure.h"

#include <stdio.h>
#include <string.h>

struct load load;

static uint64_t choose_offset(void)
{
    static uint64_t next_block, state;
    uint64_t blocks = load.file_bytes / options.size_bytes;
    if (blocks == 0) {
        blocks = 1;
    }
    uint64_t block = next_block++;
    if (options.random) {
        // xorshift64: cheap and even enough to defeat read-ahead
        state = state == 0 ? options.seed : state;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block = state;
    }
    return block % blocks * options.size_bytes;
}

void begin(struct call *call)
{
    bool has_next_name = options.operation == OP_CREATE || options.operation == OP_REMOVE;
    if (has_next_name) {
        snprintf(call->name, sizeof call->name, "%s.%llu", options.file,
            (unsigned long long)load.started);
    }
    load.started += 1;
    // The time at which the data was looked for that let it start: one look at the clock for many calls.
    call->started = client.last_answer;
    call->offset = choose_offset();
}

/// Goes on with the second of what is done in turn, or with the first.
static void turn(struct call *call)
{
    call->is_second = !call->is_second;
    if (options.operation == OP_RENAME) {
        char name[NAME_BYTES];
        memcpy(name, call->name, sizeof name);
        memcpy(call->name, call->other_name, sizeof name);
        memcpy(call->other_name, name, sizeof name);
    }
}

bool finish(struct call *call, uint64_t bytes)
{
    latency_add(client.last_answer - call->started);
    load.done += 1;
    load.bytes += bytes;
    load.done_by[call->connection] += 1;
    turn(call);
    bool is_over = options.calls > 0 ? load.started >= options.calls
                                     : client.last_answer >= load.end_time;
    // A file that was created is removed even then.
    if (!is_over || (options.operation == OP_CREATE_REMOVE && call->is_second)) {
        return true;
    }
    load.in_flight -= 1;
    return false;
}

void check_read(const struct call *call, const char *bytes, uint64_t count)
{
    if (count != options.size_bytes) {
        fail("READ", "short");
    }
    if (load.local_copy != NULL && memcmp(load.local_copy + call->offset, bytes, count) != 0) {
        fail("READ", "wrong data");
    }
}

void check_written(uint64_t count)
{
    if (count != options.size_bytes) {
        fail("WRITE", "short");
    }
}

void finish_page(struct call *call, uint64_t entries, bool is_end)
{
    if (entries == 0 && !is_end) {
        fail("READDIRPLUS", "a page without entries");
    }
    call->entries += entries;
    load.entries += entries;
    if (!is_end) {
        return;
    }
    if (options.entries > 0 && call->entries != options.entries) {
        char counts[64];
        snprintf(counts, sizeof counts, "%llu entries, not %llu",
            (unsigned long long)call->entries, (unsigned long long)options.entries);
        fail("READDIRPLUS", counts);
    }
    call->cookie = call->entries = 0;
    memset(call->verifier, 0, sizeof call->verifier);
}

const char *data_to_write(const struct call *call)
{
    return load.local_copy != NULL ? load.local_copy + call->offset : load.write_data;
}
