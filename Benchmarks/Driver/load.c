#include "load.h"

#include "measure.h"

#include <stdio.h>
#include <string.h>

struct load load;

/// Where a block comes in an order that looks random, in which each comes once.
static uint64_t shuffled(uint64_t block, uint64_t blocks)
{
    int bits = 2;
    while (blocks > (uint64_t)1 << bits) {
        bits += 1;
    }
    uint64_t mask = ((uint64_t)1 << bits) - 1;
    // Each step only permutes the numbers of so many bits; those that are too large go round again.
    do {
        block = (block ^ options.seed) & mask;
        for (int round = 0; round < 3; round++) {
            block ^= block >> (bits / 2);
            block = block * 0x9e3779b97f4a7c15 & mask;
        }
    } while (block >= blocks);
    return block;
}

static uint64_t choose_offset(void)
{
    static uint64_t next_block;
    uint64_t blocks = load.file_bytes / options.size_bytes / options.stride;
    if (blocks == 0) {
        blocks = 1;
    }
    uint64_t block = next_block++ % blocks;
    return (options.random ? shuffled(block, blocks) : block) * options.stride * options.size_bytes;
}

/// Makes it about the next of the files.
static void choose_file(struct call *call)
{
    static uint64_t next_file;
    uint64_t number = next_file++ % options.files;
    if (options.random) {
        number = shuffled(number, options.files);
    }
    if (load.handles != NULL) {
        call->file = load.handles[number];
    } else {
        numbered_name(call->name, options.file, number);
    }
}

void begin(struct call *call)
{
    if (is_each_once()) {
        uint64_t number = options.first + load.started;
        numbered_name(call->name, options.file, number);
        snprintf(call->new_name, sizeof call->new_name, "renamed.%.240s", call->name);
    }
    load.started += 1;
    if (options.files > 0) {
        choose_file(call);
    } else {
        call->offset = choose_offset();
    }
    // The time at which the data was looked for that let it start: one look at the clock for many calls.
    call->started = client.last_answer;
}

bool finish(struct call *call, uint64_t bytes)
{
    latency_add(client.last_answer - call->started);
    load.done += 1;
    load.bytes += bytes;
    load.done_by[call->connection] += 1;
    call->is_second = !call->is_second;
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
