// Which ranks are there, and what happens when one dies. Each rank holds a robust mutex as long as it takes part; the system marks it
// when the owner dies, however that happens, whatever its process id was, in or out of a container. Nothing is repaired: what a dead
// rank was changing is lost, and with it the universe, for every rank and for good.
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <vector>

#include "gates/gates.h"
#include "store/doorbell.h"

namespace qmpi {
namespace {

constexpr long look_up_every_ns = 50'000'000;

// All arenas this process maps, so that a lock finds the one it lies in.
std::mutex arenas_mutex;
std::vector<Arena*> arenas;

std::string name_of(Doing doing) {
  constexpr const char* names[] = {"nothing", "measure", "a send", "a receive", "prepare_epr"};
  if (doing < Doing::gate) return names[static_cast<int>(doing)];
  return std::string(gate_table()[static_cast<int>(doing) - static_cast<int>(Doing::gate)].name);
}

}  // namespace

void write_line(std::span<char> line, std::string_view text) {
  std::size_t length = std::min(text.size(), line.size() - 1);
  if (length < text.size())
    while (length > 0 && (text[length] & 0xC0) == 0x80) --length;
  std::copy_n(text.data(), length, line.data());
  line[length] = 0;
}

std::atomic<int> Arena::forks{0};
[[maybe_unused]] const int counts_forks = pthread_atfork(nullptr, nullptr, [] { ++Arena::forks; });

// --- locks ---------------------------------------------------------------------------------------------------------------------

void Mutex::initialise() {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&mutex_, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

// The data behind the lock may be half written: unlocking an inconsistent mutex spoils it for all.
void Mutex::check(int status) {
  if (status == EOWNERDEAD) unlock();
  if (status == EOWNERDEAD || status == ENOTRECOVERABLE) Arena::report_loss(this);
}

bool Mutex::try_lock() {
  const int status = pthread_mutex_trylock(&mutex_);
  check(status);
  return status == 0;
}

void Mutex::lock(Patience& patience) {
  if (try_lock()) return;
  patience.give_way();
  check(pthread_mutex_lock(&mutex_));
}

void Mutex::lock_long(Patience& patience) {
  if (try_lock()) return;
  patience.give_way();
  for (;;) {
    timespec until{};
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += look_up_every_ns;
    until.tv_sec += until.tv_nsec / 1'000'000'000;
    until.tv_nsec %= 1'000'000'000;
    const int status = pthread_mutex_timedlock(&mutex_, &until);  // not clocklock, which ThreadSanitizer does not see
    check(status);
    if (status == 0) return;
    patience.look_up();
  }
}

bool Mutex::owner_died() {
  const int status = pthread_mutex_trylock(&mutex_);
  if (status == 0 || status == EOWNERDEAD) unlock();
  return status == EOWNERDEAD || status == ENOTRECOVERABLE;
}

// --- arenas --------------------------------------------------------------------------------------------------------------------

Arena::Arena(int descriptor, char* base, std::uint64_t size) : descriptor_(descriptor), base_(base), size_(size) {
  const std::lock_guard guard(arenas_mutex);
  arenas.push_back(this);
}

Arena::~Arena() {
  {
    const std::lock_guard guard(arenas_mutex);
    std::erase(arenas, this);
  }
  // A thread that still holds a lock in here (its session was collected by another thread) would look for it when it locks the next.
  if (held_)
    punch(header().heap.base, size_ - header().heap.base);
  else
    munmap(base_, size_);
  close(descriptor_);
}

// --- the roll ------------------------------------------------------------------------------------------------------------------

void Arena::enter(int rank) {
  RankRecord& record = this->rank(rank);
  if (!record.alive.try_lock()) throw Error("FoundingError", "rank " + std::to_string(rank) + " is taken");
  record.presence = Presence::present;
}

bool Arena::leave(int rank) {
  if (forked()) return false;
  RankRecord& record = this->rank(rank);
  const Presence before = record.presence.exchange(Presence::left);
  if (before == Presence::present && !record.alive.unlock()) held_ = true;
  return before != Presence::left && ++header().left == settings().ranks;
}

void Arena::end(Ending ending, std::string_view why) {
  Header& shared = header();
  if (forked() || shared.ending_claimed.exchange(true)) return;
  write_line(shared.ended_why, why);
  shared.ending.store(ending, std::memory_order_release);
  for (int rank = 0; rank < settings().ranks; ++rank) nudge(this->rank(rank));
}

void Arena::throw_ending() const {
  constexpr const char* kinds[] = {"", "RankLost", "PeerFailed", "KeyboardInterrupt"};
  throw Error(kinds[static_cast<int>(header().ending.load())], header().ended_why);
}

// Takes no lock but theirs: nobody else writes into the record of a rank that has died.
void Arena::mourn() {
  for (int rank = 0; rank < settings().ranks; ++rank) {
    RankRecord& record = this->rank(rank);
    if (record.presence != Presence::present || !record.alive.owner_died()) continue;
    const std::string last = record.wait != 0 ? record.waits_in : name_of(record.doing);
    end(Ending::lost, "rank " + std::to_string(rank) + " has died (its last call: " + last + "); what it shared is lost, and no rank can go on");
  }
}

// The system may mark this lock before it marks the one that tells who died.
void Arena::report_loss(const void* inside) {
  Arena* here = nullptr;
  {
    const std::lock_guard guard(arenas_mutex);
    for (Arena* arena : arenas)
      if (inside >= arena->base_ && inside < arena->base_ + arena->size_) here = arena;
  }
  for (int attempt = 0; here && attempt < 1000; ++attempt) {
    here->mourn();
    here->require_going();
    usleep(1000);
  }
  throw Error("RankLost", "a rank died while it held a lock of the store; its state is lost");
}

}  // namespace qmpi
