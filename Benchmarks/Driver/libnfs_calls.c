// Calls by libnfs's raw interface: a client that is not ours.

#include "load.h"
#include "measure.h"

#include <string.h>

static struct rpc_context *connection_of(const struct call *call)
{
    return client.connections[call->connection];
}

static void again(struct call *call, uint64_t bytes)
{
    if (finish(call, bytes)) {
        start_by_libnfs(call);
    }
}

// Answers

static void read_done(struct rpc_context *rpc, int status, void *data, void *user)
{
    check_rpc(rpc, status, "READ");
    READ3res *result = data;
    check_nfs(result->status, "READ");
    READ3resok *read = &result->READ3res_u.resok;
    check_read(user, read->data.data_val, read->data.data_len);
    again(user, read->count);
}

static void write_done(struct rpc_context *rpc, int status, void *data, void *user)
{
    check_rpc(rpc, status, "WRITE");
    WRITE3res *result = data;
    check_nfs(result->status, "WRITE");
    check_written(result->WRITE3res_u.resok.count);
    again(user, options.size_bytes);
}

static void committed(struct rpc_context *rpc, int status, void *data, void *user)
{
    check_rpc(rpc, status, "COMMIT");
    check_nfs(*(nfsstat3 *)data, "COMMIT");
    again(user, options.size_bytes);
}

static void write_before_commit(struct rpc_context *rpc, int status, void *data, void *user)
{
    check_rpc(rpc, status, "WRITE");
    WRITE3res *result = data;
    check_nfs(result->status, "WRITE");
    check_written(result->WRITE3res_u.resok.count);
    struct call *call = user;
    COMMIT3args arguments = {.file = wire(&call->file)};
    if (rpc_nfs3_commit_async(rpc, committed, &arguments, call) != 0) {
        fail("COMMIT", rpc_get_error(rpc));
    }
}

static void page_done(struct rpc_context *rpc, int status, void *data, void *user)
{
    check_rpc(rpc, status, "READDIRPLUS");
    READDIRPLUS3res *result = data;
    check_nfs(result->status, "READDIRPLUS");
    READDIRPLUS3resok *page = &result->READDIRPLUS3res_u.resok;
    struct call *call = user;
    uint64_t entries = 0;
    for (entryplus3 *entry = page->reply.entries; entry != NULL; entry = entry->nextentry) {
        entries += 1;
        call->cookie = entry->cookie;
    }
    memcpy(call->verifier, page->cookieverf, sizeof call->verifier);
    finish_page(call, entries, page->reply.eof);
    again(call, 0);
}

/// For results that begin with the status and of which nothing else is wanted.
static void status_done(struct rpc_context *rpc, int status, void *data, void *user)
{
    check_rpc(rpc, status, operation_names[options.operation]);
    check_nfs(*(nfsstat3 *)data, operation_names[options.operation]);
    again(user, 0);
}

static void null_done(struct rpc_context *rpc, int status, void *data, void *user)
{
    (void)data;
    check_rpc(rpc, status, "NULL");
    again(user, 0);
}

// Calls

static int start_write(struct rpc_context *rpc, struct call *call)
{
    bool is_committed = options.operation == OP_WRITE_COMMIT;
    WRITE3args arguments = {
        .file = wire(&call->file), .offset = call->offset, .count = options.size_bytes,
        .stable = options.stable ? FILE_SYNC : UNSTABLE,
        .data = {
            .data_len = options.size_bytes, .data_val = (char *)data_to_write(call)}};
    return rpc_nfs3_write_async(
        rpc, is_committed ? write_before_commit : write_done, &arguments, call);
}

static int start_create(struct rpc_context *rpc, struct call *call)
{
    CREATE3args arguments = {
        .where = {.dir = wire(&client.root), .name = call->name}, .how = {.mode = GUARDED}};
    sattr3 *attributes = &arguments.how.createhow3_u.g_obj_attributes;
    attributes->mode.set_it = 1;
    attributes->mode.set_mode3_u.mode = 0644;
    return rpc_nfs3_create_async(rpc, status_done, &arguments, call);
}

static int start_remove(struct rpc_context *rpc, struct call *call)
{
    REMOVE3args arguments = {.object = {.dir = wire(&client.root), .name = call->name}};
    return rpc_nfs3_remove_async(rpc, status_done, &arguments, call);
}

static int start_rename(struct rpc_context *rpc, struct call *call)
{
    RENAME3args arguments = {
        .from = {.dir = wire(&client.root), .name = call->name},
        .to = {.dir = wire(&client.root), .name = call->new_name}};
    return rpc_nfs3_rename_async(rpc, status_done, &arguments, call);
}

static int start_listing(struct rpc_context *rpc, struct call *call)
{
    READDIRPLUS3args arguments = {
        .dir = wire(&call->file), .cookie = call->cookie, .dircount = options.size_bytes,
        .maxcount = options.size_bytes};
    memcpy(arguments.cookieverf, call->verifier, sizeof call->verifier);
    return rpc_nfs3_readdirplus_async(rpc, page_done, &arguments, call);
}

static int start_operation(struct rpc_context *rpc, struct call *call)
{
    switch (options.operation) {
    case OP_READ: {
        READ3args arguments = {
            .file = wire(&call->file), .offset = call->offset, .count = options.size_bytes};
        return rpc_nfs3_read_async(rpc, read_done, &arguments, call);
    }
    case OP_WRITE:
    case OP_WRITE_COMMIT: return start_write(rpc, call);
    case OP_GETATTR: {
        GETATTR3args arguments = {.object = wire(&call->file)};
        return rpc_nfs3_getattr_async(rpc, status_done, &arguments, call);
    }
    case OP_LOOKUP: {
        LOOKUP3args arguments = {
            .what = {.dir = wire(&client.root), .name = call->name}};
        return rpc_nfs3_lookup_async(rpc, status_done, &arguments, call);
    }
    case OP_ACCESS: {
        ACCESS3args arguments = {
            .object = wire(&call->file), .access = ACCESS3_READ | ACCESS3_MODIFY};
        return rpc_nfs3_access_async(rpc, status_done, &arguments, call);
    }
    case OP_READDIRPLUS: return start_listing(rpc, call);
    case OP_CREATE: return start_create(rpc, call);
    case OP_REMOVE: return start_remove(rpc, call);
    case OP_CREATE_REMOVE:
        return call->is_second ? start_remove(rpc, call) : start_create(rpc, call);
    case OP_RENAME: return start_rename(rpc, call);
    case OP_NULL:
    case OP_COUNT: break;
    }
    return rpc_nfs3_null_async(rpc, null_done, call);
}

void start_by_libnfs(struct call *call)
{
    struct rpc_context *rpc = connection_of(call);
    begin(call);
    if (start_operation(rpc, call) != 0) {
        fail(operation_names[options.operation], rpc_get_error(rpc));
    }
}
