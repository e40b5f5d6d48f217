// The command line: reads it and calls the one command that it names.
#pragma once

namespace weft::cli {
int run(
    int argc,
    char** argv);  // the exit code: 0 done, 1 failed, 64 wrong usage; exec passes the command's own
}
