// The heap of the arena. Blocks up to 64 KiB come from size classes, larger ones from a buddy allocator over the address range,
// whose blocks may be far larger than the memory: an untouched page costs nothing, so a component can double in place.
#include <fcntl.h>

#include <bit>

#include "store/arena.h"

namespace qmpi {
namespace {

constexpr std::uint64_t smallest = 64;
constexpr std::uint64_t keep_pages_below = 1 << 20;

int small_class(std::uint64_t bytes) {
  return std::countr_zero(std::bit_ceil(std::max(bytes, smallest))) - std::countr_zero(smallest);
}

int order_for(std::uint64_t bytes) { return std::countr_zero(std::bit_ceil((bytes + page - 1) / page)); }

template <class Record>
std::uint32_t take_slot(Pool& pool, Record* records, const char* what, Patience& patience) {
  Guard guard(pool.mutex, patience);
  if (pool.free_head != 0) {
    const std::uint32_t slot = pool.free_head;
    pool.free_head = records[slot].next_free;
    return slot;
  }
  if (pool.fresh == pool.limit) throw Error("StateTooLarge", std::string("no more than ") + std::to_string(pool.limit) + what);
  return pool.fresh++;
}

template <class Record>
void give_slot(Pool& pool, Record* records, std::uint32_t slot, Patience& patience) {
  Guard guard(pool.mutex, patience);
  records[slot].next_free = pool.free_head;
  pool.free_head = slot;
}

}  // namespace

void Arena::push_free(std::uint32_t number, int order) {
  std::uint32_t& head = header().heap.free_pages[order];
  node(number) = {head, 0, static_cast<std::uint8_t>(order), true};
  if (head != 0) node(head).previous = number;
  head = number;
}

void Arena::unlink_free(std::uint32_t number) {
  PageNode& unlinked = node(number);
  if (unlinked.previous != 0)
    node(unlinked.previous).next = unlinked.next;
  else
    header().heap.free_pages[unlinked.order] = unlinked.next;
  if (unlinked.next != 0) node(unlinked.next).previous = unlinked.previous;
  unlinked.free = false;
}

// The largest block between the two orders that the smallest sufficient free block allows.
Block Arena::take_pages(int order, int preferred_order) {
  Heap& heap = header().heap;
  int found = preferred_order;
  while (found < heap.top_order && heap.free_pages[found] == 0) ++found;
  if (found == heap.top_order) {
    found = std::min(preferred_order, heap.top_order - 1);
    while (found >= order && heap.free_pages[found] == 0) --found;
    if (found < order) throw Error("StateTooLarge", "the address range of the store is used up; raise QMPI_MEMORY");
    preferred_order = found;
  }
  const std::uint32_t number = heap.free_pages[found];
  unlink_free(number);
  while (found > preferred_order) {
    --found;
    push_free(number + (1u << found), found);
  }
  return {heap.base + number * page, page << found};
}

Block Arena::take(std::uint64_t bytes, std::uint64_t preferred, Patience& patience) {
  Heap& heap = header().heap;
  Guard guard(heap.mutex, patience);
  const int size_class = small_class(bytes);
  if (size_class >= small_classes) return take_pages(order_for(bytes), order_for(std::max(bytes, preferred)));
  const std::uint64_t capacity = smallest << size_class;
  if (Offset free = heap.free_small[size_class]) {
    heap.free_small[size_class] = *at<Offset>(free);
    return {free, capacity};
  }
  if (heap.bump[size_class] == heap.bump_end[size_class]) {
    heap.bump[size_class] = take_pages(0, 0).offset;
    heap.bump_end[size_class] = heap.bump[size_class] + page;
  }
  return {std::exchange(heap.bump[size_class], heap.bump[size_class] + capacity), capacity};
}

void Arena::give(Block block, std::uint64_t touched, Patience& patience) {
  Heap& heap = header().heap;
  if (block.capacity >= page && touched > keep_pages_below) punch(block.offset, touched);
  Guard guard(heap.mutex, patience);
  if (block.capacity < page) {
    const int size_class = small_class(block.capacity);
    *at<Offset>(block.offset) = heap.free_small[size_class];
    heap.free_small[size_class] = block.offset;
    return;
  }
  std::uint32_t number = static_cast<std::uint32_t>((block.offset - heap.base) / page);
  int order = order_for(block.capacity);
  for (; order < heap.top_order - 1; ++order) {
    const std::uint32_t buddy = number ^ (1u << order);
    if (buddy == 0 || !node(buddy).free || node(buddy).order != order) break;
    unlink_free(buddy);
    number &= ~(1u << order);
  }
  push_free(number, order);
}

void Arena::punch(Offset offset, std::uint64_t bytes) {
  fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(bytes));
}

std::uint32_t Arena::take_qubit(Patience& patience) {
  const std::uint32_t slot = take_slot(header().qubit_pool, at<QubitRecord>(header().qubit_records), " qubits", patience);
  header().statistics.qubits += 1;
  return slot;
}

void Arena::give_qubit(std::uint32_t slot, Patience& patience) {
  header().statistics.qubits -= 1;
  // A slot whose generations are used up is retired: an id never names two qubits.
  if (++qubit(slot).generation >= 1u << slot_bits) return;
  give_slot(header().qubit_pool, at<QubitRecord>(header().qubit_records), slot, patience);
}

std::uint32_t Arena::take_component(Patience& patience) {
  const std::uint32_t slot =
      take_slot(header().component_pool, at<Component>(header().component_records), " entangled components", patience);
  Component& taken = component(slot);
  if (taken.slot_at[0] == 0) {  // never used before: qubit slots start at 1
    taken.mutex.initialise();
    taken.slot_at[0] = 1;
  }
  header().statistics.components += 1;
  return slot;
}

void Arena::give_component(std::uint32_t slot, Patience& patience) {
  header().statistics.components -= 1;
  give_slot(header().component_pool, at<Component>(header().component_records), slot, patience);
}

}  // namespace qmpi
