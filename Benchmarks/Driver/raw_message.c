#include "raw_message.h"

#include "measure.h"

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>
#include <unistd.h>

enum {
    PROC_NULL = 0, PROC_GETATTR = 1, PROC_LOOKUP = 3, PROC_ACCESS = 4, PROC_READ = 6, PROC_WRITE = 7,
    PROC_CREATE = 8, PROC_REMOVE = 12, PROC_RENAME = 14, PROC_READDIRPLUS = 17, PROC_COMMIT = 21,
};

#define LAST_FRAGMENT 0x80000000u
#define ATTRIBUTES_BYTES 84

// Writing

static char *put_word(char *to, uint32_t value)
{
    value = htonl(value);
    memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

static char *put_long(char *to, uint64_t value)
{
    value = htobe64(value);
    memcpy(to, &value, sizeof value);
    return to + sizeof value;
}

static char *put_opaque(char *to, const char *bytes, size_t count)
{
    to = put_word(to, (uint32_t)count);
    size_t padded = (count + 3) & ~(size_t)3;
    memset(to + count, 0, padded - count);
    memcpy(to, bytes, count);
    return to + padded;
}

static char *put_handle(char *to, const struct handle *handle)
{
    return put_opaque(to, handle->bytes, handle->count);
}

/// A name in the export's root.
static char *put_name(char *to, const char *name)
{
    return put_opaque(put_handle(to, &client.root), name, strlen(name));
}

static char *put_create(char *to, const struct call *call)
{
    to = put_name(to, call->name);
    to = put_word(to, GUARDED);
    to = put_word(put_word(to, 1), 0644);
    // Neither owner, group, size nor times.
    for (int field = 0; field < 5; field++) {
        to = put_word(to, 0);
    }
    return to;
}

static char *put_listing(char *to, const struct call *call)
{
    to = put_long(put_handle(to, &call->file), call->cookie);
    memcpy(to, call->verifier, sizeof call->verifier);
    to += sizeof call->verifier;
    return put_word(put_word(to, options.size_bytes), options.size_bytes);
}

static char *put_write(char *to, const struct call *call)
{
    to = put_word(put_long(put_handle(to, &call->file), call->offset), options.size_bytes);
    to = put_word(to, options.stable ? FILE_SYNC : UNSTABLE);
    return put_word(to, options.size_bytes);
}

static uint32_t procedure_of(const struct call *call)
{
    switch (options.operation) {
    case OP_READ: return PROC_READ;
    case OP_WRITE: return PROC_WRITE;
    case OP_WRITE_COMMIT: return call->is_second ? PROC_COMMIT : PROC_WRITE;
    case OP_GETATTR: return PROC_GETATTR;
    case OP_LOOKUP: return PROC_LOOKUP;
    case OP_ACCESS: return PROC_ACCESS;
    case OP_READDIRPLUS: return PROC_READDIRPLUS;
    case OP_CREATE: return PROC_CREATE;
    case OP_REMOVE: return PROC_REMOVE;
    case OP_CREATE_REMOVE: return call->is_second ? PROC_REMOVE : PROC_CREATE;
    case OP_RENAME: return PROC_RENAME;
    case OP_NULL:
    case OP_COUNT: break;
    }
    return PROC_NULL;
}

static char *put_arguments(char *to, uint32_t procedure, const struct call *call)
{
    switch (procedure) {
    case PROC_READ:
        return put_word(
            put_long(put_handle(to, &call->file), call->offset), options.size_bytes);
    case PROC_WRITE: return put_write(to, call);
    case PROC_COMMIT: return put_word(put_long(put_handle(to, &call->file), 0), 0);
    case PROC_GETATTR: return put_handle(to, &call->file);
    case PROC_LOOKUP: return put_name(to, call->name);
    case PROC_ACCESS:
        return put_word(put_handle(to, &call->file), ACCESS3_READ | ACCESS3_MODIFY);
    case PROC_READDIRPLUS: return put_listing(to, call);
    case PROC_CREATE: return put_create(to, call);
    case PROC_REMOVE: return put_name(to, call->name);
    case PROC_RENAME: return put_name(put_name(to, call->name), call->new_name);
    default: return to;
    }
}

/// AUTH_SYS without further groups, and no verifier.
static char *put_credentials(char *to)
{
    static const char machine[] = "nfsload";
    to = put_word(to, AUTH_UNIX);
    char *body = put_word(to, 0);
    char *end = put_opaque(put_word(body, 0), machine, sizeof machine - 1);
    end = put_word(put_word(put_word(end, getuid()), getgid()), 0);
    put_word(to, (uint32_t)(end - body));
    return put_word(put_word(end, AUTH_NONE), 0);
}

bool carries_data(const struct call *call)
{
    return procedure_of(call) == PROC_WRITE;
}

size_t pack_call(char *to, uint32_t xid, const struct call *call)
{
    static char credentials[64];
    static size_t credentials_bytes;
    if (credentials_bytes == 0) {
        credentials_bytes = (size_t)(put_credentials(credentials) - credentials);
    }
    uint32_t procedure = call == NULL ? PROC_NULL : procedure_of(call);
    char *end = put_word(put_word(put_word(to + 4, xid), 0), 2);
    end = put_word(put_word(put_word(end, NFS_PROGRAM), NFS_V3), procedure);
    memcpy(end, credentials, credentials_bytes);
    end = put_arguments(end + credentials_bytes, procedure, call);
    size_t data = procedure == PROC_WRITE ? options.size_bytes : 0;
    put_word(to, LAST_FRAGMENT | (uint32_t)((size_t)(end - to) - 4 + data));
    return (size_t)(end - to);
}

// Reading

/// What is left of an answer.
struct answer {
    const char *next, *end;
};

static const char *take(struct answer *answer, size_t count)
{
    if ((size_t)(answer->end - answer->next) < count) {
        fail("answer", "shorter than what it must have");
    }
    const char *bytes = answer->next;
    answer->next += count;
    return bytes;
}

static uint32_t take_word(struct answer *answer)
{
    uint32_t value;
    memcpy(&value, take(answer, sizeof value), sizeof value);
    return ntohl(value);
}

static uint64_t take_long(struct answer *answer)
{
    uint64_t value;
    memcpy(&value, take(answer, sizeof value), sizeof value);
    return be64toh(value);
}

static void skip_opaque(struct answer *answer)
{
    size_t count = take_word(answer);
    take(answer, (count + 3) & ~(size_t)3);
}

static void skip_attributes(struct answer *answer)
{
    if (take_word(answer) != 0) {
        take(answer, ATTRIBUTES_BYTES);
    }
}

/// Attributes before and after.
static void skip_changes(struct answer *answer)
{
    if (take_word(answer) != 0) {
        take(answer, 24);
    }
    skip_attributes(answer);
}

static uint64_t read_data(struct answer *answer, struct call *call)
{
    skip_attributes(answer);
    uint32_t count = take_word(answer);
    take_word(answer);
    if (take_word(answer) != count) {
        fail("READ", "count is not that of the data");
    }
    check_read(call, take(answer, count), count);
    return count;
}

static void read_page(struct answer *answer, struct call *call)
{
    skip_attributes(answer);
    memcpy(call->verifier, take(answer, sizeof call->verifier), sizeof call->verifier);
    uint64_t entries = 0;
    while (take_word(answer) != 0) {
        take_long(answer);
        skip_opaque(answer);
        call->cookie = take_long(answer);
        skip_attributes(answer);
        if (take_word(answer) != 0) {
            skip_opaque(answer);
        }
        entries += 1;
    }
    finish_page(call, entries, take_word(answer) != 0);
}

uint32_t xid_of(const char *record, size_t count)
{
    struct answer answer = {record, record + count};
    return take_word(&answer);
}

uint64_t read_answer(const char *record, size_t count, struct call *call)
{
    struct answer answer = {record + 4, record + count};
    bool is_accepted = take_word(&answer) == REPLY && take_word(&answer) == 0;
    if (is_accepted) {
        take_word(&answer);
        skip_opaque(&answer);
    }
    if (!is_accepted || take_word(&answer) != 0) {
        fail("RPC", "the server refuses the call");
    }
    uint32_t procedure = procedure_of(call);
    if (procedure == PROC_NULL) {
        return 0;
    }
    check_nfs((nfsstat3)take_word(&answer), operation_names[options.operation]);
    switch (procedure) {
    case PROC_READ: return read_data(&answer, call);
    case PROC_READDIRPLUS: read_page(&answer, call); return 0;
    case PROC_WRITE:
        skip_changes(&answer);
        check_written(take_word(&answer));
        return options.size_bytes;
    default: return 0;
    }
}
