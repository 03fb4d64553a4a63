#include "CConformance.h"

#include <stdlib.h>
#include <string.h>

#include <rpc/rpc.h>
#include <rpc/auth_unix.h>
#include <rpc/pmap_prot.h>

// Shapes that the XDR language builds from primitives and that the library has no routine for.

struct bytes {
    char *value;
    u_int count;
};

static bool_t opaque_variable(XDR *xdr, struct bytes *bytes) {
    return xdr_bytes(xdr, &bytes->value, &bytes->count, 1 << 16);
}

static bool_t opaque_fixed_33(XDR *xdr, char *bytes) { return xdr_opaque(xdr, bytes, 33); }

static bool_t string_variable(XDR *xdr, char **string) { return xdr_string(xdr, string, 1 << 16); }

static bool_t array_of_unsigned(XDR *xdr, struct bytes *array) {
    return xdr_array(
        xdr, &array->value, &array->count, 1 << 14, sizeof(u_int), (xdrproc_t)xdr_u_int);
}

static bool_t optional_hyper(XDR *xdr, uint64_t **value) {
    return xdr_pointer(xdr, (char **)value, sizeof **value, (xdrproc_t)xdr_uint64_t);
}

// The results of an accepted reply are not part of its header: they are decoded as void.
static bool_t reply_header(XDR *xdr, struct rpc_msg *message) {
    message->acpted_rply.ar_results.proc = (xdrproc_t)xdr_void;
    return xdr_replymsg(xdr, message);
}

union value {
    uint64_t number;
    char fixed[64];
    struct bytes bytes;
    char *string;
    void *pointer;
    struct rpc_msg message;
    struct opaque_auth auth;
    struct authunix_parms credential;
    struct pmap mapping;
};

static const struct {
    const char *name;
    xdrproc_t routine;
} types[] = {
    {"int", (xdrproc_t)xdr_int},
    {"unsigned int", (xdrproc_t)xdr_u_int},
    {"unsigned hyper", (xdrproc_t)xdr_uint64_t},
    {"bool", (xdrproc_t)xdr_bool},
    {"opaque<>", (xdrproc_t)opaque_variable},
    {"opaque[33]", (xdrproc_t)opaque_fixed_33},
    {"string<>", (xdrproc_t)string_variable},
    {"unsigned int<>", (xdrproc_t)array_of_unsigned},
    {"unsigned hyper *", (xdrproc_t)optional_hyper},
    {"call_body", (xdrproc_t)xdr_callmsg},
    {"reply_body", (xdrproc_t)reply_header},
    {"opaque_auth", (xdrproc_t)xdr_opaque_auth},
    {"authsys_parms", (xdrproc_t)xdr_authunix_parms},
    {"pmap2_mapping", (xdrproc_t)xdr_pmap},
    {"pmap2_dump_result", (xdrproc_t)xdr_pmaplist},
};

const char *conformance_tirpc_type(size_t index) {
    return index < sizeof types / sizeof types[0] ? types[index].name : NULL;
}

static long round_trip(xdrproc_t routine, char *in, size_t size, uint8_t *out, size_t capacity) {
    union value value;
    memset(&value, 0, sizeof value);
    long result;
    XDR xdr;
    xdrmem_create(&xdr, in, (u_int)size, XDR_DECODE);
    if (!routine(&xdr, &value)) {
        result = CONFORMANCE_NOT_DECODED;
    } else if (xdr_getpos(&xdr) != size) {
        result = CONFORMANCE_BYTES_LEFT;
    } else {
        XDR copy;
        xdrmem_create(&copy, (char *)out, (u_int)capacity, XDR_ENCODE);
        result = routine(&copy, &value) ? (long)xdr_getpos(&copy) : CONFORMANCE_NOT_ENCODED;
        xdr_destroy(&copy);
    }
    xdr_destroy(&xdr);
    xdr_free(routine, &value);
    return result;
}

long conformance_tirpc(
    const char *type, const uint8_t *in, size_t size, uint8_t *out, size_t capacity) {
    for (size_t index = 0; index < sizeof types / sizeof types[0]; index++) {
        if (strcmp(types[index].name, type) != 0) continue;
        // The library takes a writable, aligned buffer.
        char *copy = malloc(size + 1);
        if (copy == NULL) return CONFORMANCE_NO_MEMORY;
        memcpy(copy, in, size);
        long result = round_trip(types[index].routine, copy, size, out, capacity);
        free(copy);
        return result;
    }
    return CONFORMANCE_UNKNOWN_TYPE;
}
