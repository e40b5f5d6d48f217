// System calls that the two kernel loops share. Results: >= 0, or -errno.
#pragma once

namespace weft::io {

class Op;

int socket_family(int fd);  // AF_…, AF_UNSPEC when unknown
void set_linger_zero(int fd);
// One send of a kSend or kGather operation, as it stands; never SIGPIPE.
int send_once(Op& op, int flags);
bool is_hung_up(int fd);  // POLLERR or POLLHUP
void signal_eventfd(int fd);
void drain_eventfd(int fd);

}  // namespace weft::io
