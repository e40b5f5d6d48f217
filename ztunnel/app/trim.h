// Memory that only starting needed.
#pragma once

namespace weft::app {

// Gives free heap back to the kernel, and unmaps the clean pages of the program and its libraries: code that runs once (protobuf's and
// gRPC's registrations, OpenSSL's configuration) is most of what is resident after a start. What is needed again comes from the page
// cache by itself. Any thread; a millisecond.
void trim_memory();

}  // namespace weft::app
