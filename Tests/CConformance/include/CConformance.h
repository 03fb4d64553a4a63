// Round trips through two independent C implementations of XDR: libtirpc (the primitives, the RPC
// headers, the port mapper) and libnfs (every NFSv3, MOUNT and port mapper type). Their headers
// define the same names, so each library has a .c file to itself and none of their types is here.

#ifndef CCONFORMANCE_H
#define CCONFORMANCE_H

#include <stddef.h>
#include <stdint.h>

/// Why a round trip gave no bytes; all negative.
enum conformance_failure {
    CONFORMANCE_UNKNOWN_TYPE = -1,
    CONFORMANCE_NOT_DECODED = -2,
    CONFORMANCE_BYTES_LEFT = -3,
    CONFORMANCE_NOT_ENCODED = -4,
    CONFORMANCE_NO_MEMORY = -5,
};

/// Decodes `in` as `type` with the C library and encodes the result into `out`.
/// - Returns: the bytes written to `out`, or a conformance_failure.
long conformance_tirpc(
    const char *type, const uint8_t *in, size_t size, uint8_t *out, size_t capacity);
long conformance_libnfs(
    const char *type, const uint8_t *in, size_t size, uint8_t *out, size_t capacity);

/// The name of the type number `index` that the library can round-trip; NULL past the last one.
const char *conformance_tirpc_type(size_t index);
const char *conformance_libnfs_type(size_t index);

#endif
