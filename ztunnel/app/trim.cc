#include "ztunnel/app/trim.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace weft::app {
namespace {

// Segments that are never written have nothing of ours in their pages: relocations and RELRO are in
// writable ones.
int forget_clean_pages(dl_phdr_info* object, std::size_t, void*) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0 || object->dlpi_name == nullptr)
      continue;
    const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const std::uintptr_t end =
        (object->dlpi_addr + segment.p_vaddr + segment.p_filesz + page - 1) & ~(page - 1);
    ::madvise(reinterpret_cast<void*>(begin), end - begin,
              MADV_DONTNEED);  // the vdso refuses, which is fine
  }
  return 0;
}

}  // namespace

void trim_memory() {
  ::malloc_trim(0);
  ::dl_iterate_phdr(forget_clean_pages, nullptr);
}

}  // namespace weft::app
