// The arena: one range of memory that all ranks of a node map, addressed by offsets. It holds the settings, the ranks' records,
// the pools of qubit and component records and the heap. This file knows how memory is laid out, locked and paid for; it does
// not know what a gate or a message is.
#pragma once

#include <pthread.h>

#include <atomic>
#include <complex>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "kernels/kernels.h"
#include "store/error.h"

namespace qmpi {

using Offset = std::uint64_t;  // from the start of the arena; 0 is null

// What whoever runs the core (the bindings) wants to know of a call under way.
class Patience {
 public:
  virtual void give_way() {}                       // what comes now may take long or sleep (the GIL); idempotent
  virtual bool gave_way() const { return false; }
  virtual void look_up() {}                        // now and then in a long wait; throws Error("Interrupted") to end it
  virtual ~Patience() = default;
};

// For what must not be interrupted half-way: a protocol step.
class Steadfast : public Patience {
 public:
  explicit Steadfast(Patience& patience) : patience_(patience) {}
  void give_way() override { patience_.give_way(); }
  bool gave_way() const override { return patience_.gave_way(); }

 private:
  Patience& patience_;
};

// A process-shared robust mutex in an arena. It is initialised once and never destroyed; if its owner died, the universe ends.
class Mutex {
 public:
  void initialise();
  bool try_lock();
  void lock(Patience& patience);       // gives way before it sleeps
  void lock_long(Patience& patience);  // the same for what may be held long: looks up meanwhile
  bool unlock() { return pthread_mutex_unlock(&mutex_) == 0; }  // false: another thread holds it
  bool owner_died();                   // asks only; what it finds stays so

 private:
  void check(int status);
  pthread_mutex_t mutex_;
};

class Guard {
 public:
  Guard(Mutex& mutex, Patience& patience) : mutex_(mutex) { mutex_.lock(patience); }
  ~Guard() { mutex_.unlock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  Mutex& mutex_;
};

// What a universe agrees on when it is founded.
struct Settings {
  std::int32_t ranks = 1;
  std::uint64_t seed = 0;
  bool faithful = false;           // simulate every EPR pair, measurement and fix-up
  bool single_precision = false;   // complex64 amplitudes
  std::uint64_t memory = 1 << 30;  // bytes that amplitudes may take
  std::int32_t epr_buffer = 64;    // S: unreceived qubits that may wait per receiver
  std::uint64_t heap = 0;          // bytes of address range; 0 = 64 times the memory
};

// 64-bit names that are never reused: node (12 bits), generation (26), slot (26).
using QubitId = std::uint64_t;
constexpr int slot_bits = 26;
constexpr std::uint32_t slot_of(QubitId id) { return id & ((1u << slot_bits) - 1); }
constexpr std::uint32_t generation_of(QubitId id) { return (id >> slot_bits) & ((1u << slot_bits) - 1); }
constexpr QubitId make_id(std::uint32_t slot, std::uint32_t generation) {
  return (QubitId{generation} << slot_bits) | slot;
}

// A qubit is either a product qubit, whose two amplitudes stand here, or bit `bit` of a component.
// A product qubit is touched only by its owner's calls (or by who completes a match for a frozen owner), without a lock; the
// bit is guarded by the component's lock. Anyone who holds that lock may turn the qubit into a product qubit.
struct QubitRecord {
  std::atomic<std::uint32_t> component;  // slot of its component; 0 = product
  std::int32_t bit;
  std::uint32_t generation;
  std::uint32_t next_free;
  Coefficient amplitude[2];

  bool is_product() const { return component.load(std::memory_order_acquire) == 0; }
  // 0 or 1 if it is exactly |0> or |1> up to phase, else -1. Product qubits only.
  int basis() const {
    if (amplitude[1] == 0.0) return 0;
    return amplitude[0] == 0.0 ? 1 : -1;
  }
  void set_basis(int value, Coefficient phase = 1.0) {
    amplitude[value] = phase;
    amplitude[1 - value] = 0.0;
  }
};

struct Block {
  Offset offset = 0;
  std::uint64_t capacity = 0;  // bytes, a power of two
};

constexpr int max_component_qubits = 48;

// Two or more qubits that may be entangled. Type-stable: slots are recycled, the mutex lives for ever.
struct Component {
  Mutex mutex;
  Block block;
  std::uint64_t charged;  // bytes of the budget it holds
  std::int32_t qubits;
  std::uint32_t next_free;
  std::uint32_t slot_at[max_component_qubits];  // qubit slot of each bit
};

// Recycles records by slot number; slot 0 is never handed out.
struct Pool {
  Mutex mutex;
  std::uint32_t free_head;
  std::uint32_t fresh;
  std::uint32_t limit;
};

constexpr int small_classes = 11;           // 64 B … 64 KiB
constexpr std::uint64_t page = 128 * 1024;  // what the buddy allocator deals in
constexpr int max_orders = 40;

// A buddy page that starts a free block; a doubly linked list per order.
struct PageNode {
  std::uint32_t next, previous;
  std::uint8_t order;
  bool free;
};

struct Heap {
  Mutex mutex;
  Offset base;
  int top_order;  // the whole heap is one block of this order
  std::uint32_t free_pages[max_orders];
  Offset free_small[small_classes];
  Offset bump[small_classes], bump_end[small_classes];
};

// What the store has done so far; all readable without a lock.
struct Statistics {
  std::atomic<std::int64_t> qubits, components, entangled_qubits, merges, waits, messages;
  std::atomic<std::int64_t> bytes, peak_bytes, peak_component;
};

struct Posting;

enum class Presence : std::int32_t { absent, present, left };

// What a rank did last, for who finds it dead. From `gate` on: gate codes.
enum class Doing : std::int32_t { nothing, measure, send, receive, meet, gate };

constexpr std::size_t line_length = 240;
// As much of a text as fits, cut between characters (UTF-8), with a 0 behind.
void write_line(std::span<char> line, std::string_view text);

struct RankRecord {
  // Doorbell: rung after anything this rank may wait for has changed.
  alignas(64) std::atomic<std::uint32_t> bell;
  std::atomic<std::uint32_t> asleep;
  std::atomic<std::uint32_t> nudged;  // doorbell.h
  // Mailbox: posted receives and unexpected messages, oldest first, all contexts, one lock.
  alignas(64) Mutex mutex;
  Offset posted, unexpected;
  std::int32_t held, peak_held;  // EPR halves: of packed, unreceived messages and of persistent requests, at most Settings::epr_buffer
  std::int32_t reserved;         // those of persistent requests
  // Outcomes a test prescribes for this rank's next measurements, lowest bit first.
  std::uint64_t forced_bits;
  std::int32_t forced_left;
  // The roll. `alive` is held from entering to leaving, so that the system tells when the rank dies.
  alignas(64) Mutex alive;
  std::atomic<Presence> presence;
  std::atomic<Doing> doing;
  // What it waits for since a while, guarded by Header::watch: runtime/watch.h.
  Offset wait;
  char waits_in[line_length];
};

// Why a universe is over, for all ranks and for good.
enum class Ending : std::int32_t { none, lost, failed, interrupted };

struct Header {
  std::uint64_t magic, size;
  Settings settings;
  Statistics statistics;
  std::atomic<std::uint32_t> next_context;
  std::atomic<std::int32_t> left;      // ranks that have closed
  std::atomic<std::int32_t> spinning;  // waiters that have not gone to sleep yet
  std::atomic<bool> ending_claimed;
  std::atomic<Ending> ending;
  char ended_why[2 * line_length];
  Mutex order;                           // held by a measurement while the order is recorded
  std::atomic<std::uint64_t> turn;       // replayed measurements that are done
  std::atomic<std::uint32_t> turn_bell;  // rung after each
  Mutex watch;                             // guards what ranks publish of their waits
  std::atomic<std::int64_t> next_look_us;    // when somebody who waits should look for deaths and deadlocks again
  std::atomic<std::int64_t> next_glance_us;  // when somebody who works should look for deaths again
  Pool qubit_pool, component_pool;
  Heap heap;
  Offset board;  // board.h
  Offset ranks, qubit_records, component_records, page_nodes;
};

class Arena {
 public:
  static std::atomic<int> forks;  // how often this process is a fork of a fork

  // Creates a memfd, maps it and lays it out. Throws Error("FoundingError").
  static std::shared_ptr<Arena> create(const Settings& settings);
  // Maps an arena another process created; takes over the descriptor.
  static std::shared_ptr<Arena> attach(int descriptor);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  int descriptor() const { return descriptor_; }
  Header& header() const { return *reinterpret_cast<Header*>(base_); }
  const Settings& settings() const { return header().settings; }
  template <class T>
  T* at(Offset offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }
  Offset offset_of(const void* pointer) const { return static_cast<const char*>(pointer) - base_; }
  RankRecord& rank(int rank) const { return at<RankRecord>(header().ranks)[rank]; }
  QubitRecord& qubit(std::uint32_t slot) const { return at<QubitRecord>(header().qubit_records)[slot]; }
  Component& component(std::uint32_t slot) const { return at<Component>(header().component_records)[slot]; }
  std::uint32_t slot_of(const Component& component) const {
    return static_cast<std::uint32_t>(&component - at<Component>(header().component_records));
  }

  // Budget: taken before memory is touched. Throws StateTooLarge with `what` for the message.
  void charge(std::uint64_t bytes, int qubits);
  void refund(std::uint64_t bytes);

  // Heap (allocator.cc). A block of at least `bytes`, of up to `preferred` where the address range allows.
  Block take(std::uint64_t bytes, std::uint64_t preferred, Patience& patience);
  // `touched`: bytes that may hold pages; above 1 MiB they go back to the system.
  void give(Block block, std::uint64_t touched, Patience& patience);
  void punch(Offset offset, std::uint64_t bytes);

  // True in a process that was forked from the one that mapped the arena: it may look, but is no rank.
  bool forked() const { return forks_ != forks; }
  // The roll (roll.cc). A rank enters and leaves in its own thread; a forked process does nothing here.
  void enter(int rank);
  bool leave(int rank);  // true for the last one
  // Ends the universe for all ranks, unless it is over already.
  void end(Ending ending, std::string_view why);
  // Throws RankLost, PeerFailed or KeyboardInterrupt once the universe is over.
  void require_going() const {
    if (header().ending.load(std::memory_order_acquire) != Ending::none) throw_ending();
  }
  // Ends the universe if a rank has died.
  void mourn();
  // For a lock whose owner died: finds out who it was, ends the universe and throws RankLost.
  [[noreturn]] static void report_loss(const void* inside);

  std::uint32_t take_qubit(Patience& patience);
  void give_qubit(std::uint32_t slot, Patience& patience);
  std::uint32_t take_component(Patience& patience);
  void give_component(std::uint32_t slot, Patience& patience);

 private:
  Arena(int descriptor, char* base, std::uint64_t size);
  [[noreturn]] void throw_ending() const;
  PageNode& node(std::uint32_t page_number) const { return at<PageNode>(header().page_nodes)[page_number]; }
  void push_free(std::uint32_t page_number, int order);
  void unlink_free(std::uint32_t page_number);
  Block take_pages(int order, int preferred_order);

  const int forks_ = forks;
  std::atomic<bool> held_ = false;  // a lock that only its thread can give back
  int descriptor_;
  char* base_;
  std::uint64_t size_;
};

}  // namespace qmpi
