#include "store/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>

#include "store/board.h"

namespace qmpi {
namespace {

constexpr std::uint64_t magic = 0x716d7069'00000002;  // "qmpi", layout version
constexpr std::uint64_t max_heap = std::uint64_t{1} << 45;

std::uint64_t page_up(std::uint64_t bytes) { return (bytes + 4095) & ~std::uint64_t{4095}; }

std::string gib(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, bytes < 1 << 29 ? "%.4g MiB" : "%.4g GiB", bytes / (bytes < 1 << 29 ? 1 << 20 : 1 << 30));
  return text;
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error("FoundingError", what + ": " + std::strerror(errno));
}

// Neither an empty file nor a SIGBUS later: the limits are compared with the need before anything is mapped.
void check_limits(std::uint64_t size) {
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size)
    throw Error("FoundingError", "the file size limit (ulimit -f) is " + gib(limit.rlim_cur) + ", the arena needs " + gib(size) +
                                     "; raise it or set QMPI_MEMORY");
  getrlimit(RLIMIT_AS, &limit);
  if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size)
    throw Error("FoundingError", "the address space limit (ulimit -v) is " + gib(limit.rlim_cur) + ", the arena needs " +
                                     gib(size) + " of addresses (not of memory); raise it or set QMPI_MEMORY");
}

char* map(int descriptor, std::uint64_t size) {
  void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
  if (base == MAP_FAILED) refuse("cannot map " + gib(size) + " of shared memory");
  madvise(base, size, MADV_DONTDUMP);
  return static_cast<char*>(base);
}

void initialise(Pool& pool, std::uint32_t limit) {
  pool.mutex.initialise();
  pool.free_head = 0;
  pool.fresh = 1;
  pool.limit = limit;
}

}  // namespace

std::shared_ptr<Arena> Arena::create(const Settings& requested) {
  Settings settings = requested;
  const std::uint64_t memory = std::bit_ceil(std::max<std::uint64_t>(settings.memory, page));
  if (settings.heap == 0) settings.heap = std::min(max_heap, 64 * memory);
  settings.heap = std::bit_ceil(std::max(settings.heap, 16 * page));

  // Records are virtual memory until they are used.
  const std::uint32_t max_qubits = std::min<std::uint64_t>(1u << slot_bits, std::max<std::uint64_t>(settings.heap / 4096, 1 << 16));
  const std::uint32_t max_components = max_qubits / 2;
  Offset end = page_up(sizeof(Header));
  auto region = [&end](std::uint64_t bytes) { return std::exchange(end, end + page_up(bytes)); };
  const Offset board = region(sizeof(Board));
  const Offset ranks = region(settings.ranks * sizeof(RankRecord));
  const Offset qubits = region(max_qubits * sizeof(QubitRecord));
  const Offset components = region(max_components * sizeof(Component));
  const Offset nodes = region(settings.heap / page * sizeof(PageNode));
  end = (end + page - 1) / page * page;
  const Offset heap = region(settings.heap);

  check_limits(end);
  const int descriptor = memfd_create("qmpi", MFD_CLOEXEC);
  if (descriptor < 0) refuse("cannot create shared memory");
  if (ftruncate(descriptor, static_cast<off_t>(end)) != 0) {
    close(descriptor);
    refuse("cannot size the shared memory to " + gib(end));
  }
  std::shared_ptr<Arena> arena(new Arena(descriptor, map(descriptor, end), end));

  Header& header = *new (arena->base_) Header{};
  header.magic = magic;
  header.size = end;
  header.settings = settings;
  header.board = board;
  new (arena->base_ + board) Board{};
  header.ranks = ranks;
  header.qubit_records = qubits;
  header.component_records = components;
  header.page_nodes = nodes;
  header.next_context.store(1);
  initialise(header.qubit_pool, max_qubits);
  initialise(header.component_pool, max_components);
  for (int rank = 0; rank < settings.ranks; ++rank) {
    RankRecord& record = *new (&arena->rank(rank)) RankRecord{};
    record.mutex.initialise();
    record.alive.initialise();
  }
  header.watch.initialise();
  header.order.initialise();

  header.heap.mutex.initialise();
  header.heap.base = heap;
  header.heap.top_order = std::countr_zero(settings.heap / page);
  // Page 0 only marks empty lists: the heap is dealt out as the buddies of page 0 of every order.
  for (int order = header.heap.top_order - 1; order >= 0; --order) arena->push_free(1u << order, order);
  return arena;
}

std::shared_ptr<Arena> Arena::attach(int descriptor) {
  std::uint64_t head[2];
  if (pread(descriptor, head, sizeof head, 0) != sizeof head || head[0] != magic)
    throw Error("FoundingError", "the shared memory was made by another version of qmpi: install one version for all ranks");
  check_limits(head[1]);
  return std::shared_ptr<Arena>(new Arena(descriptor, map(descriptor, head[1]), head[1]));
}

void Arena::charge(std::uint64_t bytes, int qubits) {
  Statistics& statistics = header().statistics;
  const std::int64_t limit = settings().memory, want = bytes;
  std::int64_t used = statistics.bytes.load();
  do {
    if (used + want > limit)
      throw Error("StateTooLarge", "an entangled state of " + std::to_string(qubits) + " qubits needs " + gib(want) +
                                       " more than is in use; " + gib(limit) + " are allowed (QMPI_MEMORY), " + gib(used) +
                                       " are taken: measure or free qubits first");
  } while (!statistics.bytes.compare_exchange_weak(used, used + want));
  std::int64_t peak = statistics.peak_bytes.load();
  while (peak < used + want && !statistics.peak_bytes.compare_exchange_weak(peak, used + want)) {
  }
}

void Arena::refund(std::uint64_t bytes) { header().statistics.bytes -= static_cast<std::int64_t>(bytes); }

}  // namespace qmpi
