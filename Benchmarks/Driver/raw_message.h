// Calls packed and answers read here, without a library: a call costs tens of nanoseconds, so that what is
// measured is the server.

#ifndef RAW_MESSAGE_H
#define RAW_MESSAGE_H

#include "load.h"

#include <stddef.h>

/// The longest call without the data of a WRITE: two handles and two names.
#define CALL_BYTES 1024

/// Packs a call as a record of one fragment, but for the data of a WRITE, which is to follow it.
/// - Parameter to: `CALL_BYTES`.
/// - Parameter call: NULL for the call of that name.
/// - Returns: how long that is.
size_t pack_call(char *to, uint32_t xid, const struct call *call);

/// Whether `data_to_write` follows the call.
bool carries_data(const struct call *call);

/// Reads an answer, and ends the program unless it is one and says that all is well.
/// - Parameter record: without its mark.
/// - Returns: how many bytes of the file it is about.
uint64_t read_answer(const char *record, size_t count, struct call *call);

/// The call that a record answers.
uint32_t xid_of(const char *record, size_t count);

#endif
